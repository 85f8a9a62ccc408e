"""Runs the Beam job from start to end: checks what the user gave, runs the pipeline, says what came out."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from beam_pipelines import datasets, domain, standard_error, storage
from beam_pipelines.build_progress import progress_shown
from beam_pipelines.pipeline import FAILURE_FILE, BuildPaths, build_pipeline
from beam_pipelines.plan import PLAN_FILE, BuildOptions
from beam_pipelines.recordings import group_files, is_ignored

SIMULATED_FILE = 'SIMULATED.json'
_LOCAL_RUNNER = 'FnApiRunner'


class BuildError(Exception):
    """The build cannot be done as asked; the message is one line for the user."""


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


def run_build(
    options: BuildOptions, pipeline_options: PipelineOptions, overwrite: bool = False, publish: bool = True
) -> list[BuiltDataset]:
    """Builds datasets.

    Parameters
    ----------
    options : what to build from what.
    pipeline_options : Beam's own options.
    overwrite : replace datasets that are there; each is replaced only when the new one is whole.
    publish : move the datasets to their place; without it they stay in their work folders.

    Returns
    -------
    The datasets, in the order of ``options.configs``.

    Raises
    ------
    BuildError
        If the user's input does not allow it, or the disk is full.
    """
    paths = BuildPaths(options.data_dir)
    files = _find_files(options)
    if publish and not overwrite:
        _check_absent(options, paths)
    _check_protocol(options, paths)
    _check_writable(paths.root)
    check_disk_space(options.data_dir, options.configs)
    recordings, rejected = group_files(files)
    simulated = storage.exists(FileSystems.join(options.recordings, SIMULATED_FILE))
    storage.remove(paths.staging)
    with _shown_locally(options, len(recordings), default_runner(pipeline_options)):
        with beam.Pipeline(options=pipeline_options) as pipeline:
            build_pipeline(pipeline, recordings, rejected, options, 'simulated' if simulated else 'recorded', publish)
    return [_outcome(config, paths, publish) for config in options.configs]


@contextlib.contextmanager
def _shown_locally(options: BuildOptions, recordings: int, runner: str) -> Iterator[None]:
    """Shows progress instead of what Beam's worker processes write; other runners have their own pages and logs.

    If the pipeline raises, all that was held back is shown.
    """
    if runner != _LOCAL_RUNNER or not storage.is_local(options.data_dir):
        yield
        return
    with tempfile.TemporaryFile() as log:
        try:
            with standard_error.redirected(log) as terminal, progress_shown(options, recordings, terminal):
                yield
        except Exception:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors='replace'))
            raise


def _find_files(options: BuildOptions) -> list[tuple[str, int, str]]:
    root = options.recordings
    if storage.is_local(root) and not os.path.isdir(root):
        raise BuildError(
            f'{root}: no such folder; expected recordings in {root}/original/SER, {root}/original/NSER, ...'
        )
    files = []
    recording_sets = {datasets.CONFIGS[config].recording_set for config in options.configs}
    for recording_set in domain.RECORDING_SETS:
        if recording_set not in recording_sets:
            continue
        for label, name in enumerate(domain.LABEL_NAMES):
            folder = FileSystems.join(root, recording_set, name)
            paths = [path for path in storage.list_files(folder) if not is_ignored(path)]
            if not paths:
                raise BuildError(f'{folder}: no recordings; expected .abf files or CELL/CELL_trigger_N.csv')
            files.extend((recording_set, label, path) for path in paths)
    return files


def _check_absent(options: BuildOptions, paths: BuildPaths) -> None:
    for config in options.configs:
        if storage.exists(paths.dataset(config)):
            raise BuildError(f'{paths.dataset(config)}: exists and is kept; --overwrite replaces it')


def _check_protocol(options: BuildOptions, paths: BuildPaths) -> None:
    for config in datasets.CONFIGS:
        path = FileSystems.join(paths.dataset(config), 'metadata.json')
        if storage.exists(path):
            protocol = storage.read_json(path).get('protocol')
            if protocol != options.protocol:
                raise BuildError(
                    f'{options.data_dir}: holds {config} of protocol {protocol}, asked for {options.protocol};'
                    ' use another --data_dir'
                )


def _check_writable(folder: str) -> None:
    try:
        storage.make_folder(folder)
        probe = FileSystems.join(folder, '.writable')
        storage.write_bytes(probe, b'')
        storage.remove(probe)
    except OSError as error:
        raise BuildError(f'{folder}: cannot be written: {error.strerror or error}') from error


def check_disk_space(data_dir: str, configs: tuple[str, ...]) -> None:
    """Raises BuildError if the synthetic datasets cannot fit on the disk; a remote store has no such limit."""
    needed = sum(datasets.CONFIGS[config].required_bytes for config in configs)
    if not needed or not storage.is_local(data_dir):
        return
    folder = os.path.abspath(data_dir)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BuildError(
            f'{data_dir}: {", ".join(configs)} need {needed / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB left'
        )


def _outcome(config: str, paths: BuildPaths, publish: bool) -> BuiltDataset:
    failure = FileSystems.join(paths.work(config), FAILURE_FILE)
    if storage.exists(failure):
        error = storage.read_json(failure)['error']
        # Whole shards are kept for the next run; a plan that failed leaves none.
        planned = storage.exists(FileSystems.join(paths.work(config), PLAN_FILE))
        storage.remove(failure if planned else paths.work(config))
        raise BuildError(f'{error}; rejected files are listed in {paths.rejected}')
    folder = paths.dataset(config) if publish else paths.work(config)
    return BuiltDataset(config, folder, storage.read_json(FileSystems.join(folder, 'metadata.json')))
