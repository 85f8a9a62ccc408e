"""The published numbers of cells and spikes, and those of a recordings root, cell by cell where they are published."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
from collections.abc import Mapping

from beam_pipelines import domain
from beam_pipelines.recordings.cell_files import group_files, is_ignored
from beam_pipelines.recordings.published_cells import published_cells
from beam_pipelines.recordings.reading_options import PUBLISHED_CUTTING, ReadingOptions
from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.spikes.extraction import read_cells
from beam_pipelines.storage.walk import walk_files


@dataclasses.dataclass(frozen=True)
class Count:
    """Cells and spikes of one class of one set."""

    cells: int
    spikes: int


# Source: arXiv 2405.05516 and 2407.05701.
PUBLISHED = {
    'original/SER': Count(108, 29_773),
    'original/NSER': Count(45, 13_554),
    'non_homogeneous/SER': Count(55, 18_595),
    'non_homogeneous/NSER': Count(26, 6_021),
}


@dataclasses.dataclass(frozen=True)
class RootCount:
    """What a recordings root holds.

    Attributes
    ----------
    folders : cells and spikes that can be used, by ``SET/CLASS``.
    rejected : the files that cannot be used.
    made_files : used files that nobody recorded, by the name of what made them; see ``recordings.sources``.
    spikes_of_cells : spikes that can be used of each cell of ``original``, by ``CLASS/CELL``.
    """

    folders: dict[str, Count]
    rejected: tuple[RejectedFile, ...]
    made_files: collections.Counter[str]
    spikes_of_cells: dict[str, int] = dataclasses.field(default_factory=dict)


def count_root(root: pathlib.Path) -> RootCount:
    """Reads all recordings of a root, as ``sero-build`` does, and counts what can be used.

    Raises
    ------
    OSError
        If a folder cannot be read; a missing folder holds nothing.
    """
    files = [
        (recording_set, label, path)
        for recording_set in domain.RECORDING_SETS
        for label, name in enumerate(domain.LABEL_NAMES)
        for path in _files_below(root / recording_set / name)
    ]
    recordings, of_no_cell = group_files(files)
    rejected = [file for _, file in of_no_cell]
    folders = dict.fromkeys(PUBLISHED, Count(0, 0))
    made_files: collections.Counter[str] = collections.Counter()
    spikes_of_cells: dict[str, int] = {}
    for recording in recordings:
        name = f'{recording.recording_set}/{domain.LABEL_NAMES[recording.label]}'
        for cell, report in read_cells(recording, ReadingOptions(cutting=PUBLISHED_CUTTING)):
            rejected.extend(report.rejected)
            made_files += report.made_files
            if cell is not None:
                folders[name] = Count(folders[name].cells + 1, folders[name].spikes + report.spikes)
                if recording.recording_set == 'original':
                    spikes_of_cells[f'{domain.LABEL_NAMES[recording.label]}/{cell.cell_id}'] = report.spikes
    return RootCount(folders, tuple(rejected), made_files, spikes_of_cells)


def _files_below(folder: pathlib.Path) -> list[str]:
    return sorted(path for path in walk_files(os.fspath(folder)) if not is_ignored(path))


def describe_counts(found: RootCount) -> str:
    """Returns a table for a terminal: the counts found beside the published ones."""
    form = '{:<21}{:>7}{:>11}{:>9}{:>11}  {}'
    lines = [form.format('', 'cells', 'published', 'spikes', 'published', '').rstrip()]
    for name, published in PUBLISHED.items():
        count = found.folders[name]
        numbers = (f'{number:,}' for number in (count.cells, published.cells, count.spikes, published.spikes))
        lines.append(form.format(name, *numbers, 'as published' if count == published else 'DIFFERS'))
    return '\n'.join(lines)


def list_differences(found: RootCount) -> list[str]:
    """Returns a line for each cell of ``original`` that differs from the published list, is missing or is extra.

    The numbers of the cells of ``non_homogeneous`` are not published one by one.
    """
    published = {f'{cell.label_name}/{cell.cell_id}': cell.spikes for cell in published_cells()}
    of_cells = found.spikes_of_cells
    lines = [
        f'original/{name}: {of_cells[name]:,} spikes, published {spikes:,}'
        for name, spikes in published.items()
        if name in of_cells and of_cells[name] != spikes
    ]
    lines += [
        f'original/{name}: missing, published {spikes:,} spikes{_elsewhere(name, of_cells)}'
        for name, spikes in published.items()
        if name not in of_cells
    ]
    lines += [
        f'original/{name}: extra, {spikes:,} spikes; not in the published list'
        for name, spikes in sorted(of_cells.items())
        if name not in published
    ]
    return lines


def _elsewhere(name: str, of_cells: Mapping[str, int]) -> str:
    """Says if a cell is in the folder of the other class."""
    cell_id = name.partition('/')[2]
    others = [f'{label}/{cell_id}' for label in domain.LABEL_NAMES]
    return next((f'; there is original/{other}' for other in others if other in of_cells), '')
