"""The published synthetic spikes: sets of three ``.npy`` files of n rows each, which are mapped and never loaded whole.

NAME_observations.npy   (n, 160, 2, 1) float64: column 0 time, column 1 current in pA
NAME_labels.npy         (n, 1): 0 SER, 1 NSER
NAME_cells.npy          (n, 1) text: the cell that the spike was made from
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
import re
from collections.abc import Iterable, Iterator

import numpy as np

from beam_pipelines import domain
from beam_pipelines.recordings.cell_files import check_cell_id, composed
from beam_pipelines.recordings.formats import is_recording
from beam_pipelines.recordings.npy_file import map_npy
from beam_pipelines.recordings.rejection import RecordingRejected, RejectedFile
from beam_pipelines.recordings.spike_csv import is_spike_csv

_KINDS = ('observations', 'labels', 'cells')
_KIND = re.compile(rf'(?<![a-z])({"|".join(_KINDS)})(?![a-z])', re.IGNORECASE)

_OBSERVATION_SHAPE = (domain.SPIKE_SAMPLES, 2, 1)
_CURRENT_COLUMN = 1
# Rows whose labels and cells are read at a time.
_BLOCK = 1 << 18
_SAMPLED_ROWS = 1024


@dataclasses.dataclass(frozen=True)
class ArrayFiles:
    """The paths of a set of arrays."""

    observations: str
    labels: str
    cells: str

    @property
    def paths(self) -> tuple[str, str, str]:
        """All three."""
        return self.observations, self.labels, self.cells


def group_arrays(paths: Iterable[str]) -> tuple[list[ArrayFiles], list[RejectedFile]]:
    """Groups files into sets of arrays: the names of a set differ only in the words observations, labels and cells.

    Parameters
    ----------
    paths : with ``/``, in any order.

    Returns
    -------
    The complete sets, and the other files; both sorted.
    """
    sets: dict[str, dict[str, str]] = {}
    rejected = []
    for path in sorted(paths):
        folder, name = os.path.split(path)
        match = next(reversed(list(_KIND.finditer(name))), None)
        if match is None or not name.lower().endswith('.npy'):
            rejected.append(
                RejectedFile(path, 'unknown_format', f'expected NAME_{{{",".join(_KINDS)}}}.npy, see docs/reproduce.md')
            )
            continue
        key = f'{folder}/{name[: match.start()]}*{name[match.end() :]}'
        first = sets.setdefault(key, {}).setdefault(match[0].lower(), path)
        if first != path:
            rejected.append(RejectedFile(path, 'bad_name', f'{first} has the same part of the same set'))
    complete = []
    for of_kind in sets.values():
        missing = [kind for kind in _KINDS if kind not in of_kind]
        if missing:
            detail = f'no file of {" and ".join(missing)} has this name'
            rejected.extend(RejectedFile(path, 'bad_name', detail) for path in of_kind.values())
        else:
            complete.append(ArrayFiles(*(of_kind[kind] for kind in _KINDS)))
    return complete, sorted(rejected, key=lambda file: file.path)


def cell_of(name: str) -> str:
    """Returns the cell id for a name in the arrays: that of a cell, of its recording, or of one of its spike CSVs."""
    base = name.strip().replace('\\', '/').rpartition('/')[2]
    if is_spike_csv(base):
        return composed(base[: base.lower().rindex('_trigger_')])
    return composed(os.path.splitext(base)[0] if is_recording(base) else base)


class SpikeArrays:
    """A mapped set of arrays with n rows.

    Parameters
    ----------
    files : local files.

    Raises
    ------
    RecordingRejected
        If they are not three arrays of n rows.
    """

    def __init__(self, files: ArrayFiles):
        self._path = files.observations
        self._observations = map_npy(files.observations)
        labels, cells = map_npy(files.labels), map_npy(files.cells)
        shape = self._observations.shape
        if shape[1:] != _OBSERVATION_SHAPE or self._observations.dtype.kind != 'f':
            raise RecordingRejected(
                'bad_array',
                f'{self._observations.dtype} of shape {shape}; expected (n, 160, 2, 1) floats',
            )
        for name, array, kinds in (('labels', labels, 'biuf'), ('cells', cells, 'US')):
            if array.size != shape[0] or array.dtype.kind not in kinds:
                raise RecordingRejected(
                    'bad_array', f'the {name} are {array.dtype} of shape {array.shape}, for {shape[0]} observations'
                )
        self._labels, self._cells = labels.reshape(-1), cells.reshape(-1)

    def __len__(self) -> int:
        return len(self._labels)

    def count_spikes(self) -> dict[str, tuple[int, int]]:
        """Returns {cell id: (label, number of its spikes)}, in the order of the file.

        Raises
        ------
        RecordingRejected
            If a label is neither 0 nor 1, a cell has both, or a name cannot be a cell id.
        """
        counts: collections.Counter[tuple[str, int]] = collections.Counter()
        for first in range(0, len(self), _BLOCK):
            rows = slice(first, first + _BLOCK)
            labels = self._labels[rows]
            bad = np.flatnonzero(~np.isin(labels, (0, 1)))
            if len(bad):
                raise RecordingRejected('bad_array', f'row {first + bad[0]} has the label {labels[bad[0]]}, not 0 or 1')
            counts.update(zip(self._names(rows), labels.astype(int).tolist(), strict=True))
        found: dict[str, tuple[int, int]] = {}
        for (name, label), count in counts.items():
            cell_id = cell_of(name)
            check_cell_id(cell_id)
            known_label, known = found.get(cell_id, (label, 0))
            if known_label != label:
                raise RecordingRejected('contradictory_label', f'cell {cell_id} has rows of both labels')
            found[cell_id] = label, known + count
        return found

    def fingerprint(self) -> str:
        """Returns a hash of the size, the labels, the cells and a sample of the observations, evenly spread."""
        digest = hashlib.sha256(repr((self._observations.shape, self._observations.dtype.str)).encode())
        for array in (self._labels, self._cells):
            for first in range(0, len(self), _BLOCK):
                digest.update(np.ascontiguousarray(array[first : first + _BLOCK]).data)
        for row in np.unique(np.linspace(0, len(self) - 1, _SAMPLED_ROWS).astype(np.int64)) if len(self) else ():
            # Mapped anew, so that the pages around so many rows are not all held.
            digest.update(np.ascontiguousarray(map_npy(self._path)[row]).data)
        return digest.hexdigest()

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Reads rows, in the given order.

        Parameters
        ----------
        rows : (k,) int64.

        Returns
        -------
        The currents, (k, 160) float32 in pA; labels, (k,) int64; names, see ``cell_of``.

        Raises
        ------
        RecordingRejected
            If a value is not finite.
        """
        with np.errstate(over='ignore'):
            current_pa = self._observations[:, :, _CURRENT_COLUMN, 0][rows].astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(current_pa).all(axis=1))
        if len(bad):
            raise RecordingRejected('not_finite', f'{self._path}: row {rows[bad[0]]}: a value is not a finite number')
        return current_pa, self._labels[rows].astype(np.int64), list(self._names(rows))

    def _names(self, rows: slice | np.ndarray) -> Iterator[str]:
        names = self._cells[rows].tolist()
        return (name.decode('utf-8', 'replace') for name in names) if self._cells.dtype.kind == 'S' else iter(names)
