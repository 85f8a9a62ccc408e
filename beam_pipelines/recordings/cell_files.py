"""Finds the recordings in a list of files: which files belong to which cell of which class."""

from __future__ import annotations

import dataclasses
import os
import unicodedata
from collections.abc import Iterable

from beam_pipelines.recordings.formats import SUFFIXES, is_one_cell, is_recording
from beam_pipelines.recordings.rejection import RecordingRejected, RejectedFile
from beam_pipelines.recordings.sources import MADE
from beam_pipelines.recordings.spike_csv import is_misnamed_spike_csv, is_spike_csv
from beam_pipelines.recordings.verdict_files import without_verdicts

# Files that are not recordings and need no report.
_IGNORED_NAMES = ('thumbs.db', 'desktop.ini', *(source.root_file.lower() for source in MADE))


@dataclasses.dataclass(frozen=True)
class RecordingFiles:
    """The files of one recorded cell.

    Attributes
    ----------
    recording_set : ``original`` or ``non_homogeneous``.
    label : 0 SER or 1 NSER.
    cell_id : ``day#number``, such as ``A140313#073``.
    paths : one recording, or the cell's spike CSVs, sorted.
    spares : further files of the same cell, used only if none of ``paths`` is usable.
    """

    recording_set: str
    label: int
    cell_id: str
    paths: tuple[str, ...]
    spares: tuple[RecordingFiles, ...] = ()

    @property
    def is_recording(self) -> bool:
        """Whether the cell is one recording, and not spike CSVs."""
        return is_recording(self.paths[0])


def _cell_id(path: str) -> str:
    if is_recording(path):
        if is_misnamed_spike_csv(path):
            raise RecordingRejected('bad_name', 'the name is like that of a spike CSV, CELL_trigger_N.csv')
        cell_id = os.path.splitext(os.path.basename(path))[0]
    elif is_spike_csv(path):
        cell_id = os.path.basename(os.path.dirname(path))
    else:
        raise RecordingRejected(
            'unknown_format', f'expected a recording ({", ".join(SUFFIXES)}) or CELL/CELL_trigger_N.csv'
        )
    cell_id = composed(cell_id)
    check_cell_id(cell_id)
    return cell_id


def composed(name: str) -> str:
    """Returns a name in the one of its forms in Unicode that most programs write.

    A Mac may write an accented letter as two characters. Both forms look alike, and are one cell.
    """
    return unicodedata.normalize('NFC', name)


def look_alikes(cell_ids: Iterable[str]) -> list[str]:
    """Returns a warning for each group of cells whose names differ only in case or in the width of their characters."""
    alike: dict[str, list[str]] = {}
    for cell_id in sorted(cell_ids):
        alike.setdefault(unicodedata.normalize('NFKC', cell_id).casefold(), []).append(cell_id)
    return [
        f'WARNING: the cells {" and ".join(names)} differ only in how their names are written'
        for names in alike.values()
        if len(names) > 1
    ]


def check_cell_id(cell_id: str) -> None:
    """Raises RecordingRejected if a cell id cannot be stored: one per line, without outer spaces."""
    if not cell_id or cell_id != cell_id.strip() or not cell_id.isprintable():
        raise RecordingRejected('bad_name', f'{cell_id!r} cannot be a cell id')


def is_ignored(path: str) -> bool:
    """Whether a file is hidden, written by a file manager, or says what made the recordings, as ``SIMULATED.json``."""
    name = os.path.basename(path)
    return name.startswith('.') or name.lower() in _IGNORED_NAMES


_File = tuple[str, int, str]


def _each_once(files: Iterable[_File]) -> tuple[list[_File], list[tuple[str, RejectedFile]]]:
    """Returns the files, sorted, without further names of the same one; and these."""
    names: dict[object, list[_File]] = {}
    for file in sorted(files):
        names.setdefault(_identity(file[2]), []).append(file)
    unique: list[_File] = []
    rejected: list[tuple[str, RejectedFile]] = []
    for of_one in names.values():
        if len({label for _, label, _ in of_one}) > 1:
            paths = ' and '.join(path for _, _, path in of_one)
            detail = f'they are the same file: {paths}'
            rejected += [(of_set, RejectedFile(path, 'contradictory_label', detail)) for of_set, _, path in of_one]
            continue
        # Its own name rather than a link's.
        of_one.sort(key=lambda file: (file[0] != 'original', os.path.islink(file[2]), file[2]))
        unique.append(of_one[0])
        detail = f'it is the same file as {of_one[0][2]}'
        rejected += [(of_set, RejectedFile(path, 'duplicate_file', detail)) for of_set, _, path in of_one[1:]]
    return sorted(unique), rejected


def _identity(path: str) -> object:
    """Returns what all names of one file have in common; the path itself of a file elsewhere, or of none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return path
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def group_files(
    files: Iterable[tuple[str, int, str]],
) -> tuple[list[RecordingFiles], list[tuple[str, RejectedFile]]]:
    """Groups files into recordings, one per cell.

    Parameters
    ----------
    files : (recording set, label, path) of each file; paths of this machine, or URLs. Verdicts of ``sero-classify``
        among them are no recordings.

    Returns
    -------
    The recordings, and (recording set, file) of each file that belongs to none; both in an order that depends only on
    the files. Of several names of one file, links among them, one is used. A cell that occurs twice is used once: its
    recording rather than its spike CSVs, and ``original`` rather than ``non_homogeneous``, which must hold no training
    cells. A cell labelled both SER and NSER is not used.
    """
    files = list(files)
    kept = set(without_verdicts(path for _, _, path in files))
    unique, rejected = _each_once([file for file in files if file[2] in kept and not is_ignored(file[2])])
    groups: dict[tuple[str, int, str, str], list[str]] = {}
    for recording_set, label, path in unique:
        try:
            cell_id = _cell_id(path)
        except RecordingRejected as error:
            rejected.append((recording_set, RejectedFile(path, error.reason, error.detail)))
            continue
        source = path if is_recording(path) else os.path.dirname(path)
        groups.setdefault((recording_set, label, cell_id, source), []).append(path)

    of_cell: dict[str, list[RecordingFiles]] = {}
    for (recording_set, label, cell_id, _), paths in groups.items():
        # Which cells are in a file of several is known when it is read.
        of_cell.setdefault(cell_id if is_one_cell(paths[0]) else paths[0], []).append(
            RecordingFiles(recording_set, label, cell_id, tuple(sorted(paths)))
        )
    recordings = []
    for cell_id, candidates in of_cell.items():
        candidates.sort(key=lambda files: (files.recording_set != 'original', not files.is_recording, files.paths))
        if len({files.label for files in candidates}) > 1:
            folders = ' and '.join(sorted({os.path.dirname(files.paths[0]) for files in candidates}))
            unusable, reason, detail = candidates, 'contradictory_label', f'cell {cell_id} is in {folders}'
        else:
            first = candidates[0]
            spares = tuple(files for files in candidates[1:] if files.recording_set == first.recording_set)
            recordings.append(dataclasses.replace(first, spares=spares))
            unusable = [files for files in candidates if files.recording_set != first.recording_set]
            reason, detail = 'duplicate_cell', f'cell {cell_id} is also in {first.paths[0]}'
        rejected.extend(
            (files.recording_set, RejectedFile(path, reason, detail)) for files in unusable for path in files.paths
        )
    return sorted(recordings, key=lambda files: (files.recording_set, files.cell_id)), rejected
