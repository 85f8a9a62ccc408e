"""The units table of an existing NWB file: its spike times, and whether verdicts may be added to it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines.errors import UserError
from beam_pipelines.recordings.library_errors import library_errors
from beam_pipelines.recordings.nwb_promises import check_dataset, check_nwb_promises
from beam_pipelines.recordings.rejection import RecordingRejected, missing_library
from trainer.classify.nwb_columns import UNITS_COLUMNS

if TYPE_CHECKING:
    import h5py

# The kinds of numbers, as of NumPy's ``dtype.kind``.
_SPIKE_TIMES = {'id': 'iu', 'spike_times': 'fiu', 'spike_times_index': 'iu'}


@dataclasses.dataclass(frozen=True)
class UnitsTable:
    """The units of an NWB file.

    Attributes
    ----------
    path : of the file, as the user has named it.
    ids : of the units.
    spike_times_s : for each unit (k,) float64, ascending, on the clock of the file.
    verdicts : names of the columns of earlier verdicts.
    state : what changes when somebody writes the file.
    """

    path: str
    ids: tuple[int, ...]
    spike_times_s: tuple[np.ndarray, ...]
    verdicts: tuple[str, ...]
    state: tuple[int, ...]

    def check_unchanged(self) -> None:
        """Raises UserError if the file is not the one that was read, or this process may write it."""
        _check_not_written_here(self.path)
        if _state_of(self.path) != self.state:
            raise UserError('was written meanwhile, and stays as it is; run the command again', file=self.path)


def read_units(path: str) -> UnitsTable:
    """Reads the units of an NWB file to which verdicts may be added.

    Raises
    ------
    UserError
        If it is no NWB file, is open for writing in this process or in another program, may not be replaced by a copy,
        has no units with spike times, or has something else under the name of a verdict's column; or if h5py is not
        installed.
    """
    try:
        import h5py
    except ImportError:
        raise UserError(missing_library(path, 'pynwb').detail, file=path) from None  # pynwb brings h5py.

    state = _state_of(path)
    _check_replaceable(path)
    _check_not_written_here(path)
    try:
        with library_errors('h5py'):
            check_nwb_promises(path)
            with h5py.File(path, 'r') as file:
                units = file.get('units')
                if not isinstance(units, h5py.Group) or 'colnames' not in units.attrs:
                    problem = 'has no units, to which verdicts could be added; --export nwb writes files of its own'
                    raise RecordingRejected('unreadable', problem)
                return UnitsTable(path, *_read_spike_times(units), _find_verdicts(units), state)
    except RecordingRejected as error:
        is_locked = isinstance(error.__cause__, BlockingIOError)
        problem = 'is open in another program, which may write it; close it there' if is_locked else error.detail
        raise UserError(problem, file=path) from None


def column_names(units: h5py.Group) -> list[str]:
    """Returns the names of the columns of a units table, in their order."""
    return list(map(_text, np.atleast_1d(units.attrs['colnames'])))  # A table of one column may have its name alone.


def _check_replaceable(path: str) -> None:
    """Raises UserError if a copy may not take the place of a file."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        kind = 'a folder' if stat.S_ISDIR(found.st_mode) else 'a device or pipe'
        raise UserError(f'is {kind}; name one NWB file', file=path)
    if not os.access(path, os.W_OK) or not found.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise UserError('is write-protected; allow writing, or give a copy', file=path)
    if found.st_nlink > 1:
        problem = f'has {found.st_nlink} names (hard links), and only one would get the verdicts; give a copy'
        raise UserError(problem, file=path)
    folder = os.path.dirname(os.path.realpath(path))
    if not os.access(folder, os.W_OK | os.X_OK):
        problem = f'nothing can be written into {folder}, where a copy takes its place; allow it, or give a copy'
        raise UserError(problem, file=path)


def _check_not_written_here(path: str) -> None:
    """Raises UserError if this process has a file open for writing: it would go on writing the one that is replaced.

    HDF5 locks a file against other processes alone.
    """
    if any(os.path.samestat(written, os.stat(path)) for written in _files_written_here()):
        problem = 'is open for writing in this process; close it, or what is written there would be lost'
        raise UserError(problem, file=path)


def _files_written_here() -> Iterator[os.stat_result]:
    import h5py

    for file in h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE):
        if file.get_intent() & h5py.h5f.ACC_RDWR:
            # A name may be relative to a folder that is no longer the current one; other drivers have no descriptor.
            has_descriptor = file.get_access_plist().get_driver() == h5py.h5fd.SEC2
            with contextlib.suppress(OSError):  # A file in memory has a name that no file has.
                yield os.stat(file.get_vfd_handle() if has_descriptor else file.name)


def _read_spike_times(units: h5py.Group) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]]:
    if not all(name in units for name in _SPIKE_TIMES):
        raise RecordingRejected('unreadable', 'its units have no spike_times, by which a unit is told from another')
    for name, kinds in _SPIKE_TIMES.items():
        _check_numbers(f'units/{name}', units[name], kinds)
    ids, times, ends = (units[name][()] for name in _SPIKE_TIMES)
    if not len(ids):
        raise RecordingRejected('unreadable', 'its table of units is empty')
    bounds = np.concatenate([[0], ends]).astype(np.int64)
    if len(ends) != len(ids) or (np.diff(bounds) < 0).any() or bounds[-1] != len(times):
        problem = f'units/spike_times: {len(ids)} units and an index of {len(ends)} do not share out {len(times)} times'
        raise RecordingRejected('unreadable', problem)
    spikes = [np.sort(times[start:end].astype(np.float64)) for start, end in itertools.pairwise(bounds)]
    return tuple(map(int, ids)), tuple(spikes)


def _check_numbers(name: str, item: object, kinds: str) -> None:
    import h5py

    if not isinstance(item, h5py.Dataset) or len(item.shape or ()) != 1 or item.dtype.kind not in kinds:
        wanted = 'numbers' if 'f' in kinds else 'whole numbers'
        raise RecordingRejected('unreadable', f'{name}: is damaged, or of another kind: it is no column of {wanted}')
    check_dataset(name, item)


def _find_verdicts(units: h5py.Group) -> tuple[str, ...]:
    """Returns the columns of earlier verdicts; what others have put under such a name is never replaced."""
    present = set(units)
    for name, description in UNITS_COLUMNS.items():
        if f'{name}_index' in present or (name in present and not _is_verdict(units, name, description)):
            problem = f'units/{name}: was not written by sero-classify, which needs this name; rename it'
            raise RecordingRejected('unreadable', problem)
    return tuple(name for name in UNITS_COLUMNS if name in present)


def _is_verdict(units: h5py.Group, name: str, description: str) -> bool:
    import h5py

    if not isinstance(units.get(name, getlink=True), h5py.HardLink) or not isinstance(units[name], h5py.Dataset):
        return False
    # What the model is follows in that of the verdict.
    return _text(units[name].attrs.get('description', '')).startswith(description)


def _text(value: object) -> str:
    return value.decode(errors='replace') if isinstance(value, bytes) else str(value)


def _state_of(path: str) -> tuple[int, ...]:
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
