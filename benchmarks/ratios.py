r"""Runs the three benchmarks of speed and prints each ratio beside the one that was measured before.

    make bench
    python -m benchmarks.ratios
    python -m benchmarks.ratios --write

A ratio is our rate over that of another way, on the same machine and in the same run, so that it can be compared where
rates cannot. A slowdown shows as a change below zero; nothing fails by it. The ratios of before, and the targets that
are known to be missed, are in ``expected.json``; --write replaces the ratios there by those of this run, and says where
and when they were measured. If a benchmark fails, what was measured before it is still compared.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import pathlib
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping

import joblib
from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.errors import UserError

EXPECTED = pathlib.Path(__file__).with_name('expected.json')
BENCHMARKS = ('build_throughput', 'input_throughput', 'train_throughput')

Ratios = Mapping[str, Mapping[str, float]]  # by benchmark and way

_WRITE = flags.DEFINE_bool('write', False, 'Writes the ratios into expected.json.')


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    expected = json.loads(EXPECTED.read_text())
    measured: dict[str, dict[str, float]] = {}
    try:
        for benchmark in BENCHMARKS:
            measured[benchmark] = _run(benchmark)
    finally:  # Each takes minutes.
        for line in table(measured, expected['ratios'], expected['targets']):
            print(line)
    if _WRITE.value:
        found = {'measured_on': _describe_machine(), 'ratios': measured}
        EXPECTED.write_text(json.dumps(expected | found, indent=2) + '\n')
    return 0


def _describe_machine() -> str:
    """Returns the cores that this process may use, the processor and the date."""
    return f'{joblib.cpu_count()} cores of {_processor()}, {datetime.date.today().isoformat()}'


def _processor() -> str:
    with contextlib.suppress(OSError):  # as on macOS
        if found := re.search(r'^model name\s*: (.+)$', pathlib.Path('/proc/cpuinfo').read_text(), re.MULTILINE):
            return found[1]
    return platform.processor() or platform.machine()


def table(measured: Ratios, expected: Ratios, targets: Ratios) -> Iterator[str]:
    """Yields the lines of the table.

    Parameters
    ----------
    measured, expected : our rate over that of each way; a way may be in one of them alone.
    targets : the least that a ratio should be, of those that have a target.
    """
    yield f'{"benchmark":<17} {"way":<30} {"ratio":>9} {"expected":>9} {"change":>7}  {"target":>7}'
    for benchmark in {**expected, **measured}:
        now, before = measured.get(benchmark, {}), expected.get(benchmark, {})
        for way in {**before, **now}:
            change = f'{now[way] / before[way] - 1:+.0%}' if way in now and way in before else ''
            line = f'{benchmark:<17} {way:<30} {_shown(now.get(way))} {_shown(before.get(way))} {change:>7}'
            target = targets.get(benchmark, {}).get(way)
            if target is not None:
                line += f'  {target:>7g}' + (' missed' if way in now and now[way] < target else '')
            yield line.rstrip()


def _shown(ratio: float | None) -> str:
    return f'{"-":>9}' if ratio is None else f'{ratio:>8.2f}x'


def _run(benchmark: str) -> dict[str, float]:
    """Runs a benchmark with its defaults; its progress and its own table go to standard error."""
    command = [sys.executable, '-m', f'benchmarks.{benchmark}']
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    sys.stderr.write(result.stdout)
    if result.returncode:
        raise UserError(f'{benchmark} failed')
    return {way: round(ratio, 3) for way, ratio in json.loads(result.stdout.splitlines()[-1])['ratios'].items()}


if __name__ == '__main__':
    run_command('ratios', __name__)
