"""One measurement of ``input_throughput``: the rate, CPU time and start-up of one way in this process."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import resource
import time
from collections.abc import Iterable

import numpy as np

from benchmarks.inputs.task import Task
from benchmarks.inputs.ways import WAYS

_LEAST_SECONDS = 1.0

COLUMNS = {'cpu_seconds_per_million': 'CPU s/million', 'startup_seconds': 'start-up s'}


def measure(way: str, task: Task, seconds: float, cold: bool) -> dict:
    """Measures one way over one pass, or over ``seconds`` if a pass takes longer.

    A pass of a small dataset takes a tenth of a second, so passes are added until they fill one second; with a cold
    cache only the first pass is measured.

    Returns
    -------
    Dict of ``rate`` (examples per second), ``startup_seconds`` and ``cpu_seconds_per_million``.
    """
    batches = WAYS[way].open(task)
    if cold:
        drop_from_page_cache([*task.paths, *(str(path) for path in pathlib.Path(task.converted).glob('*.*'))])
    first_pass = total = _measure_pass(batches, seconds)
    while total.seconds < min(_LEAST_SECONDS, seconds) and not cold:
        total += _measure_pass(batches, seconds)
    return {
        'rate': total.examples / total.seconds,
        'startup_seconds': first_pass.startup_seconds,
        'cpu_seconds_per_million': total.cpu_seconds / total.examples * 1e6,
    }


@dataclasses.dataclass(frozen=True)
class _Measured:
    """What was measured after the first batch of each pass."""

    examples: int
    seconds: float
    cpu_seconds: float
    startup_seconds: float

    def __add__(self, other: _Measured) -> _Measured:
        return _Measured(
            *(mine + others for mine, others in zip(*map(dataclasses.astuple, (self, other)), strict=True))
        )


def _measure_pass(batches: Iterable, seconds: float) -> _Measured:
    opened = time.perf_counter()
    iterator = iter(batches)
    last = next(iterator)
    started, cpu_started = time.perf_counter(), cpu_seconds()
    examples = 0
    for last in iterator:
        examples += len(last[1])
        if time.perf_counter() - started > seconds:
            break
    np.asarray(last[0])  # Waits for the accelerator, whose work counts in the time.
    ended = time.perf_counter()
    return _Measured(examples, ended - started, cpu_seconds() - cpu_started, started - opened)


def cpu_seconds() -> float:
    """Returns the CPU time of this process and its children, including running ones."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    children = 0
    for path in pathlib.Path('/proc/self/task').glob('*/children'):
        for child in path.read_text().split():
            fields = pathlib.Path(f'/proc/{child}/stat').read_text().rpartition(')')[2].split()
            children += int(fields[11]) + int(fields[12])  # user and system time, in clock ticks
    return sum(one.ru_utime + one.ru_stime for one in used) + children / os.sysconf('SC_CLK_TCK')


def drop_from_page_cache(paths: list[str]) -> None:
    """Makes the kernel forget the files' content, so that the next read comes from the disk."""
    os.sync()  # Dirty pages would stay in the cache.
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
