"""Runs a build: checks the user's input, runs the Beam job, and collects the datasets."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult

from beam_pipelines.datasets.configs import CONFIGS, METADATA_FILE
from beam_pipelines.datasets.metadata import DatasetMetadata
from beam_pipelines.errors import UserError
from beam_pipelines.launch import preflight
from beam_pipelines.launch.detached import DetachedBuild, noted, staged_template, submitted
from beam_pipelines.launch.progress import shown_locally
from beam_pipelines.launch.resume import find_pending, finished_at, remove_left_behind, reserve
from beam_pipelines.launch.runners import LOCAL_RUNNER, default_runner, is_template, run_pipeline
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.storage import files
from beam_pipelines.storage.locks import check_not_written, locked
from beam_pipelines.storage.object_store import check_access
from beam_pipelines.synthesis.numba_rows import compiled_meanwhile
from beam_pipelines.transforms.build_datasets import build_pipeline
from beam_pipelines.transforms.build_here import build_pipeline_here
from beam_pipelines.transforms.failures import unwritten_failures
from beam_pipelines.transforms.job import Job
from beam_pipelines.transforms.paths import BuildPaths
from beam_pipelines.transforms.read_recordings import find_inputs


@dataclasses.dataclass(frozen=True)
class BuiltDataset:
    """A dataset that was built: its config, its folder and its metadata."""

    config: str
    folder: str
    metadata: DatasetMetadata


@dataclasses.dataclass(frozen=True)
class _Build:
    """A build whose options have been checked.

    Attributes
    ----------
    options, pipeline_options : see ``run_build``.
    job : how it runs.
    pipeline : still empty.
    recordings : how many cells there are to read.
    cores : how many this process uses; None if Beam's workers do the work.
    """

    options: BuildOptions
    pipeline_options: PipelineOptions
    job: Job
    pipeline: beam.Pipeline
    recordings: int
    cores: int | None

    @property
    def paths(self) -> BuildPaths:
        return BuildPaths(self.options.data_dir)

    def folder(self, config: str) -> str:
        """Returns the folder of a finished dataset, whether or not it exists yet."""
        if self.job.publish or not files.exists(self.paths.plan(config)):
            return self.paths.dataset(config)
        return self.paths.staged(config, files.read_json(self.paths.plan(config))['fingerprint'])


def run_build(
    options: BuildOptions,
    pipeline_options: PipelineOptions,
    overwrite: bool = False,
    publish: bool = True,
    workers: int | None = None,
) -> list[BuiltDataset] | DetachedBuild:
    """Builds datasets.

    Parameters
    ----------
    options : what to build from what.
    pipeline_options : Beam's own options.
    overwrite : replace existing datasets, each only when the new one is complete.
    publish : move the datasets to their folders; without it they stay in their work folders.
    workers : how many cores to use where this process does the work; all by default.

    Returns
    -------
    The datasets, in the order of ``options.configs``; or how the build continues, if Beam's options stage the job as a
    template, or submit it without waiting.

    Raises
    ------
    UserError
        If the user's input does not allow it, or the disk is full.
    OSError
        If a file or an object store cannot be read or written.
    """
    build = _prepare(options, pipeline_options, overwrite, publish, workers)
    if is_template(pipeline_options):
        return _stage_template(build)
    paths = build.paths
    preflight.check_writable(build.options, paths)
    try:
        with locked(paths.lock) if files.is_local(paths.root) else contextlib.nullcontext():
            pending = _reserve(build)
            replaced = {config: finished_at(build.folder(config)) for config in pending.options.configs}
            result = _execute(pending) if pending.options.configs else None
            if result and build.job.detached:
                return submitted(pipeline_options, result, build.options.data_dir)
            return _collect(build, replaced, result)
    except (OSError, UserError):
        for folder in [*(FileSystems.join(paths.root, config) for config in options.configs), paths.root]:
            with contextlib.suppress(OSError):
                files.remove_if_empty(folder)
        raise


def _prepare(
    options: BuildOptions, pipeline_options: PipelineOptions, overwrite: bool, publish: bool, workers: int | None
) -> _Build:
    """Checks what can be checked before anything is written."""
    preflight.check_workers(pipeline_options)
    cores = preflight.cores_of_this_process(pipeline_options, workers)
    FileSystems.set_options(pipeline_options)
    for root in (options.recordings, options.data_dir):
        check_access(root, pipeline_options)
    runner = default_runner(pipeline_options)
    if runner != LOCAL_RUNNER:
        options = preflight.with_absolute_paths(options)
    pipeline = preflight.new_pipeline(options, pipeline_options)
    # The local runner always returns only when the job has ended.
    is_on_cluster = runner != LOCAL_RUNNER
    submits = is_on_cluster and pipeline_options.view_as(StandardOptions).no_wait_until_finish
    if submits:
        preflight.check_job_outlives_command(pipeline_options)
    detached = submits or is_template(pipeline_options)
    if not publish and detached:
        raise UserError('--template_location and --no_wait_until_finish are for sero-build')
    if files.is_local(options.recordings):
        check_not_written(options.recordings, 'wait until it is complete')
    recordings, _ = find_inputs(options.recordings, options.recording_sets)
    job = Job(publish, overwrite, repeats_faults=is_on_cluster, detached=detached)
    return _Build(options, pipeline_options, job, pipeline, len(recordings), cores)


def _stage_template(build: _Build) -> DetachedBuild:
    preflight.check_protocol(build.options, build.paths)
    build_pipeline(build.pipeline, build.options, build.job)
    run_pipeline(build.pipeline, build.pipeline_options)
    return staged_template(build.pipeline_options, build.options.data_dir)


def _reserve(build: _Build) -> _Build:
    """Reserves the datasets and cleans up after earlier builds; returns the build of the pending datasets."""
    paths, options = build.paths, build.options
    preflight.check_nothing_submitted(paths)
    # Before the reservation: a build that is refused must not take that of an interrupted one.
    preflight.check_protocol(options, paths)
    pending = find_pending(options, paths, build.job.overwrite) if build.job.publish else options.configs
    pending_options = dataclasses.replace(options, configs=pending)
    preflight.check_disk_space(pending_options, paths)
    if build.job.publish:
        reserve(options, paths, build.job.overwrite, pending)
    remove_left_behind(pending_options, paths)
    return dataclasses.replace(build, options=pending_options)


def _execute(build: _Build) -> PipelineResult:
    """Runs the job, or submits it if nobody waits for it."""
    pipeline, options = build.pipeline, build.options
    runner = default_runner(build.pipeline_options)
    makes_rows = runner == LOCAL_RUNNER and any(options.examples_of(CONFIGS[config]) for config in options.configs)
    with (
        noted(build.paths, pipeline, build.pipeline_options),
        shown_locally(options, build.recordings, runner),
        compiled_meanwhile() if makes_rows else contextlib.nullcontext(),
    ):
        if build.cores:
            build_pipeline_here(pipeline, options, build.job, build.cores)
        else:
            build_pipeline(pipeline, options, build.job)
        run_pipeline(pipeline, build.pipeline_options)
    return pipeline.result


def _collect(build: _Build, replaced: dict[str, float | None], result: PipelineResult | None) -> list[BuiltDataset]:
    """Cleans up and returns the datasets.

    Parameters
    ----------
    build : the whole build, including datasets that an earlier run built.
    replaced : config -> when the previous dataset was finished; None if there was none.
    result : of the job; None if all datasets were built before.

    Raises
    ------
    UserError
        If a dataset was not built.
    """
    files.remove(build.paths.staging)
    if build.job.publish:
        files.remove(build.paths.running)
    is_local = default_runner(build.pipeline_options) == LOCAL_RUNNER
    unwritten = unwritten_failures(result) if result and is_local else {}
    return [_outcome(build, config, replaced.get(config), unwritten) for config in build.options.configs]


def _outcome(build: _Build, config: str, replaced: float | None, unwritten: Mapping[str, str]) -> BuiltDataset:
    paths = build.paths
    if files.exists(paths.failure(config)):
        error = files.read_json(paths.failure(config))['error']
        files.remove(paths.failure(config))
        # Complete shards are kept for the next run.
        raise UserError(f'{error}; rejected files are listed in {paths.rejected}')
    folder = build.folder(config)
    if config in unwritten:
        raise UserError(unwritten[config])
    # The time tells a new dataset from the old one; their fingerprints are equal if their content is.
    if finished_at(folder) in (None, replaced):
        raise UserError(f'{folder}: was not finished, and the reason could not be written either; is the disk full?')
    files.remove(paths.plan(config))
    path = FileSystems.join(folder, METADATA_FILE)
    return BuiltDataset(config, folder, files.read_typed_json(path, DatasetMetadata))
