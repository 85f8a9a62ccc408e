"""Shows the progress of a build on this machine, based on the files that it has written."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import TextIO

from beam_pipelines.cli.command import standard_error_redirected
from beam_pipelines.cli.progress_line import ProgressLine
from beam_pipelines.launch.runners import LOCAL_RUNNER
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.planning.plan import DatasetPlan
from beam_pipelines.storage import files
from beam_pipelines.transforms.paths import BuildPaths

_SECONDS_BETWEEN_LOOKS_AT_A_STORE = 10.0


@contextlib.contextmanager
def shown_locally(options: BuildOptions, recordings: int, runner: str) -> Iterator[None]:
    """Shows progress instead of what Beam's worker processes write; other runners have their own pages and logs.

    If the block raises, the hidden output is shown.

    Parameters
    ----------
    options : the build's options.
    recordings : how many cells there are to read.
    runner : Beam's runner.
    """
    if runner != LOCAL_RUNNER:
        yield
        return
    with tempfile.TemporaryFile() as log:
        try:
            with standard_error_redirected(log) as terminal, _progress_shown(options, recordings, terminal):
                yield
        except Exception:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors='replace'))
            raise


@contextlib.contextmanager
def _progress_shown(options: BuildOptions, recordings: int, output: TextIO) -> Iterator[None]:
    """Writes a progress line to ``output`` while the block runs."""
    ended = threading.Event()
    thread = threading.Thread(target=_show, args=(options, recordings, output, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show(options: BuildOptions, recordings: int, output: TextIO, ended: threading.Event) -> None:
    line = ProgressLine(output)
    started = time.monotonic()
    # An object store charges for each request.
    seconds = line.seconds_between if files.is_local(options.data_dir) else _SECONDS_BETWEEN_LOOKS_AT_A_STORE
    while not ended.wait(seconds):
        line.show(f'{time.monotonic() - started:4.0f} s  {_describe(options, recordings)}')
    line.clear()


def _describe(options: BuildOptions, recordings: int) -> str:
    paths = BuildPaths(options.data_dir)
    try:
        parts = [f'{_count(paths.staging, ".spikes")}/{recordings} cells read']
        for config in options.configs:
            plan_path = paths.plan(config)
            if files.exists(plan_path):
                plan = files.read_typed_json(plan_path, DatasetPlan)
                written = _count(paths.staged(config, plan.fingerprint), 'tfrecord-')
                parts.append(f'{config}: {written}/{sum(plan.shards.values())} shards')
    except OSError:
        return 'publishing a dataset'  # Its files were moved while being counted.
    return ', '.join(parts)


def _count(folder: str, part_of_name: str) -> int:
    if not files.is_local(folder):
        names = [os.path.basename(path) for path in files.list_files(folder)]
    else:
        names = os.listdir(folder) if os.path.isdir(folder) else []
    return sum(part_of_name in name and not files.is_temporary(name) for name in names)
