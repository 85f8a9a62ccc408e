"""The 153 published cells of ``original``: class, recording day and number of spikes of each.

The list is the file ``published_cells.csv``. Six of its 23 recording days hold both classes, so the day alone tells the
class of 138 cells.

Source: printed by the training notebook of the authors' repository *DLAtypicalSerotoninergicCells*
(arXiv 2405.05516).
"""

from __future__ import annotations

import csv
import dataclasses
import functools
from importlib import resources

SOURCE = "the authors' training notebook (DLAtypicalSerotoninergicCells, arXiv 2405.05516)"

_FILE = 'published_cells.csv'


@dataclasses.dataclass(frozen=True)
class PublishedCell:
    """A published cell: ``SER`` or ``NSER``, ``day#number``, the recording day, and how many spikes were used."""

    label_name: str
    cell_id: str
    day: str
    spikes: int


@functools.cache
def published_cells() -> tuple[PublishedCell, ...]:
    """Returns the published cells, in the order of the list: SER before NSER."""
    lines = resources.files(__package__).joinpath(_FILE).read_text(encoding='utf-8').splitlines()
    return tuple(
        PublishedCell(row['label'], row['cell'], row['day'], int(row['files_in_folder']))
        for row in csv.DictReader(lines)
    )
