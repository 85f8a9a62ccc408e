"""Reads changed files as the commands do: each must end in a right result or in one line that names the file.

    python -m tests.fuzz.run --seconds 600
    python -m tests.fuzz.run --seconds 600 --seed 7 --only nwb,calibration.json
    python -m tests.fuzz.run --only calibration.json --number 1234

All targets share the time. What an execution does depends on the seed, the target and its number alone; the last form
repeats one, and leaves the changed files in the folder of findings. The last line says what came of how many, as JSON.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import multiprocessing
import os
import pathlib
import signal
import sys
import time

from tests.fuzz import child
from tests.fuzz.guard import Guard
from tests.fuzz.targets import TARGETS

_KINDS_SHOWN = 5


@dataclasses.dataclass
class Counts:
    """What came of the executions of a target: how many ended how, and the numbers of the findings by their kind."""

    outcomes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    findings: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    executions: int = 0

    def add(self, line: object) -> None:
        """Counts one execution, by the line that a child printed."""
        if isinstance(line, list):
            self._add_finding(line[0])
        else:
            self.outcomes[line] += 1
        self.executions += 1

    def add_death(self, status: int) -> None:
        """Counts the execution that a child died in."""
        self._add_finding(f'the process ended by {signal.Signals(-status).name if status < 0 else status}')
        self.executions += 1

    def _add_finding(self, said: str) -> None:
        lines = said.strip().splitlines()
        # Where it happened last in this project, and the kind of the error: one fault has many inputs.
        places = [line.strip() for line in lines if 'File "' in line and '/tests/fuzz/' not in line]
        ours = [place for place in places if 'site-packages' not in place and '/lib/python' not in place]
        kind = f'{(ours or places or [""])[-1]} {lines[-1].partition(":")[0]}'
        if kind not in self.findings and len(self.findings) < _KINDS_SHOWN:
            print(f'--- execution {self.executions}\n{said[-3000:]}', file=sys.stderr)
        self.findings.setdefault(kind, []).append(self.executions)


def fuzz(name: str, seed: int, seconds: float) -> Counts:
    """Executes a target in child processes, which are started anew when one dies, until the time is over."""
    counts = Counts()
    until = time.monotonic() + seconds
    while not counts.executions or time.monotonic() < until:
        read, write = os.pipe()
        # Forked, so that the libraries are imported once.
        process = multiprocessing.get_context('fork').Process(
            target=_execute, args=(until, seed, counts.executions, name, write)
        )
        process.start()
        os.close(write)
        with open(read, encoding='utf-8') as lines:
            for line in lines:
                counts.add(json.loads(line))
        process.join()
        if process.exitcode:
            counts.add_death(process.exitcode)
    return counts


def _execute(until: float, seed: int, first: int, name: str, descriptor: int) -> None:
    with open(descriptor, 'w', encoding='utf-8') as lines:
        child.execute_until(until, seed, first, TARGETS[name], lines)


def repeat(name: str, seed: int, number: int, findings: pathlib.Path) -> None:
    """Repeats one execution in this process, with its files in the folder of findings."""
    folder = findings / f'{name}-{seed}-{number}' / 'own'
    folder.mkdir(parents=True)
    execute = TARGETS[name].prepare(folder)
    print(child.run(seed, name, number, execute, Guard(folder)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=600)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--only', default=','.join(TARGETS), help='targets, separated by commas; all: %(default)s')
    parser.add_argument('--number', type=int, help='repeat this execution of the one target')
    parser.add_argument('--findings', type=pathlib.Path, default=pathlib.Path('fuzz_findings'))
    values = parser.parse_args()
    names = values.only.split(',')
    if unknown := set(names) - set(TARGETS):
        parser.error(f'no target {min(unknown)!r}; there are {", ".join(TARGETS)}')
    if values.number is not None:
        repeat(names[0], values.seed, values.number, values.findings)
        return 0
    until = time.monotonic() + values.seconds
    found = {}
    for position, name in enumerate(names):
        share = (until - time.monotonic()) / (len(names) - position)
        counts = found[name] = fuzz(name, values.seed, max(share, 1))
        print(f'{name}: {counts.executions:,} executions, {dict(counts.outcomes)}, {len(counts.findings)} findings')
        for kind, numbers in counts.findings.items():
            print(f'    {len(numbers)} x {kind}: {numbers[:5]}', flush=True)
    findings = sum(len(counts.findings) for counts in found.values())
    executions = {name: counts.executions for name, counts in found.items()}
    print(json.dumps({'executions': executions, 'sum': sum(executions.values()), 'findings': findings}))
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main())
