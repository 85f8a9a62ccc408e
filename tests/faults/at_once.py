"""Starts two commands in one place, the second at a random moment of the first.

    python -m tests.faults.at_once --pair train,train_other --tries 20 --seed 0

What they leave must be what they would have left one after the other: both in either order if both have done their
work, one of them alone if the other was refused. Each must end with its work done, or in one line. The last line of the
output is a JSON object with counts; the lines before it say what was wrong, and each refusal. Status 1 if anything was.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import random
import sys
import tempfile
import time

# Before anything imports TensorFlow, whose messages are none of ours.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

from tests.faults.cases import CASES, Case, fresh_folder
from tests.faults.inputs import Inputs, made_in
from tests.faults.outcomes import differences, outcome, without_unfinished_run
from tests.faults.started import Started


class Sequences:
    """What commands leave that run one after the other; each sequence is run once, when it is asked for.

    Parameters
    ----------
    inputs : what the commands read.
    folder : for the tries of all sequences.
    """

    def __init__(self, inputs: Inputs, folder: pathlib.Path):
        self._inputs, self._folder = inputs, folder
        self._outcomes: dict[tuple[str, ...], tuple[dict[str, str], list[bool]]] = {}
        self.seconds: dict[str, float] = {}

    def after(self, names: tuple[str, ...], others: tuple[str, ...] = ()) -> tuple[dict[str, str], list[bool]]:
        """Returns the outcome of commands one after the other, and whether each has done its work.

        Parameters
        ----------
        names : of the commands that run.
        others : of those that do not run, but whose inputs are there.
        """
        if names not in self._outcomes:
            folder = fresh_folder(self._folder)
            for name in (*names, *others):
                CASES[name].prepare(self._inputs, folder)
            done = []
            for name in names:
                started = Started(CASES[name], self._inputs, folder, folder.with_name('errors'))
                self.seconds[name] = started.join()
                done.append(started.done)
            self._outcomes[names] = (outcome(folder), done)
        return self._outcomes[names]


def try_once(pair: tuple[str, str], inputs: Inputs, folder: pathlib.Path, delay_s: float) -> tuple[Started, Started]:
    """Runs the first command, and the second after a delay; returns both when they have ended."""
    cases: list[Case] = [CASES[name] for name in pair]
    fresh_folder(folder)
    for case in cases:
        case.prepare(inputs, folder)
    first = Started(cases[0], inputs, folder, folder.with_name('errors-0'))
    time.sleep(delay_s)
    second = Started(cases[1], inputs, folder, folder.with_name('errors-1'))
    # One that only watches gets its Ctrl-C when the other has ended.
    for started, _ in sorted(zip((first, second), cases, strict=True), key=lambda item: item[1].watches):
        started.join()
    return first, second


def problems_of(pair: tuple[str, str], done: list[bool], left: dict[str, str], sequences: Sequences) -> list[str]:
    """Returns what distinguishes the outcome from each that the commands would have left one after the other."""
    worked = tuple(name for name, is_done in zip(pair, done, strict=True) if is_done)
    if not worked:
        return ['none of the two has done its work']
    if len(worked) == 1:
        idle = tuple(name for name, is_done in zip(pair, done, strict=True) if not is_done)
        orders = [worked, (*worked, *idle), (*idle, *worked)]
    else:
        orders = [worked, worked[::-1]]
    found = []
    for order in dict.fromkeys(orders):
        expected, done_in_turn = sequences.after(order, pair)
        # An order counts if in it the same commands do their work.
        if {name for name, is_done in zip(order, done_in_turn, strict=True) if is_done} == set(worked):
            found.append(differences(left, expected))
            if not found[-1]:
                return []
    return min(found, key=len) if found else [f'{worked} have both done their work, which in turn they could not']


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pair', required=True, help=f'two of {", ".join(sorted(CASES))}, with a comma between')
    parser.add_argument('--tries', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--inputs', help='folder in which the inputs are made, or were made by an earlier campaign')
    asked = parser.parse_args()
    names = asked.pair.split(',')
    if len(names) != 2 or not set(names) <= CASES.keys():
        parser.error(f'--pair={asked.pair}: expected two of {", ".join(sorted(CASES))}')
    chance = random.Random(asked.seed)
    counts: collections.Counter[str] = collections.Counter()
    refusals: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as temporary, made_in(pathlib.Path(asked.inputs or temporary)) as inputs:
        folder = pathlib.Path(temporary) / 'try'
        sequences = Sequences(inputs, folder.with_name('sequence'))
        for name in names:
            sequences.after((name,), tuple(names))
        for number in range(asked.tries):
            pair = (names[0], names[1]) if chance.random() < 0.5 else (names[1], names[0])
            delay_s = chance.uniform(0, sequences.seconds[pair[0]])
            started = try_once(pair, inputs, folder, delay_s)
            problems = [problem for one in started for problem in one.problems()]
            done = [one.done for one in started]
            problems += problems_of(pair, done, without_unfinished_run(outcome(folder)), sequences)
            counts['both_done'] += all(done)
            counts['one_refused'] += sum(done) == 1
            counts['failed'] += bool(problems)
            refusals.update(one.refusal.replace(str(folder), '') for one in started if one.refusal)
            for problem in problems:
                print(f'try {number}, {pair[1]} {delay_s:.2f} s after {pair[0]}: {problem}', flush=True)
    for line, times in refusals.most_common():
        print(f'{times} x {line}')
    print(json.dumps({'pair': asked.pair, 'tries': asked.tries} | counts))
    return 1 if counts['failed'] else 0


if __name__ == '__main__':
    sys.exit(main())
