"""What recordings are made of if nobody recorded them, and how all that is made from them says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

RECORDED = 'recorded'


@dataclasses.dataclass(frozen=True)
class Source:
    """What made recordings, in words that follow them into files, reports and terminals.

    Attributes
    ----------
    name : as in a dataset's metadata, such as ``simulated``.
    root_file : the file in a recordings root that says so, with the ground truth.
    abf_comment : marks an ABF file, even after it is copied.
    nwb_keyword : marks an NWB file.
    recordings : what such recordings are called, as in "trained on SIMULATED recordings".
    predicate : what one of them is, as in "the recording is SIMULATED".
    not_about : what results on them say nothing about.
    """

    name: str
    root_file: str
    abf_comment: bytes
    nwb_keyword: str
    recordings: str
    predicate: str
    not_about: str


SIMULATED = Source(
    name='simulated',
    root_file='SIMULATED.json',
    abf_comment=b'SIMULATED by sero-spikes',
    nwb_keyword='simulated recording',
    recordings='SIMULATED recordings',
    predicate='SIMULATED',
    not_about='real neurons',
)
REAL_SHAPES = Source(
    name='real_shapes',
    root_file='REAL_SHAPES.json',
    abf_comment=b'REAL SPIKE SHAPES, SIMULATED NOISE by sero-spikes',
    nwb_keyword='real spike shapes, simulated noise',
    recordings='recordings of REAL SPIKE SHAPES under SIMULATED NOISE',
    predicate='of REAL SPIKE SHAPES under SIMULATED NOISE',
    not_about='raphe neurons, because SER and NSER stand for other types of neuron here',
)

# From the least real on: recordings of several sources count as the first of these that is among them.
MADE = (SIMULATED, REAL_SHAPES)


def find_source(names: Collection[str]) -> Source | None:
    """Returns what made recordings of these sources: the least real one; None if all were recorded, or nobody knows."""
    return next((source for source in MADE if source.name in names), None)


def stamp_column(sources: Iterable[Collection[str]]) -> dict[str, list[str]]:
    """Returns the column ``source`` of a table, empty if all was recorded: contracts name the other columns.

    Parameters
    ----------
    sources : of each row, the sources of all that it rests on: the recording's, and the model's.
    """
    made = [find_source(of_row) for of_row in sources]
    return {'source': [source.name if source else RECORDED for source in made]} if any(made) else {}


def words_of_source(name: str) -> str:
    """Returns what recordings of a source are called in a sentence."""
    source = find_source([name])
    return source.recordings.lower() if source else f'{name} recordings'
