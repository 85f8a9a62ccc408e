"""Recordings: each file of the kept corpus, changed, is read as ``sero-build`` reads it."""

from __future__ import annotations

import pathlib
import random

from beam_pipelines.recordings.cell_files import group_files
from beam_pipelines.recordings.reading_options import PUBLISHED_CUTTING, ReadingOptions
from beam_pipelines.spikes.extraction import extract_cells
from tests.fuzz.mutation import mutate
from tests.fuzz.target import USED, Execute, Target

CORPUS = pathlib.Path(__file__).parent / 'corpus' / 'recordings'

_OPTIONS = (
    ReadingOptions(sampling_rate_hz=40_000.0),
    ReadingOptions(resample=True, sampling_rate_hz=20_000.0, cutting=PUBLISHED_CUTTING),
)
_FORMATS = ('abf', 'wcp', 'smr', 'axgx', 'ibw', 'nwb', 'npy', 'csv')


def check(path: pathlib.Path, options: ReadingOptions) -> str:
    """Reads a file as ``sero-build`` does, and returns what became of it: ``used`` or the reason of the rejection.

    Raises
    ------
    AssertionError
        If the file is not accounted for, or the reason or the detail is not what a user should see.
    """
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
    return USED if used else outcomes[0].reason


def _target(ending: str) -> Target:
    def prepare(folder: pathlib.Path) -> Execute:
        seeds = [path for path in sorted(CORPUS.rglob('*')) if path.suffix == f'.{ending}']
        contents = {path.relative_to(CORPUS): path.read_bytes() for path in seeds}
        for path in seeds:  # Now, because libraries write into their caches when they are imported.
            assert check(path, _OPTIONS[0]) == USED

        def execute(chance: random.Random) -> str:
            name = chance.choice(list(contents))
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(mutate(contents[name], chance))
            return check(path, chance.choice(_OPTIONS))

        return execute

    return Target(ending, prepare)


TARGETS = tuple(map(_target, _FORMATS))
