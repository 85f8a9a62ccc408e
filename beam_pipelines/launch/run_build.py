"""Runs the Beam job from start to end: checks what the user gave, runs the pipeline, says what came out."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions
from apache_beam.runners.runner import PipelineState

from beam_pipelines.cli.command import standard_error_redirected
from beam_pipelines.datasets.configs import CONFIGS, INFO_FILE, METADATA_FILE
from beam_pipelines.errors import UserError
from beam_pipelines.launch.cluster_errors import cluster_errors
from beam_pipelines.launch.detached import (
    DetachedBuild,
    describe_submitted,
    note_submission,
    staged_template,
    submitted,
)
from beam_pipelines.launch.progress import progress_shown
from beam_pipelines.launch.resume import only_build
from beam_pipelines.launch.runners import check_dataflow_options, is_dataflow, is_template
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.storage import files
from beam_pipelines.storage.object_store import check_access
from beam_pipelines.transforms.build_datasets import build_pipeline
from beam_pipelines.transforms.find_recordings import find_recordings
from beam_pipelines.transforms.paths import BuildPaths

_LOCAL_RUNNER = 'FnApiRunner'


@dataclasses.dataclass(frozen=True)
class BuiltDataset:
    """A dataset that was built: its config, its folder and what its ``metadata.json`` says."""

    config: str
    folder: str
    metadata: dict


def default_runner(options: PipelineOptions) -> str:
    """Names the runner where the user did not: the bare DirectRunner of Beam 2.77 first tries to download Prism."""
    standard = options.view_as(StandardOptions)
    if not standard.runner:
        standard.runner = _LOCAL_RUNNER
    return standard.runner


def _storage_faults_in_one_line(build: Callable) -> Callable:
    @functools.wraps(build)
    def wrapped(*arguments, **keywords):
        try:
            return build(*arguments, **keywords)
        except OSError as error:
            raise UserError(f'{error.filename or "storage"}: {error.strerror or error}') from error

    return wrapped


@_storage_faults_in_one_line
def run_build(
    options: BuildOptions, pipeline_options: PipelineOptions, overwrite: bool = False, publish: bool = True
) -> list[BuiltDataset] | DetachedBuild:
    """Builds datasets.

    Parameters
    ----------
    options : what to build from what.
    pipeline_options : Beam's own options.
    overwrite : replace datasets that are there; each is replaced only when the new one is whole.
    publish : move the datasets to their place; without it they stay in their work folders.

    Returns
    -------
    The datasets, in the order of ``options.configs``; or how the build goes on, if Beam's options say that the job is
    staged as a template, or submitted and not waited for.

    Raises
    ------
    UserError
        If the user's input does not allow it, or the disk is full.
    """
    FileSystems.set_options(pipeline_options)
    for root in (options.recordings, options.data_dir):
        check_access(root, pipeline_options)
    runner = default_runner(pipeline_options)
    if runner != _LOCAL_RUNNER:
        options = _with_absolute_paths(options)
    paths = BuildPaths(options.data_dir)
    pipeline = _new_pipeline(options, pipeline_options)
    # The local runner has run the job when it returns, whatever the option says.
    detached = runner != _LOCAL_RUNNER and pipeline_options.view_as(StandardOptions).no_wait_until_finish
    if detached:
        _check_job_goes_on(pipeline_options)
    if not publish and (detached or is_template(pipeline_options)):
        raise UserError('--template_location and --no_wait_until_finish are for sero-build')
    try:
        recordings, _ = find_recordings(options.recordings, options.recording_sets)
    except UserError as error:
        raise UserError(str(error)) from error
    if is_template(pipeline_options):
        _check_protocol(options, paths)
        build_pipeline(pipeline, options, overwrite=overwrite, detached=True)
        _run(pipeline, pipeline_options)
        return staged_template(pipeline_options, options.data_dir)
    _check_writable(options, paths)
    lock = only_build(paths.lock) if files.is_local(paths.root) else contextlib.nullcontext()
    with lock:
        _check_nothing_submitted(paths)
        wanted = options
        if publish:
            options = dataclasses.replace(wanted, configs=_claim(wanted, paths, overwrite))
        _check_protocol(options, paths)
        _check_disk_space(options, paths)
        _remove_left_behind(options, paths)
        replaced = {config: _finished_at(_folder(config, paths, publish)) for config in options.configs}
        if options.configs:
            build_pipeline(pipeline, options, publish, overwrite, detached)
            with _noted(paths, pipeline, pipeline_options), _shown_locally(options, len(recordings), runner):
                _run(pipeline, pipeline_options)
            if detached:
                return submitted(pipeline_options, pipeline.result, options.data_dir)
        files.remove(paths.staging)
        if publish:
            files.remove(paths.running)
        return [_outcome(config, paths, publish, replaced.get(config)) for config in wanted.configs]


def _with_absolute_paths(options: BuildOptions) -> BuildOptions:
    """Returns the options with local paths that mean the same in another folder, where the workers of a cluster run."""
    local = {
        name: os.path.abspath(path)
        for name in ('recordings', 'data_dir')
        if files.is_local(path := getattr(options, name))
    }
    return dataclasses.replace(options, **local)


def _check_job_goes_on(pipeline_options: PipelineOptions) -> None:
    """Raises UserError if a job would end with this command, because this command runs its job server."""
    runner = pipeline_options.view_as(StandardOptions).runner
    if not is_dataflow(pipeline_options) and not pipeline_options.view_as(PortableOptions).job_endpoint:
        raise UserError(f'--no_wait_until_finish: with --runner={runner} needs --job_endpoint, a job server that stays')


def _new_pipeline(options: BuildOptions, pipeline_options: PipelineOptions) -> beam.Pipeline:
    """Makes an empty pipeline; raises UserError, before anything is written, if Beam's options do not allow it."""
    check_dataflow_options(options, pipeline_options)
    try:
        return beam.Pipeline(options=pipeline_options)
    except ValueError as error:
        # Beam's own errors have several lines.
        raise UserError(' '.join(str(error).split())) from error


def _run(pipeline: beam.Pipeline, pipeline_options: PipelineOptions) -> None:
    """Runs a pipeline and waits for its end, unless Beam's options say otherwise; one that a cluster cannot run is a
    UserError."""
    if default_runner(pipeline_options) == _LOCAL_RUNNER:
        with pipeline:
            return
    try:
        with cluster_errors(pipeline_options), pipeline:
            return
    except UserError as error:
        raise UserError(str(error)) from error


def _check_nothing_submitted(paths: BuildPaths) -> None:
    if files.exists(paths.submitted):
        raise UserError(describe_submitted(paths))


def _remove_left_behind(options: BuildOptions, paths: BuildPaths) -> None:
    """Removes what a build that was killed has left, but for the shards that are whole and may be of use."""
    files.remove(paths.staging)
    for config in CONFIGS:
        if _is_published(config, paths):
            for left in (paths.plan(config), paths.work(config), paths.replaced(config)):
                files.remove(left)
    for config in options.configs:
        files.remove(paths.failure(config))
    files.remove_temporary_files(paths.root)


def _claim(options: BuildOptions, paths: BuildPaths, overwrite: bool) -> tuple[str, ...]:
    """Writes down what is going to be built, and returns it: what an interrupted run of the same has not built yet.

    Raises
    ------
    UserError
        If a dataset is there that is not to be replaced.
    """
    request = json.loads(json.dumps({'options': dataclasses.asdict(options), 'overwrite': overwrite}))
    earlier = files.read_json(paths.running) if files.exists(paths.running) else {}
    started = earlier['started'] if earlier.get('request') == request else []
    present = [config for config in options.configs if files.is_published(paths.dataset(config), INFO_FILE)]
    for config in present:
        if config not in started and not overwrite:
            raise UserError(f'{paths.dataset(config)}: exists and is kept; --overwrite replaces it')
    pending = tuple(config for config in options.configs if overwrite or config not in present)
    files.write_json(paths.running, {'request': request, 'started': sorted({*started, *pending})})
    return pending


@contextlib.contextmanager
def _noted(paths: BuildPaths, pipeline: beam.Pipeline, pipeline_options: PipelineOptions) -> Iterator[None]:
    """Keeps other builds away while a cluster works, as it may longer than this process; the job's last step ends that.

    A job that fails is noted no longer. One that is interrupted here is cancelled, and noted still if that is not known
    to have worked.
    """
    if default_runner(pipeline_options) == _LOCAL_RUNNER:
        yield
        return
    note_submission(paths, pipeline_options)
    try:
        yield
    except KeyboardInterrupt:
        if _is_cancelled(pipeline):
            files.remove(paths.submitted)
        else:
            print(f'the job may go on without this command; {describe_submitted(paths)}', file=sys.stderr)
        raise
    except BaseException:
        files.remove(paths.submitted)
        raise


def _is_cancelled(pipeline: beam.Pipeline) -> bool:
    """Cancels a job; returns whether its runner says that it is."""
    try:
        return pipeline.result is not None and pipeline.result.cancel() == PipelineState.CANCELLED
    except Exception:  # Of whatever kind: the job server may have been interrupted too.
        return False


@contextlib.contextmanager
def _shown_locally(options: BuildOptions, recordings: int, runner: str) -> Iterator[None]:
    """Shows progress instead of what Beam's worker processes write; other runners have their own pages and logs.

    If the pipeline raises, all that was held back is shown.
    """
    if runner != _LOCAL_RUNNER:
        yield
        return
    with tempfile.TemporaryFile() as log:
        try:
            with standard_error_redirected(log) as terminal, progress_shown(options, recordings, terminal):
                yield
        except Exception:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors='replace'))
            raise


def _check_protocol(options: BuildOptions, paths: BuildPaths) -> None:
    for config in CONFIGS:
        path = FileSystems.join(paths.dataset(config), METADATA_FILE)
        if files.exists(path):
            protocol = files.read_json(path).get('protocol')
            if protocol != options.protocol:
                raise UserError(
                    f'{options.data_dir}: holds {config} of protocol {protocol}, asked for {options.protocol};'
                    ' use another --data_dir'
                )


def _check_writable(options: BuildOptions, paths: BuildPaths) -> None:
    config_folders = [FileSystems.join(paths.root, config) for config in options.configs]
    for folder in [paths.root, *filter(files.exists, config_folders)]:
        try:
            files.make_folder(folder)
            probe = FileSystems.join(folder, '.writable')
            files.write_bytes(probe, b'')
            files.remove(probe)
        except OSError as error:
            raise UserError(f'{folder}: cannot be written: {error.strerror or error}') from error


def _check_disk_space(options: BuildOptions, paths: BuildPaths) -> None:
    """Raises UserError if the synthetic datasets cannot fit on the disk; a remote store has no such limit."""
    if not files.is_local(options.data_dir):
        return
    needed = 0
    for config in options.configs:
        written = sum(files.list_files(paths.work(config)).values())
        # Not one sum of all: what one dataset holds beside its shards takes nothing off the shards of another.
        needed += max(options.required_bytes(config) - written, 0)
    free = shutil.disk_usage(paths.root).free
    if free < needed:
        raise UserError(
            f'{options.data_dir}: {", ".join(options.configs)} need {needed / 1e9:.2f} GB,'
            f' the disk has {free / 1e9:.2f} GB left'
        )


def _is_published(config: str, paths: BuildPaths) -> bool:
    """Whether a dataset is in its place and there is no later plan of one that is to replace it."""
    if not files.is_published(paths.dataset(config), INFO_FILE):
        return False
    planned = paths.plan(config)
    return not files.exists(planned) or files.modification_time(planned) <= _finished_at(paths.dataset(config))


def _finished_at(folder: str) -> float | None:
    """Returns when the dataset in a folder was finished, in s since 1970; None if there is none."""
    metadata = FileSystems.join(folder, METADATA_FILE)
    return files.modification_time(metadata) if files.exists(metadata) else None


def _folder(config: str, paths: BuildPaths, publish: bool) -> str:
    """Returns where a dataset is, or will be, when it is finished."""
    if publish or not files.exists(paths.plan(config)):
        return paths.dataset(config)
    return paths.growing(config, files.read_json(paths.plan(config))['fingerprint'])


def _outcome(config: str, paths: BuildPaths, publish: bool, replaced: float | None) -> BuiltDataset:
    """Says what became of a dataset that was to be built.

    Parameters
    ----------
    publish : see ``run_build``.
    replaced : when the dataset that stood there before was finished, None if there was none.

    Raises
    ------
    UserError
        If it was not built.
    """
    if files.exists(paths.failure(config)):
        error = files.read_json(paths.failure(config))['error']
        files.remove(paths.failure(config))
        # Whole shards are kept for the next run.
        files.remove_if_empty(FileSystems.join(paths.root, config))
        raise UserError(f'{error}; rejected files are listed in {paths.rejected}')
    folder = _folder(config, paths, publish)
    # By its time and not by its fingerprint, which is the same if a dataset is replaced by what it should have been.
    if _finished_at(folder) in (None, replaced):
        raise UserError(f'{folder}: was not finished, and what hindered it could not be written either; disk full?')
    files.remove(paths.plan(config))
    return BuiltDataset(config, folder, files.read_json(FileSystems.join(folder, METADATA_FILE)))
