"""Finds the recordings in a list of files: which files belong to which cell of which class."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterable

from beam_pipelines.rejection import RecordingRejected

# What file managers leave behind: no recording, and no reason to bother anyone.
_IGNORED_NAMES = ('thumbs.db', 'desktop.ini')


@dataclasses.dataclass(frozen=True)
class RecordingFiles:
    """The files of one recorded cell.

    Attributes
    ----------
    recording_set : ``original`` or ``non_homogeneous``.
    label : 0 SER or 1 NSER.
    cell_id : ``day#number``, such as ``A140313#073``.
    paths : one ``.abf`` file, or the cell's spike CSVs, sorted.
    """

    recording_set: str
    label: int
    cell_id: str
    paths: tuple[str, ...]

    @property
    def is_abf(self) -> bool:
        return _is_abf(self.paths[0])


@dataclasses.dataclass(frozen=True)
class RejectedFile:
    """A file that is not used: a line of ``rejected.jsonl``."""

    path: str
    reason: str
    detail: str


def _is_abf(path: str) -> bool:
    return path.lower().endswith('.abf')


def _cell_id(path: str) -> str:
    if _is_abf(path):
        cell_id = posixpath.basename(path)[: -len('.abf')]
    elif path.lower().endswith('.csv'):
        cell_id = posixpath.basename(posixpath.dirname(path))
    else:
        raise RecordingRejected('unknown_format', 'expected an .abf file or CELL/CELL_trigger_N.csv')
    # Cell ids are stored one a line and stripped, so a name with line breaks would come back as another.
    if not cell_id or cell_id != cell_id.strip() or not cell_id.isprintable():
        raise RecordingRejected('bad_name', f'{cell_id!r} cannot be a cell id')
    return cell_id


def is_ignored(path: str) -> bool:
    """Whether the file is hidden or left by a file manager."""
    name = posixpath.basename(path)
    return name.startswith('.') or name.lower() in _IGNORED_NAMES


def group_files(
    files: Iterable[tuple[str, int, str]],
) -> tuple[list[RecordingFiles], list[tuple[str, RejectedFile]]]:
    """Groups files into recordings, one a cell.

    Parameters
    ----------
    files : (recording set, label, path) of each file; paths have ``/``.

    Returns
    -------
    The recordings, and the files that belong to none with their recording set, both in an order that depends on the
    files alone. A cell that comes twice is used once: the ``.abf`` before the CSVs, ``original`` before
    ``non_homogeneous``.
    """
    rejected = []
    groups: dict[tuple[str, int, str, str], list[str]] = {}
    for recording_set, label, path in sorted(files):
        if is_ignored(path):
            continue
        try:
            cell_id = _cell_id(path)
        except RecordingRejected as error:
            rejected.append((recording_set, RejectedFile(path, error.reason, error.detail)))
            continue
        source = path if _is_abf(path) else posixpath.dirname(path)
        groups.setdefault((recording_set, label, cell_id, source), []).append(path)

    used: dict[str, RecordingFiles] = {}
    candidates = [
        RecordingFiles(recording_set, label, cell_id, tuple(sorted(paths)))
        for (recording_set, label, cell_id, _), paths in groups.items()
    ]
    # `original` must win over `non_homogeneous`: the latter is defined as what was never trained on.
    candidates.sort(
        key=lambda recording: (recording.recording_set != 'original', not recording.is_abf, recording.paths)
    )
    for recording in candidates:
        first = used.setdefault(recording.cell_id, recording)
        if first is not recording:
            detail = f'cell {recording.cell_id} is already used from {first.paths[0]}'
            rejected.extend(
                (recording.recording_set, RejectedFile(path, 'duplicate_cell', detail)) for path in recording.paths
            )
    return sorted(used.values(), key=lambda recording: (recording.recording_set, recording.cell_id)), rejected
