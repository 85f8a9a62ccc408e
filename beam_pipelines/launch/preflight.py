"""Checks before a build writes anything, so that a mistake costs seconds and not hours."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import shutil

import apache_beam as beam
import joblib
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, PortableOptions, StandardOptions

from beam_pipelines.datasets.configs import CONFIGS
from beam_pipelines.datasets.metadata import DatasetMetadata
from beam_pipelines.errors import UsageError, UserError
from beam_pipelines.launch.detached import describe_submitted
from beam_pipelines.launch.runners import LOCAL_RUNNER, check_dataflow_options, default_runner, is_dataflow
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.recordings.reading_options import SpikeCutting
from beam_pipelines.storage import files
from beam_pipelines.transforms.paths import BuildPaths


def check_beam_options(arguments: list[str]) -> None:
    """Raises UserError for an argument that Beam would ignore with only a warning in its log."""
    for number, argument in enumerate(arguments):
        previous = arguments[number - 1] if number else ''
        if not argument.startswith('--') and not (previous.startswith('--') and '=' not in previous):
            raise UserError(f'unexpected argument {argument!r}; Beam options are --name=value')
    usage = io.StringIO()
    try:
        with contextlib.redirect_stderr(usage):
            options = PipelineOptions(arguments)
            unknown = set(options.get_all_options(retain_unknown_options=True)) - set(options.get_all_options())
    except SystemExit:
        # argparse lists all options before it says which one is wrong.
        raise UserError(usage.getvalue().splitlines()[-1].partition('error: argument ')[2]) from None
    if unknown:
        raise UserError(f'--{min(unknown)}: Beam has no such option')
    _check_given_once(arguments, options.get_all_options())
    check_workers(options)


def _check_given_once(arguments: list[str], options: dict[str, object]) -> None:
    """Raises UsageError for an option that is given twice; only those that make a list may be."""
    names = [argument[2:].partition('=')[0] for argument in arguments if argument.startswith('--')]
    for name in names:
        if names.count(name) > 1 and not isinstance(options.get(name), list):
            raise UsageError(f'--{name}: is given twice')


def check_workers(pipeline_options: PipelineOptions) -> None:
    """Raises UserError for a number of workers that cannot be; Beam would raise an IndexError."""
    workers = pipeline_options.view_as(DirectOptions).direct_num_workers
    if workers < 0:
        raise UserError(f'--direct_num_workers={workers}: must be 0, which is one for each CPU, or more')


def cores_of_this_process(pipeline_options: PipelineOptions, workers: int | None) -> int | None:
    """Returns how many cores this process uses, or None if workers of Beam do the work.

    Parameters
    ----------
    pipeline_options : Beam's own options.
    workers : how many cores the user wants to be used; None for all.

    Raises
    ------
    UsageError
        If Beam's workers do the work and ``workers`` is given.
    """
    direct = pipeline_options.view_as(DirectOptions)
    is_here = (direct.direct_running_mode, direct.direct_num_workers) == ('in_memory', 1)
    if default_runner(pipeline_options) == LOCAL_RUNNER and is_here:
        return workers or joblib.cpu_count()
    if workers:
        raise UsageError(
            '--workers: is for a build in one process; the workers of a runner have its own option, such as'
            ' -- --direct_num_workers=2'
        )
    return None


def with_absolute_paths(options: BuildOptions) -> BuildOptions:
    """Makes local paths absolute, because a cluster's workers run in another folder."""
    local = {
        name: os.path.abspath(path)
        for name in ('recordings', 'data_dir')
        if files.is_local(path := getattr(options, name))
    }
    return dataclasses.replace(options, **local)


def check_job_outlives_command(pipeline_options: PipelineOptions) -> None:
    """Raises UserError if the job would end with this command because this command runs its job server."""
    runner = pipeline_options.view_as(StandardOptions).runner
    if not is_dataflow(pipeline_options) and not pipeline_options.view_as(PortableOptions).job_endpoint:
        raise UserError(f'--no_wait_until_finish: with --runner={runner} needs --job_endpoint, a job server that stays')


def new_pipeline(options: BuildOptions, pipeline_options: PipelineOptions) -> beam.Pipeline:
    """Makes an empty pipeline.

    Raises
    ------
    UserError
        If Beam's options do not fit together.
    """
    check_dataflow_options(options, pipeline_options)
    try:
        return beam.Pipeline(options=pipeline_options)
    except ValueError as error:  # Beam checks its options here.
        raise UserError(str(error)) from error


def check_nothing_submitted(paths: BuildPaths) -> None:
    """Raises UserError if a job on a cluster may be working in the data directory."""
    if files.exists(paths.submitted):
        raise UserError(describe_submitted(paths))


def check_protocol(options: BuildOptions, paths: BuildPaths) -> None:
    """Raises UserError if the data directory holds a dataset of another protocol, or with spikes cut in another way."""
    for config in CONFIGS:
        path = paths.metadata(config)
        if files.exists(path):
            metadata = files.read_typed_json(path, DatasetMetadata)
            if metadata.protocol != options.protocol:
                raise UserError(
                    f'{options.data_dir}: holds {config} of protocol {metadata.protocol}, asked for {options.protocol};'
                    ' use another --data_dir'
                )
            for field in SpikeCutting.__struct_fields__:
                held, asked = getattr(metadata.cutting, field), getattr(options.reading.cutting, field)
                if held != asked:
                    raise UserError(
                        f'{options.data_dir}: the spikes of {config} were cut with {field} {held}, asked for {asked};'
                        ' use another --data_dir'
                    )


def check_writable(options: BuildOptions, paths: BuildPaths) -> None:
    """Raises UserError if a folder that the build writes to cannot be written."""
    config_folders = [FileSystems.join(paths.root, config) for config in options.configs]
    for folder in [paths.root, *filter(files.exists, config_folders)]:
        try:
            files.make_folder(folder)
            probe = FileSystems.join(folder, '.writable')
            files.write_bytes(probe, b'')
            files.remove(probe)
        except OSError as error:
            raise UserError(f'{folder}: cannot be written: {error.strerror or error}') from error


def check_disk_space(options: BuildOptions, paths: BuildPaths) -> None:
    """Raises UserError if the synthetic datasets do not fit on the disk; a remote store has no such limit."""
    if not files.is_local(options.data_dir):
        return
    needed = 0
    for config in options.configs:
        written = sum(files.list_files(paths.work(config)).values())
        # Limited per dataset: extra files of one dataset do not make room for another.
        needed += max(options.required_bytes(config) - written, 0)
    free = shutil.disk_usage(paths.root).free
    if free < needed:
        raise UserError(
            f'{options.data_dir}: {", ".join(options.configs)} need {needed / 1e9:.2f} GB,'
            f' the disk has {free / 1e9:.2f} GB left'
        )
