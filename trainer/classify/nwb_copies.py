"""Puts columns into the units table of an existing NWB file, whole or not at all: a copy with them takes its place.

The columns are added through HDF5 itself, so that all else in the file, extensions of NWB too, stays as it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import staged
from beam_pipelines.storage.locks import written_by_one
from trainer.classify.nwb_units import UnitsTable, column_names

if TYPE_CHECKING:
    import h5py

# What a column takes in the file, generously: HDF5 may crash the process if it meets a full disk.
_RESERVED_BYTES, _RESERVED_BYTES_OF_UNIT, _RESERVED_PAGES = 1 << 20, 4096, 4
_BLOCK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a units table: what it means, and its value for each unit."""

    name: str
    description: str
    values: Sequence[str | float | int]


@contextlib.contextmanager
def adding_columns(columns_of: Sequence[tuple[UnitsTable, Sequence[Column]]]) -> Iterator[None]:
    """Replaces each file by a copy with further columns when the block ends; if the block fails, all stay as they are.

    The copies are made beside the files before the block. At its end one file is replaced after the other: each has all
    of its columns or none. A killed process leaves each file whole, and perhaps a hidden copy ``.*.partial.nwb``.

    Parameters
    ----------
    columns_of : the files, as they were read, and the columns of each; those of earlier verdicts go.

    Raises
    ------
    UserError
        If somebody has written a file since it was read, another command is at it, or a copy cannot belong to whom the
        file belongs to.
    OSError
        If a copy cannot be written, or cannot take the place of its file; it names the files that have their columns.
    """
    replaced: list[str] = []
    try:
        with contextlib.ExitStack() as stack:
            # The stack unwinds in reverse, so the files are replaced in the given order.
            for table, columns in reversed(columns_of):
                path = os.path.realpath(table.path)  # else a link would be replaced, and not the file
                folder, name = os.path.split(path)
                lock = os.path.join(folder, f'.{name}.sero.lock')
                stack.enter_context(written_by_one(folder, 'wait for it', lock))
                table.check_unchanged()
                stack.enter_context(_noting(replaced, table.path))
                _copy_with_columns(table, stack.enter_context(staged(path)), columns)
            # Before the block, which may write what belongs to the verdicts, and after it.
            _check_unchanged(columns_of)
            yield
            _check_unchanged(columns_of)
    except OSError as error:
        if not replaced:
            raise
        problem = f'{error.strerror or error}; the verdicts are in {", ".join(replaced)} already'
        raise OSError(error.errno, problem, error.filename) from None


@contextlib.contextmanager
def _noting(replaced: list[str], path: str) -> Iterator[None]:
    """Notes a file when the block, which replaces it, has ended well."""
    yield
    replaced.append(path)


def _check_unchanged(columns_of: Sequence[tuple[UnitsTable, object]]) -> None:
    for table, _ in columns_of:
        table.check_unchanged()


def _copy_with_columns(table: UnitsTable, copy: str, columns: Sequence[Column]) -> None:
    import h5py

    with h5py.File(table.path, 'r') as original:  # Keeps out the programs that heed the locks of HDF5.
        _copy_for_its_owner(table.path, copy)
        # Files for the cloud grow by whole pages, of megabytes.
        page_bytes = original.id.get_create_plist().get_file_space_page_size()
    _reserve(
        copy,
        _RESERVED_BYTES + len(columns[0].values) * _RESERVED_BYTES_OF_UNIT + _RESERVED_PAGES * page_bytes,
    )
    with h5py.File(copy, 'r+') as file:
        units = file['units']
        for name in table.verdicts:
            del units[name]
        for column in columns:
            _write_column(units, column)
        names = [name for name in column_names(units) if name not in table.verdicts]
        units.attrs['colnames'] = np.array([*names, *(column.name for column in columns)], h5py.string_dtype())
    # Last, because it may take away the right to write: permissions and extended attributes, access lists among them.
    shutil.copystat(table.path, copy)
    os.utime(copy)


def _copy_for_its_owner(path: str, copy: str) -> None:
    """Copies the content of a file for its owner and group; nobody else may read the copy while it is not complete."""
    with open(path, 'rb') as original, open(copy, 'xb', opener=_open_privately) as file:
        _give_to_owner(path, copy)
        shutil.copyfileobj(original, file, _BLOCK_BYTES)


def _give_to_owner(path: str, copy: str) -> None:
    wanted, made = os.stat(path), os.stat(copy)
    try:
        if made.st_gid != wanted.st_gid:
            shutil.chown(copy, group=wanted.st_gid)
        if made.st_uid != wanted.st_uid:
            shutil.chown(copy, user=wanted.st_uid)
    except OSError as error:
        problem = f'a copy cannot have its owner and group ({error.strerror}); let them run the command, or give a copy'
        raise UserError(problem, file=path) from None


def _open_privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


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
