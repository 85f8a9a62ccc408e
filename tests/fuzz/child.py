"""One process of the fuzzer: executes a target with bounds on time and memory, and writes a line for each execution.

It dies in an execution that crashes it or takes too long.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from typing import TextIO

from tests.fuzz.guard import Guard
from tests.fuzz.target import Execute, Target

_MOST_SECONDS = 10
# Beside what the process holds when it starts.
_MOST_BYTES = 1 << 30


def random_numbers(seed: int, name: str, number: int) -> random.Random:
    """Returns the random numbers of one execution of a target, on which all depends that it does."""
    return random.Random(f'{seed} {name} {number}')


def run(seed: int, name: str, number: int, execute: Execute, guard: Guard) -> str:
    """Executes a target once.

    Raises
    ------
    AssertionError
        If a library warns on the user's screen, or something is done that a reader must never do.
    """
    guard.trespasses.clear()
    writes_no_bytecode = sys.dont_write_bytecode
    # The guard would take compiled modules for a trespass.
    sys.dont_write_bytecode = guard.watching = True
    try:
        with warnings.catch_warnings(record=True) as shown:
            warnings.simplefilter('always')
            warnings.simplefilter('ignore', DeprecationWarning)  # These are not shown to users.
            outcome = execute(random_numbers(seed, name, number))
    finally:
        guard.watching = False
        sys.dont_write_bytecode = writes_no_bytecode
    assert not guard.trespasses, guard.trespasses[0]
    assert not shown, shown[0]
    return outcome


def _bound_memory() -> None:
    pages = int(pathlib.Path('/proc/self/statm').read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _MOST_BYTES, -1))


def execute_until(until: float, seed: int, first: int, target: Target, lines: TextIO) -> None:
    """Executes a target from a number on, in a folder of its own, until the time is over or the process dies.

    Parameters
    ----------
    until : when to end, as of ``time.monotonic``.
    seed, first : of the first execution.
    target : what is executed.
    lines : gets a line of JSON for each execution: the outcome, or a list with the traceback of a finding.
    """
    with tempfile.TemporaryDirectory() as parent:
        own = pathlib.Path(parent, 'own')
        own.mkdir()
        (own.parent / 'outside').write_text('{}')
        execute = target.prepare(own)
        guard = Guard(own)
        _bound_memory()
        for number in itertools.count(first):
            if time.monotonic() > until:
                return
            signal.alarm(_MOST_SECONDS)
            try:
                line: object = run(seed, target.name, number, execute, guard)
            except Exception:
                line = [traceback.format_exc()]
            signal.alarm(0)
            print(json.dumps(line), file=lines, flush=True)
