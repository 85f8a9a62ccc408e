"""The units table of an existing NWB file: its spike times in, columns out, whole or not at all.

Columns are added through HDF5 itself, so that all else in the file, extensions of NWB too, stays as it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines.errors import UserError
from beam_pipelines.recordings.library_errors import library_errors
from beam_pipelines.recordings.nwb_promises import check_dataset, check_nwb_promises
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.storage.atomic_files import staged
from beam_pipelines.storage.locks import written_by_one
from trainer.classify.nwb_columns import PREFIX

if TYPE_CHECKING:
    import h5py

# What a column takes in the file, generously: HDF5 may crash the process if it meets a full disk.
_RESERVED_BYTES, _RESERVED_BYTES_OF_UNIT, _RESERVED_PAGES = 1 << 20, 4096, 4
_BLOCK_BYTES = 1 << 20

_SPIKE_TIMES = ('id', 'spike_times', 'spike_times_index')


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a units table: what it means, and its value for each unit."""

    name: str
    description: str
    values: Sequence[str | float | int]


@dataclasses.dataclass(frozen=True)
class UnitsTable:
    """The units of an NWB file.

    Attributes
    ----------
    path : of the file, as the user has named it.
    ids : of the units.
    spike_times_s : for each unit (k,) float64, ascending, on the clock of the file.
    columns : names of the columns.
    state : what changes when somebody writes the file.
    """

    path: str
    ids: tuple[int, ...]
    spike_times_s: tuple[np.ndarray, ...]
    columns: tuple[str, ...]
    state: tuple[int, ...]

    def check_unchanged(self) -> None:
        """Raises UserError if the file is not the one that was read."""
        if _state_of(self.path) != self.state:
            raise UserError('was written meanwhile, and stays as it is; run the command again', file=self.path)


def read_units(path: str) -> UnitsTable:
    """Reads the units of an NWB file to which columns may be added.

    Raises
    ------
    UserError
        If it is no NWB file, is open in another program that writes it, may not be written, or has no units with spike
        times.
    """
    import h5py

    state = _state_of(path)
    if not os.access(path, os.W_OK) or not os.stat(path).st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise UserError('is write-protected; allow writing, or give a copy', file=path)
    try:
        with library_errors('h5py'):
            check_nwb_promises(path)
            with h5py.File(path, 'r') as file:
                units = file.get('units')
                if not isinstance(units, h5py.Group) or 'colnames' not in units.attrs:
                    problem = 'has no units, to which verdicts could be added; --export nwb writes files of its own'
                    raise RecordingRejected('unreadable', problem)
                return UnitsTable(path, *_read_spike_times(units), _column_names(units), state)
    except RecordingRejected as error:
        is_locked = isinstance(error.__cause__, BlockingIOError)
        problem = 'is open in another program, which may write it; close it there' if is_locked else error.detail
        raise UserError(problem, file=path) from None


def _read_spike_times(units: h5py.Group) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]]:
    if not all(name in units for name in _SPIKE_TIMES) or not len(units['id']):
        raise RecordingRejected('unreadable', 'its units have no spike_times, by which a unit is told from another')
    for name in _SPIKE_TIMES:
        check_dataset(f'units/{name}', units[name])
    ids, times, ends = (units[name][()] for name in _SPIKE_TIMES)
    bounds = np.concatenate([[0], ends]).astype(np.int64)
    if len(ends) != len(ids) or times.ndim != 1 or (np.diff(bounds) < 0).any() or bounds[-1] != len(times):
        problem = f'units/spike_times: {len(ids)} units and an index of {len(ends)} do not share out {len(times)} times'
        raise RecordingRejected('unreadable', problem)
    spikes = [np.sort(times[start:end].astype(np.float64)) for start, end in itertools.pairwise(bounds)]
    return tuple(map(int, ids)), tuple(spikes)


def _column_names(units: h5py.Group) -> tuple[str, ...]:
    names = np.atleast_1d(units.attrs['colnames'])  # A table of one column may have its name alone.
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)


@contextlib.contextmanager
def adding_columns(columns_of: Sequence[tuple[UnitsTable, Sequence[Column]]]) -> Iterator[None]:
    """Replaces files by copies with further columns when the block ends; if anything fails, every file stays as it is.

    The copies are made beside the files before the block. A killed process leaves the files as they are, and perhaps a
    hidden copy ``.*.partial.nwb``.

    Parameters
    ----------
    columns_of : the files, as they were read, and the columns of each; those of earlier verdicts go.

    Raises
    ------
    UserError
        If somebody has written a file since it was read, or another command is at it.
    OSError
        If a copy cannot be written.
    """
    with contextlib.ExitStack() as stack:
        for table, columns in columns_of:
            path = os.path.realpath(table.path)  # else a link would be replaced, and not the file
            folder, name = os.path.split(path)
            lock = os.path.join(folder, f'.{name}.sero.lock')
            stack.enter_context(written_by_one(folder, 'wait for it', lock))
            table.check_unchanged()
            _copy_with_columns(path, stack.enter_context(staged(path)), columns)
        yield
        for table, _ in columns_of:
            table.check_unchanged()


def _copy_with_columns(path: str, copy: str, columns: Sequence[Column]) -> None:
    import h5py

    with h5py.File(path, 'r') as original:  # Keeps out the programs that heed the locks of HDF5.
        shutil.copyfile(path, copy)
        # Files for the cloud grow by whole pages, of megabytes.
        page_bytes = original.id.get_create_plist().get_file_space_page_size()
    shutil.copymode(path, copy)
    _reserve(
        copy,
        _RESERVED_BYTES + len(columns[0].values) * _RESERVED_BYTES_OF_UNIT + _RESERVED_PAGES * page_bytes,
    )
    with h5py.File(copy, 'r+') as file:
        units = file['units']
        for name in [name for name in units if name.startswith(PREFIX)]:
            del units[name]
        for column in columns:
            _write_column(units, column)
        names = [name for name in _column_names(units) if not name.startswith(PREFIX)]
        names += [column.name for column in columns]
        units.attrs['colnames'] = np.array(names, h5py.string_dtype())


def _reserve(path: str, missing: int) -> None:
    """Makes a file longer, so that what HDF5 adds has its place on the disk; HDF5 cuts off what it does not use."""
    with open(path, 'ab') as file:
        for start in range(0, missing, _BLOCK_BYTES):
            file.write(bytes(min(_BLOCK_BYTES, missing - start)))
        file.flush()
        os.fsync(file.fileno())


def _write_column(units: h5py.Group, column: Column) -> None:
    import h5py

    kind = h5py.string_dtype() if isinstance(column.values[0], str) else None
    values = np.array(column.values, kind)
    # So that more units can be added.
    dataset = units.create_dataset(column.name, data=values, maxshape=(None,), chunks=values.shape)
    described = {'namespace': 'hdmf-common', 'neurodata_type': 'VectorData', 'object_id': str(uuid.uuid4())}
    for name, text in (described | {'description': column.description}).items():
        dataset.attrs[name] = text


def _state_of(path: str) -> tuple[int, ...]:
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
