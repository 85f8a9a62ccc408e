"""Reads mutated recordings as the commands do: each must end in a right result or in a rejection of one line.

    python -m tests.fuzz.reading --seconds 600
    python -m tests.fuzz.reading --seconds 600 --seed 7 --only .nwb

The series of mutated files depends on the seed and the kept corpus alone. Each finding is written to a folder, as the
file that did it; the last line says how many files were read, and how many findings there were, as JSON.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator

from beam_pipelines.recordings.cell_files import group_files
from beam_pipelines.recordings.reading_options import PUBLISHED_CUTTING, ReadingOptions
from beam_pipelines.spikes.extraction import extract_cells

CORPUS = pathlib.Path(__file__).parent / 'corpus'

_MOST_SECONDS = 10
# Beside what the libraries take that are loaded once.
_MOST_BYTES = 1 << 30

_INTEGERS = (0, 1, 2, 3, 5, 16, 17, 255, 512, 2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_FLOATS = (0.0, 1e-30, 1e30, -1.0, float('nan'), float('inf'), 1e-3, 25.0, 100.0)
_TOKENS = (b'\x1b[2J', b'=1+1', b'\r\n', b'nan', b'inf', b'1e999', b'-', b',', b'\xff\xfe', b'pA', b'mV', bytes(8))
_OPTIONS = (
    ReadingOptions(sampling_rate_hz=40_000.0),
    ReadingOptions(resample=True, sampling_rate_hz=20_000.0, cutting=PUBLISHED_CUTTING),
)


def mutated(seed: int, only: str = '') -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of mutated files, without end; the same for the same seed.

    Parameters
    ----------
    seed : of the series.
    only : the end of the names to mutate, such as ``.abf``; empty for all.
    """
    seeds = [path for path in sorted(CORPUS.rglob('*')) if path.is_file() and path.name.endswith(only)]
    contents = {path: path.read_bytes() for path in seeds}
    chance = random.Random(seed)
    while True:
        path = chance.choice(seeds)
        content = bytearray(contents[path])
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            _mutate(content, chance)
        yield path.relative_to(CORPUS).as_posix(), bytes(content)


def _mutate(content: bytearray, chance: random.Random) -> None:
    if not content:
        return
    # Headers are at the start, and smaller than what follows them.
    reach = min(len(content), chance.choice((64, 512, 2048, 8192, len(content))))
    at = chance.randrange(reach)
    kind = chance.randrange(8)
    if kind == 0:
        content[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        content[at] = chance.randrange(256)
    elif kind == 2:
        form = chance.choice('hHiIqQ')
        value = chance.choice(_INTEGERS) * chance.choice((1, 1, -1))
        _put(content, at, (value % (1 << 8 * struct.calcsize(form))).to_bytes(struct.calcsize(form), 'little'))
    elif kind == 3:
        _put(content, at, struct.pack(chance.choice('<>') + chance.choice('fd'), chance.choice(_FLOATS)))
    elif kind == 4:
        del content[at : at + chance.choice((1, 2, 4, 8, 512, len(content)))]
    elif kind == 5:
        content[at:at] = content[at : at + chance.choice((1, 2, 8, 64))]
    elif kind == 6:
        content[at:at] = chance.choice(_TOKENS)
    else:
        _put(content, at, chance.choice(_TOKENS))


def _put(content: bytearray, at: int, patch: bytes) -> None:
    content[at : at + len(patch)] = patch


def check(path: pathlib.Path, options: ReadingOptions) -> str:
    """Reads a file as ``sero-build`` does, and returns what became of it: ``used`` or the reason of the rejection.

    Raises
    ------
    AssertionError
        If the file is not accounted for, or the reason or the detail is not what a user should see, or a library warns
        on the user's screen.
    """
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter('always')
        warnings.simplefilter('ignore', DeprecationWarning)  # These are not shown to users.
        outcome = _read(path, options)
    assert not shown, shown[0]
    return outcome


def _read(path: pathlib.Path, options: ReadingOptions) -> str:
    recordings, rejected = group_files([('original', 0, str(path))])
    outcomes = [file for _, file in rejected]
    used = 0
    for recording in recordings:
        for _, spikes, report in extract_cells(recording, 0, 10, options):
            outcomes += report.rejected
            used += report.used_files
            assert report.triggers == report.spikes + report.dropped
            if spikes is not None:
                assert spikes.waveforms.shape == (len(spikes.triggers), 160) and len(spikes.triggers)
    assert used or outcomes, 'the file was forgotten'
    for file in outcomes:
        assert file.reason != 'failed', file.detail
        assert '\n' not in file.detail and len(file.detail) < 1000 and file.detail
    return 'used' if used else outcomes[0].reason


def fuzz(seconds: float, seed: int, only: str, findings: pathlib.Path) -> dict:
    """Reads mutated files in child processes, which are started anew when one dies, until the time is over.

    Returns
    -------
    ``executions``, ``findings``, and how many files came to which end.
    """
    counts: dict = {'executions': 0, 'findings': 0, 'outcomes': {}}
    until, first = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        with tempfile.TemporaryDirectory() as folder:
            arguments = [folder, str(seed), only, str(first), str(until - time.monotonic())]
            child = subprocess.Popen(
                [sys.executable, '-m', 'tests.fuzz.reading', '--child', *arguments], stdout=subprocess.PIPE, text=True
            )
            assert child.stdout is not None
            for line in child.stdout:
                outcome = json.loads(line)
                counts['executions'] += 1
                first += 1
                counts['outcomes'][outcome] = counts['outcomes'].get(outcome, 0) + 1
            if child.wait() != 0:
                counts['findings'] += 1
                first += 1
                _keep(pathlib.Path(folder), findings, f'{seed}-{first}')
    return counts


def _keep(folder: pathlib.Path, findings: pathlib.Path, number: str) -> None:
    for path in folder.rglob('*'):
        if path.is_file():
            findings.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, findings / f'{number}-{path.name}')


def _read_until(folder: str, seed: str, only: str, first: str, seconds: str) -> None:
    """Prints the outcome of each file as a line of JSON; ends with an error at the first that goes wrong."""
    import resource
    import signal

    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES + (1 << 30), -1))
    until = time.monotonic() + float(seconds)
    for number, (name, content) in enumerate(mutated(int(seed), only)):
        if number < int(first):
            continue
        if time.monotonic() > until:
            return
        path = pathlib.Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        signal.alarm(_MOST_SECONDS)
        print(json.dumps(check(path, _OPTIONS[number % len(_OPTIONS)])), flush=True)
        signal.alarm(0)
        path.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=600)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--only', default='', help='mutate only files whose names end so, such as .abf')
    parser.add_argument('--findings', type=pathlib.Path, default=pathlib.Path('fuzz_findings'))
    parser.add_argument('--child', nargs=5, help=argparse.SUPPRESS)
    values = parser.parse_args()
    if values.child:
        _read_until(*values.child)
        return 0
    counts = fuzz(values.seconds, values.seed, values.only, values.findings)
    print(json.dumps(counts))
    return 1 if counts['findings'] else 0


if __name__ == '__main__':
    sys.exit(main())
