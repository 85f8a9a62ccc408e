"""Beam's runners: which one runs a job, whether its options fit, and a cluster's errors in one line."""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import re
import socket
import sys
import traceback
from collections.abc import Iterator
from urllib.parse import urlparse

import apache_beam as beam
import grpc
from apache_beam.error import BeamError
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)

from beam_pipelines.cli.signals import interrupts_kept
from beam_pipelines.errors import UserError
from beam_pipelines.launch.local_workers import local_workers, no_proxy_to_this_machine
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.storage import files

LOCAL_RUNNER = 'FnApiRunner'

_DATAFLOW_RUNNER = 'DataflowRunner'
_PACKAGE = pathlib.Path(__file__).parents[1]
_SECONDS_TO_ANSWER = 5
_MOST_CHARACTERS = 400
_RAISED_IN_STEP = re.compile(r'^(?:RuntimeError: )?(\S.*?) \[while running ', re.MULTILINE)

# As in Dataflow's and Compute Engine's documentation. The service has the lists, but looking there needs an account.
_JOB_NAME = re.compile(r'[a-z]([-a-z0-9]{0,1022}[a-z0-9])?')
_REGION = re.compile(r'[a-z]+-[a-z]+[0-9]+')
_MACHINE_TYPE = re.compile(
    r'[a-z]+[0-9]+[a-z]*-[a-z]+-[0-9]+[a-z]?(-[a-z]+)?|([a-z]+[0-9]+[a-z]*-)?custom-[0-9]+-[0-9]+(-ext)?'
)


def default_runner(options: PipelineOptions) -> str:
    """Returns the runner's name; sets ``LOCAL_RUNNER`` if the user named none.

    The bare DirectRunner of Beam 2.77 would first try to download Prism.
    """
    standard = options.view_as(StandardOptions)
    if not standard.runner:
        standard.runner = LOCAL_RUNNER
    return standard.runner


def run_pipeline(pipeline: beam.Pipeline, pipeline_options: PipelineOptions) -> None:
    """Runs a pipeline and waits for its end, unless Beam's options say otherwise.

    Parameters
    ----------
    pipeline : the whole pipeline.
    pipeline_options : Beam's own options; the pipeline has a copy, which some runners change.

    Raises
    ------
    UserError
        If a cluster cannot run it, or a worker process on this machine died.
    KeyboardInterrupt
        On Ctrl-C, which inside a step of the pipeline Beam makes a RuntimeError.
    """
    on_cluster = default_runner(pipeline_options) != LOCAL_RUNNER
    with (
        no_proxy_to_this_machine(),
        interrupts_kept(),
        cluster_errors(pipeline_options) if on_cluster else local_workers(),
        pipeline,
    ):
        pass


@contextlib.contextmanager
def cluster_errors(pipeline_options: PipelineOptions) -> Iterator[None]:
    """Turns the errors of a cluster's runner in the block into a UserError of one line.

    This process's traceback says nothing about the cause on the cluster. Errors from this package keep their traceback.

    Parameters
    ----------
    pipeline_options : Beam's own options, with a runner other than the local one.
    """
    _tell_if_nobody_answers(pipeline_options)
    try:
        yield
    except _kinds_of_cluster_errors() as error:
        if _comes_from_this_package(error):
            raise
        # What a step raised, if Beam tells it, or Beam's first line; tracebacks are in the cluster's logs too.
        raised = _RAISED_IN_STEP.search(str(error))
        reason = raised[1] if raised else (str(error).splitlines() or [type(error).__name__])[0]
        reason = reason[:_MOST_CHARACTERS]
        runner = pipeline_options.view_as(StandardOptions).runner
        raise UserError(f'{runner}: {reason}; whole shards are kept, and the same command resumes from them') from error


def _kinds_of_cluster_errors() -> tuple[type[Exception], ...]:
    """Returns what Beam raises if it cannot submit a job or the job fails.

    Other kinds, such as a TypeError, are bugs in this project.
    """
    kinds = [BeamError, OSError, RuntimeError, ValueError, grpc.RpcError, grpc.FutureTimeoutError]
    with contextlib.suppress(ImportError):  # Only the extra gcp installs them.
        from apache_beam.runners.dataflow.dataflow_runner import DataflowRuntimeException
        from apache_beam.utils.retry import PermanentException
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        kinds += [DataflowRuntimeException, PermanentException, GoogleAPIError, GoogleAuthError]
    return tuple(kinds)


def _comes_from_this_package(error: BaseException) -> bool:
    """Whether an error in ``cluster_errors``'s block passed through code of this package."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    files = [pathlib.Path(frame.f_code.co_filename) for frame in frames]
    return any(_PACKAGE in file.parents and file != pathlib.Path(__file__) for file in files)


def _tell_if_nobody_answers(pipeline_options: PipelineOptions) -> None:
    """Tells the user that Beam will wait for a job service that does not answer; Beam itself is silent."""
    portable = pipeline_options.view_as(PortableOptions)
    host, _, port = (portable.job_endpoint or '').rpartition(':')
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        print(
            f'--job_endpoint={portable.job_endpoint}: {error.strerror or error};'
            f' waiting up to {portable.job_server_timeout} s for it (--job_server_timeout)',
            file=sys.stderr,
            flush=True,
        )


def is_template(pipeline_options: PipelineOptions) -> bool:
    """Whether the job is only staged as a template."""
    cloud = pipeline_options.view_as(GoogleCloudOptions)
    return is_dataflow(pipeline_options) and cloud.template_location is not None


def is_dataflow(pipeline_options: PipelineOptions) -> bool:
    """Whether Dataflow runs the job."""
    # Beam also accepts the name with its module, and without "Runner".
    name = pipeline_options.view_as(StandardOptions).runner.rpartition('.')[2].lower()
    return name in (_DATAFLOW_RUNNER.lower(), 'dataflow')


def check_dataflow_options(options: BuildOptions, pipeline_options: PipelineOptions) -> None:
    """Checks the options of a Dataflow job before Beam, which would first look for credentials for minutes.

    It also checks what would otherwise fail only on the workers. Options of other runners are not checked.

    Parameters
    ----------
    options : the build's options; Dataflow's workers must be able to reach its paths.
    pipeline_options : Beam's own options.

    Raises
    ------
    UserError
        If an option is missing or wrong; the message names it.
    """
    cloud = pipeline_options.view_as(GoogleCloudOptions)
    if not is_dataflow(pipeline_options):
        if cloud.template_location:
            raise UserError(f'--template_location: is for --runner={_DATAFLOW_RUNNER}')
        return
    try:
        importlib.import_module('google.cloud.dataflow_v1beta3')
    except ModuleNotFoundError as error:
        raise UserError(f"--runner={_DATAFLOW_RUNNER}: needs Google's libraries; pip install '.[gcp]'") from error
    if pipeline_options.view_as(TestOptions).dry_run:
        raise UserError('--dry_run: would build nothing; --template_location stages a job that is not run')
    for name in ('project', 'region', 'temp_location'):
        if not getattr(cloud, name) and not (name == 'region' and os.environ.get('CLOUDSDK_COMPUTE_REGION')):
            raise UserError(f'--{name}: is needed with --runner={_DATAFLOW_RUNNER}')
    _check_names(pipeline_options)
    _check_paths(options, cloud)
    _check_package(pipeline_options)


def _check_names(pipeline_options: PipelineOptions) -> None:
    """Raises UserError if Dataflow would refuse a name; it would do so only after all files are staged."""
    cloud = pipeline_options.view_as(GoogleCloudOptions)
    machine_type = pipeline_options.view_as(WorkerOptions).machine_type
    if cloud.job_name and not _JOB_NAME.fullmatch(cloud.job_name):
        raise UserError(
            f'--job_name={cloud.job_name}: expected a lowercase letter, then lowercase letters, digits and hyphens, the'
            ' last one no hyphen'
        )
    region = cloud.region or os.environ['CLOUDSDK_COMPUTE_REGION']
    if not _REGION.fullmatch(region):
        zone = region.rpartition('-')[0]
        hint = f'{region} is a zone of {zone}' if _REGION.fullmatch(zone) else 'expected such as us-central1'
        raise UserError(f'--region={region}: {hint}')
    if machine_type and not _MACHINE_TYPE.fullmatch(machine_type):
        raise UserError(
            f'--machine_type={machine_type}: expected such as n2-standard-4; Dataflow has no workers of shared cores'
        )


def _check_paths(options: BuildOptions, cloud: GoogleCloudOptions) -> None:
    """Raises UserError if Dataflow could not reach a path."""
    # A stand-in for Dataflow on this machine sees the same disk.
    local = (urlparse(cloud.dataflow_endpoint).hostname or '') == 'localhost'
    for name in ('temp_location', 'staging_location', 'template_location'):
        _check_folder(name, getattr(cloud, name), local)
    if not local:
        for name in ('recordings', 'data_dir'):
            if files.is_local(getattr(options, name)):
                path = getattr(options, name)
                raise UserError(f"--{name}={path}: Dataflow's workers cannot reach it; expected a gs:// folder")


def _check_folder(name: str, path: str | None, local: bool) -> None:
    """Raises UserError if Beam could not stage to a path; Beam would try for minutes."""
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
