"""What the benchmarks share: measurements in separate processes that take turns, and the figure of their rates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from beam_pipelines.errors import UserError

_MOST_TIMES_ON_LINEAR_SCALE = 20


def run_in_process(
    module: str, arguments: Sequence[str], what: str, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Runs a module in a separate process and returns its last line, parsed as JSON; exits if the module fails.

    Parameters
    ----------
    module, arguments : what to run.
    what : its name for the user.
    environment : variables that it gets besides this process's.
    """
    command = [sys.executable, '-m', module, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | (environment or {}))
    if result.returncode:
        sys.exit(f'{what} failed:\n{result.stderr}')
    return json.loads(result.stdout.splitlines()[-1])


def time_command(name: str, command: Sequence[str | os.PathLike]) -> float:
    """Runs a command and returns the seconds of its whole process, start-up included.

    Parameters
    ----------
    name : its name for the user.
    command : the program and its arguments.

    Raises
    ------
    UserError
        If it fails; with the end of what it said.
    """
    began = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise UserError(f'{name} failed: {" ".join(result.stderr.split()[-60:])}')
    return time.perf_counter() - began


def take_turns(
    ways: Sequence[str], repeats: int, measure: Callable[[str], dict], rate: Callable[[dict], float]
) -> dict[str, list[dict]]:
    """Measures each way ``repeats`` times in turns, so that a busy minute of the machine affects them all."""
    measurements: dict[str, list[dict]] = {way: [] for way in ways}
    for repeat in range(repeats):
        for way in ways:
            measurements[way].append(measure(way))
            print(f'repeat {repeat + 1}: {way:<17} {rate(measurements[way][-1]):>12,.0f} examples/s', file=sys.stderr)
    return measurements


def draw_rates(
    medians: Mapping[str, float], rates: Mapping[str, Sequence[float]], ours: Sequence[str], what: str, path: str
) -> None:
    """Draws the rates as bars, ours in blue; on a log scale if short bars would be invisible."""
    from matplotlib.figure import Figure

    ways = list(medians)[::-1]
    figure = Figure(figsize=(7, 1 + 0.4 * len(ways)), layout='constrained')
    axes = figure.subplots()
    errors = [[medians[way] - min(rates[way]) for way in ways], [max(rates[way]) - medians[way] for way in ways]]
    axes.barh(
        ways, [medians[way] for way in ways], xerr=errors, color=['#0072b2' if way in ours else '#999' for way in ways]
    )
    is_log = max(medians.values()) > _MOST_TIMES_ON_LINEAR_SCALE * min(medians.values())
    axes.set_xscale('log' if is_log else 'linear')
    axes.set_xlabel(f'examples/s ({"log scale; " if is_log else ""}bars: median, lines: range)\n{what}')
    figure.savefig(path, dpi=120)
