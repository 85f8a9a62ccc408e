"""Checks what a user gave for Dataflow before Beam does, which first looks for credentials, for minutes.

What would be found out only on the workers is found here too.
"""

from __future__ import annotations

import importlib
import os
from urllib.parse import urlparse

from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)

from beam_pipelines.errors import UserError
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.storage import files

_RUNNER = 'DataflowRunner'


def is_template(pipeline_options: PipelineOptions) -> bool:
    """Whether the job is to be staged as a template and not to be run."""
    cloud = pipeline_options.view_as(GoogleCloudOptions)
    return is_dataflow(pipeline_options) and cloud.template_location is not None


def is_dataflow(pipeline_options: PipelineOptions) -> bool:
    # Beam also takes the name with its module, and without "Runner".
    name = pipeline_options.view_as(StandardOptions).runner.rpartition('.')[2].lower()
    return name in (_RUNNER.lower(), 'dataflow')


def check_dataflow_options(options: BuildOptions, pipeline_options: PipelineOptions) -> None:
    """Checks the options of a Dataflow job; those of other runners are left alone.

    Parameters
    ----------
    options : the build's options; Dataflow's workers must be able to reach its paths.
    pipeline_options : Beam's own options.

    Raises
    ------
    UserError
        If something is missing or cannot be; the message is one line that names the option.
    """
    cloud = pipeline_options.view_as(GoogleCloudOptions)
    if not is_dataflow(pipeline_options):
        if cloud.template_location:
            raise UserError(f'--template_location: is for --runner={_RUNNER}')
        return
    try:
        importlib.import_module('google.cloud.dataflow_v1beta3')
    except ModuleNotFoundError as error:
        raise UserError(f"--runner={_RUNNER}: needs Google's libraries; pip install '.[gcp]'") from error
    if pipeline_options.view_as(TestOptions).dry_run:
        raise UserError('--dry_run: would build nothing; --template_location stages a job that is not run')
    for name in ('project', 'region', 'temp_location'):
        if not getattr(cloud, name) and not (name == 'region' and os.environ.get('CLOUDSDK_COMPUTE_REGION')):
            raise UserError(f'--{name}: is needed with --runner={_RUNNER}')
    # On the machine of an endpoint that stands in for Dataflow, its disk is seen from everywhere.
    local = (urlparse(cloud.dataflow_endpoint).hostname or '') == 'localhost'
    for name in ('temp_location', 'staging_location', 'template_location'):
        _check_folder(name, getattr(cloud, name), local)
    if not local:
        for name in ('recordings', 'data_dir'):
            if files.is_local(getattr(options, name)):
                path = getattr(options, name)
                raise UserError(f"--{name}={path}: Dataflow's workers cannot reach it; expected a gs:// folder")
    _check_package(pipeline_options)


def _check_folder(name: str, path: str | None, local: bool) -> None:
    """Raises UserError if Beam could not stage to a path; it would try for minutes."""
    if path is None or path.startswith('gs://'):
        return
    if not local:
        raise UserError(f'--{name}={path}: expected a gs:// path')
    folder = os.path.dirname(path) if name == 'template_location' else path
    if not os.path.isdir(folder):
        raise UserError(f'--{name}={path}: no such folder')


def _check_package(pipeline_options: PipelineOptions) -> None:
    """Raises UserError if the workers would not have this package."""
    setup = pipeline_options.view_as(SetupOptions)
    worker = pipeline_options.view_as(WorkerOptions)
    if setup.setup_file and not os.path.isfile(setup.setup_file):
        raise UserError(f'--setup_file={setup.setup_file}: no such file')
    if not (setup.setup_file or setup.extra_packages or setup.requirements_file or worker.sdk_container_image):
        raise UserError(
            "--setup_file: is needed, so that Dataflow's workers have this package; or --sdk_container_image with it"
        )
