"""Kills commands with all of their processes at random moments, and starts them again.

    python -m tests.faults.kills --command train --tries 20 --seed 0

An undisturbed command is measured first; the moments are uniform over its time. After each kill, what has the name of
an output must be of an earlier command or of the undisturbed one, whole. Started again, the command must end with
its status and in the files of the undisturbed one, with none beside them. The last line of the output is a JSON object
with counts; the lines before it say what was wrong. Status 1 if anything was.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import random
import re
import sys
import tempfile

# Before anything imports TensorFlow, whose messages are none of ours.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

from tests.faults.cases import EARLIER, KILLED, Case, fresh_folder
from tests.faults.inputs import Inputs, made_in
from tests.faults.outcomes import differences, outcome, without_locks
from tests.faults.started import Started

_MOST_STARTS = 3

# Work that nobody takes for an output: hidden, or named as work in progress.
_UNFINISHED = re.compile(r'(.*/)?(\.[^/]+|[^/]*\.(building|plan\.json|failure\.json|replaced)|incomplete\.[^/]+)(/.*)?')
# A run that is not finished says so in model_info.json and has no manifest.
_GROWS = re.compile(r'run/(members|checkpoints)/.*|run/(model_info|config|calibration)\.json')


def half_written(left: dict[str, str], before: dict[str, str], whole: dict[str, str]) -> list[str]:
    """Returns what has the name of an output and is neither as before nor whole, or is of both sets.

    Parameters
    ----------
    left : the outcome that the killed command has left.
    before, whole : the outcomes before it, and of an undisturbed one.
    """
    outputs = {name: left[name] for name in left if not _UNFINISHED.fullmatch(name) and not _GROWS.fullmatch(name)}
    changed = {name for name in outputs if before.get(name) != whole.get(name)}
    wrong = [f'{name}: is half-written' for name in changed if outputs[name] not in (before.get(name), whole.get(name))]
    new, old = (
        {str(pathlib.PurePath(name).parent) for name in changed if outputs[name] == of.get(name)}
        for of in (whole, before)
    )
    mixed = new & old
    return sorted(wrong) + [f'{folder}: holds files of two sets' for folder in sorted(mixed)]


def torn_tables(folder: pathlib.Path) -> list[str]:
    """Returns what shows that the two tables of sero-classify are not whole, or not of the same moment."""
    tables = [path for name in ('cells.csv', 'spikes.csv') if (path := folder / name).exists()]
    texts = [path.read_text() for path in tables]
    cells = [{line.partition(',')[0] for line in text.splitlines()[1:]} for text in texts if text != EARLIER]
    problems = [f'{path}: is half-written' for path, text in zip(tables, texts, strict=True) if not text.endswith('\n')]
    if len(texts) == 2 and (len(cells) == 1 or cells and cells[0] != cells[1]):
        problems.append(f'{folder}: holds tables of two moments')
    return problems


def try_once(
    case: Case, inputs: Inputs, folder: pathlib.Path, seconds: float, whole: dict[str, str]
) -> tuple[bool, list[str]]:
    """Kills a command after some seconds and starts it again; returns whether it was running, and what was wrong."""
    case.prepare(inputs, fresh_folder(folder))
    before = outcome(folder)
    was_running = Started(case, inputs, folder, folder.with_name('errors')).kill_after(seconds)
    left = without_locks(outcome(folder))
    problems = []
    if was_running:
        problems = torn_tables(folder / 'verdicts') if case.watches else half_written(left, before, whole)
    again = Started(case, inputs, folder, folder.with_name('errors'))
    again.join()
    problems += again.problems()
    # Where the work was done before the kill, the command may refuse to do it twice.
    if again.refusal and left != whole:
        problems.append(again.refusal)
    problems += differences(without_locks(outcome(folder)), whole)
    return was_running, problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--command', choices=sorted(KILLED), required=True)
    parser.add_argument('--tries', type=int, default=20, help='how often it is killed while it runs')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--inputs', help='folder in which the inputs are made, or were made by an earlier campaign')
    asked = parser.parse_args()
    chance, case = random.Random(asked.seed), KILLED[asked.command]
    killed = failed = 0
    with tempfile.TemporaryDirectory() as temporary, made_in(pathlib.Path(asked.inputs or temporary)) as inputs:
        folder = pathlib.Path(temporary) / 'try'
        case.prepare(inputs, folder)
        undisturbed = Started(case, inputs, folder, folder.with_name('errors'))
        seconds = undisturbed.join()
        if undisturbed.problems() or not undisturbed.done:
            raise SystemExit(f'the undisturbed command fails: {undisturbed.problems() or undisturbed.refusal}')
        whole = without_locks(outcome(folder))
        started = 0
        # A moment after the end of the command is no try, but on a busy machine its time is not known well.
        while killed < asked.tries and started < _MOST_STARTS * asked.tries:
            started += 1
            moment = chance.uniform(0, seconds)
            was_running, problems = try_once(case, inputs, folder, moment, whole)
            if not was_running:  # The machine is less busy than it was.
                seconds = moment
            killed += was_running
            failed += bool(problems)
            for problem in problems:
                print(f'start {started}, killed after {moment:.2f} of {seconds:.2f} s: {problem}', flush=True)
    counts = {'command': asked.command, 'seconds': round(seconds, 1), 'started': started}
    print(json.dumps(counts | {'killed': killed, 'failed': failed}))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
