"""Feeds ``sero-classify --watch`` with recordings that are written in every way that a rig, a copy or a person may.

    python -m tests.faults.watch_under_fire --model RUN --recordings 300 --seconds 900

Recordings are written slowly, in bursts, renamed into place, truncated and continued, cut for good, replaced, moved and
deleted; the watched folder disappears three times for some seconds and returns. At the end each must have exactly one
outcome, that of ``sero-classify`` on its content alone. Memory and open files are those of the command and its readers,
from /proc. The last line of the output is a JSON object; the lines before it say what was wrong, and status 1 that
anything was.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import csv
import heapq
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.support.places import ROOT

_PIECES = 8
_PIECE_S = 1.0
_PAUSE_S = 8.0  # longer than it takes to be called complete
_LONG_PAUSE_S = 70.0  # longer than it takes to be read although it is not complete
_UNTIL_CLASSIFIED_S = 45.0
_AWAY_S = 20.0
_SETTLING_S = 150.0
_SAMPLE_S = 5.0
_BURST = 15
_REJECTED = 'rejected: '

# How many of a hundred recordings go each way.
_SHARES = {
    'slow': 20, 'burst': 15, 'renamed': 15, 'continued': 10, 'continued_late': 5, 'cut': 5, 'junk': 5, 'replaced': 10,
    'replaced_in_place': 5, 'moved': 4, 'recorded_anew': 2, 'deleted': 2, 'deleted_early': 2,
}  # fmt: skip


class Fire:
    """Recordings on their way into a watched folder.

    Parameters
    ----------
    folder : the watched folder; it can be away, and is then changed where it is.
    contents : the bytes of recordings, by the name of their only outcome.
    seed : of all choices.
    """

    def __init__(self, folder: pathlib.Path, contents: dict[str, bytes], seed: int):
        self._here, self._away = folder, folder.with_name('away')
        self._contents, self._chance = contents, random.Random(seed)
        self.expected: dict[str, str | None] = {}  # cell -> the name of a content, a rejection, or None: no outcome

    def steps(self, cell: str, way: str) -> Iterator[float]:
        """Writes one recording; yields the seconds until its next step."""
        first, second = self._chance.sample(sorted(self._contents), 2)
        path = f'{self._chance.choice(["", "today/", "today/rig 2/"])}{cell}.abf'
        self.expected[cell] = first
        return getattr(self, f'_{way}')(cell, path, first, second)

    def leave_and_return(self) -> Iterator[float]:
        """Takes the watched folder away and puts it back."""
        self._here.rename(self._away)
        yield _AWAY_S
        self._away.rename(self._here)

    def _slow(self, cell: str, path: str, first: str, second: str) -> Iterator[float]:
        content = self._contents[first]
        size = -(-len(content) // _PIECES)
        for start in range(0, len(content), size):
            self._write(path, content[start : start + size], 'ab' if start else 'wb')
            yield _PIECE_S

    def _burst(self, cell: str, path: str, first: str, second: str) -> Iterator[float]:
        self._write(path, self._contents[first])
        yield 0.0

    def _renamed(self, cell: str, path: str, first: str, second: str) -> Iterator[float]:
        hidden = os.path.join(os.path.dirname(path), f'.{cell}.abf.tmp')
        for _ in self._slow(cell, hidden, first, second):
            yield _PIECE_S
        self._place(hidden).rename(self._place(path))

    def _continued(self, cell: str, path: str, first: str, second: str, pause_s: float = _PAUSE_S) -> Iterator[float]:
        content = self._contents[first]
        self._write(path, content)
        yield _PIECE_S
        os.truncate(self._place(path), len(content) // 2)
        yield pause_s
        self._write(path, content[len(content) // 2 :], 'ab')

    def _continued_late(self, cell: str, path: str, first: str, second: str) -> Iterator[float]:
        return self._continued(cell, path, first, second, _LONG_PAUSE_S)

    def _cut(self, cell: str, path: str, first: str, second: str) -> Iterator[float]:
        self.expected[cell] = f'{_REJECTED}truncated'
        self._write(path, self._contents[first][:100_000])
        yield 0.0

    def _junk(self, cell: str, path: str, first: str, second: str) -> Iterator[float]:
        self.expected[cell] = f'{_REJECTED}not_abf'
        self._write(path, self._chance.randbytes(10_000))
        yield 0.0

    def _replaced(self, cell: str, path: str, first: str, second: str) -> Iterator[float]:
        self._write(path, self._contents[first])
        yield self._chance.uniform(0, _UNTIL_CLASSIFIED_S)
        self._write(f'{path}.new', self._contents[second])
        self._place(f'{path}.new').replace(self._place(path))
        self.expected[cell] = second

    def _replaced_in_place(self, cell: str, path: str, first: str, second: str) -> Iterator[float]:
        self._write(path, self._contents[first])
        yield self._chance.uniform(0, _UNTIL_CLASSIFIED_S)
        self.expected[cell] = second
        yield from self._slow(cell, path, second, first)

    def _moved(self, cell: str, path: str, first: str, second: str) -> Iterator[float]:
        self._write(path, self._contents[first])
        yield self._chance.uniform(0, _UNTIL_CLASSIFIED_S)
        self._place('sorted').mkdir(exist_ok=True)
        self._place(path).rename(self._place(f'sorted/{cell}.abf'))

    def _recorded_anew(self, cell: str, path: str, first: str, second: str) -> Iterator[float]:
        self._write(path, self._contents[first])
        yield self._chance.uniform(0, _UNTIL_CLASSIFIED_S)
        self._place(path).unlink()
        self.expected[cell] = second
        yield from self._slow(cell, f'again/{cell}.abf', second, first)

    def _deleted(self, cell: str, path: str, first: str, second: str) -> Iterator[float]:
        self._write(path, self._contents[first])
        yield 2 * _UNTIL_CLASSIFIED_S
        self._place(path).unlink()

    def _deleted_early(self, cell: str, path: str, first: str, second: str) -> Iterator[float]:
        self.expected[cell] = None
        self._write(path, self._contents[first][:100_000])
        yield _PAUSE_S
        self._place(path).unlink()

    def _place(self, path: str) -> pathlib.Path:
        place = (self._here if self._here.exists() else self._away) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _write(self, path: str, content: bytes, mode: str = 'wb') -> None:
        with open(self._place(path), mode) as file:
            file.write(content)


def run_steps(starts: list[tuple[float, Iterator[float]]], seconds: float, sample: Callable[[], None]) -> None:
    """Runs series of steps side by side for so many seconds, and ``sample`` now and then.

    Parameters
    ----------
    starts : of each series the second at which it starts, and its steps, which yield the seconds until the next.
    seconds : how long at least.
    sample : is called between steps, every ``_SAMPLE_S`` seconds.
    """
    began, order = time.monotonic(), itertools.count()
    waiting = [(start, next(order), steps) for start, steps in starts]
    heapq.heapify(waiting)
    next_sample = 0.0
    while waiting or time.monotonic() - began < seconds:
        now = time.monotonic() - began
        if now >= next_sample:
            sample()
            next_sample = now + _SAMPLE_S
        while waiting and waiting[0][0] <= now:
            _, _, steps = heapq.heappop(waiting)
            pause_s = next(steps, None)
            if pause_s is not None:
                heapq.heappush(waiting, (now + pause_s, next(order), steps))
        time.sleep(0.05)


def plan(fire: Fire, recordings: int, seconds: float, seed: int) -> list[tuple[float, Iterator[float]]]:
    """Returns when each recording starts, and the folder leaves, and the steps of each."""
    chance = random.Random(seed)
    ways = [way for way, share in _SHARES.items() for _ in range(share)]
    chance.shuffle(ways)
    burst_starts = [chance.uniform(0, seconds - _SETTLING_S) for _ in range(recordings)]
    in_bursts = itertools.count()
    starts = []
    for number, way in enumerate(itertools.islice(itertools.cycle(ways), recordings)):
        start = burst_starts[next(in_bursts) // _BURST] if way == 'burst' else chance.uniform(0, seconds - _SETTLING_S)
        starts.append((start, fire.steps(f'F{number // 20:03d}#{number:03d}', way)))
    away = [(seconds * part, fire.leave_and_return()) for part in (0.2, 0.45, 0.7)]
    return starts + away


def outcomes(output_dir: pathlib.Path) -> dict[str, list[str]]:
    """Returns the outcomes of each cell: rows of ``cells.csv`` without the name, and reasons of rejections."""
    found = collections.defaultdict(list)
    with open(output_dir / 'cells.csv', newline='', encoding='utf-8') as file:
        for cell, *row in list(csv.reader(file))[1:]:
            found[cell].append(','.join(row))
    for line in (output_dir / 'rejected.jsonl').read_text(encoding='utf-8').splitlines():
        rejected = json.loads(line)
        found[pathlib.Path(rejected['path']).stem].append(_REJECTED + rejected['reason'])
    return found


def _processes(pid: int) -> list[int]:
    children = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    return [pid, *(of_child for child in children for of_child in _processes(int(child)))]


def _resources(pid: int) -> tuple[float, int]:
    """Returns the resident memory, in MB, and the open files of a process and its children."""
    resident_kb = files = 0
    for process in _processes(pid):
        try:
            status = pathlib.Path(f'/proc/{process}/status').read_text()
            files += len(os.listdir(f'/proc/{process}/fd'))
        except OSError:
            continue  # It has ended.
        resident_kb += int(status.partition('VmRSS:')[2].split()[0])
    return resident_kb / 1e3, files


def _classify(*arguments: object) -> list[str]:
    return [sys.executable, '-m', 'trainer.classify.command', *map(str, arguments)]


def _alone(model: str, folder: pathlib.Path, contents: dict[str, bytes]) -> dict[str, str]:
    """Returns the outcome of each content, of a run on all of them."""
    (folder / 'alone').mkdir()
    for name, content in contents.items():
        (folder / 'alone' / f'{name}.abf').write_bytes(content)
    out = folder / 'alone_verdicts'
    command = _classify('--model', model, '--output_dir', out, '--allow_rejected', folder / 'alone')
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return {name: of_content[0] for name, of_content in outcomes(out).items()}


def _contents() -> dict[str, bytes]:
    from beam_pipelines.simulation.recordings import simulate
    from tests.support.recordings import TINY_PROFILE_SEED, tiny_profile

    with tempfile.TemporaryDirectory() as folder:
        simulate(pathlib.Path(folder), tiny_profile(), TINY_PROFILE_SEED)
        # Under other names, because the model may know those of its training cells.
        paths = sorted(pathlib.Path(folder).rglob('*.abf'))
        return {f'content{number}': path.read_bytes() for number, path in enumerate(paths)}


class Sample(NamedTuple):
    """The command at one moment; ``outcomes`` are verdicts and rejections."""

    seconds: float
    outcomes: int
    memory_mb: float
    open_files: int


def watch_and_feed(
    model: str, folder: pathlib.Path, series: list[tuple[float, Iterator[float]]], seconds: float
) -> tuple[int, list[Sample]]:
    """Runs ``sero-classify --watch`` on ``folder / 'watched'`` while the series write there; returns its status too.

    Its outputs are in ``folder / 'verdicts'``, what it says in ``folder / 'said'``.
    """
    out, samples = folder / 'verdicts', []
    arguments = _classify('--model', model, '--output_dir', out, '--watch', folder / 'watched')
    with open(folder / 'said', 'wb') as said:
        command = subprocess.Popen(arguments, stdout=said, stderr=said, cwd=ROOT)
        while not (out / 'cells.csv').exists() and command.poll() is None:
            time.sleep(0.1)
        began = time.monotonic()

        def sample() -> None:
            with contextlib.suppress(FileNotFoundError):  # The outputs are being replaced.
                count = sum(map(len, outcomes(out).values()))
                samples.append(Sample(time.monotonic() - began, count, *_resources(command.pid)))

        run_steps(series, seconds, sample)
        command.send_signal(signal.SIGINT)
        return command.wait(), samples


def wrong_outcomes(found: dict[str, list[str]], expected: dict[str, str | None], row_of: dict[str, str]) -> list[str]:
    """Returns a line for each cell that has not exactly the outcome that it must have."""
    right = {cell: [row_of.get(name, name)] if name else [] for cell, name in expected.items()}
    wrong = [f'{cell}: {found[cell]} in place of {right[cell]}' for cell in expected if found[cell] != right[cell]]
    return wrong + [f'{cell}: was never recorded' for cell in found.keys() - expected.keys()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', required=True, help='folder of a finished run')
    parser.add_argument('--recordings', type=int, default=300)
    parser.add_argument('--seconds', type=float, default=900.0)
    parser.add_argument('--seed', type=int, default=0)
    asked = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix='watch_under_fire'))
    (folder / 'watched').mkdir()
    contents = _contents()
    row_of = _alone(asked.model, folder, contents)
    fire = Fire(folder / 'watched', contents, asked.seed)
    series = plan(fire, asked.recordings, asked.seconds, asked.seed)
    status, samples = watch_and_feed(asked.model, folder, series, asked.seconds)
    found = outcomes(folder / 'verdicts')
    wrong = wrong_outcomes(found, fire.expected, row_of)
    for line in wrong:
        print(line)
    for at in samples[:: round(60 / _SAMPLE_S)]:
        print(f'{at.seconds:5.0f} s, {at.outcomes} outcomes: {at.memory_mb:.0f} MB, {at.open_files} open files')
    summary = {
        'recordings': asked.recordings, 'seed': asked.seed, 'status': status, 'wrong': len(wrong),
        'outcomes': sum(map(len, found.values())), 'last': samples[-1]._asdict(),
    }  # fmt: skip
    print(json.dumps(summary))
    if wrong or status:
        print((folder / 'said').read_text()[-2_000:], file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == '__main__':
    sys.exit(main())
