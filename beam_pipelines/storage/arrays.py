"""Reads arrays out of ``.npy`` and ``.npz`` files, never with pickle and never more than the file holds."""

from __future__ import annotations

import io
import math
import os
import warnings
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from beam_pipelines.errors import UserError
from beam_pipelines.storage.bounds import MOST_BYTES_OF_SMALL_FILE
from beam_pipelines.storage.walk import check_regular

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_KINDS = {'f': 'numbers', 'iu': 'whole numbers', 'U': 'text'}


def decode_npy(content: bytes, file: str | os.PathLike, kinds: str = 'f', field: str | None = None) -> np.ndarray:
    """Returns the array in the content of an ``.npy`` file, without a copy: read-only.

    Parameters
    ----------
    content : of the file.
    file : its path, for errors.
    kinds : what it may hold, by NumPy's letters: ``f`` floating-point numbers, ``iu`` whole numbers, ``U`` text.
    field : its name in an archive, for errors.

    Raises
    ------
    UserError
        If it is not such a file, holds anything else, or another number of values than its header says; names the file.
    """
    stream = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # They name no file, and are about how its header was written.
            version = np.lib.format.read_magic(stream)
            if version not in _HEADERS:
                raise ValueError(f'version {version} of the format is not known')
            shape, is_fortran, dtype = _HEADERS[version](stream)
    except Exception as error:  # NumPy parses the header as Python text, whose errors are many.
        raise UserError(f'is not a whole .npy file: {error}', file=file, field=field) from None
    if dtype.kind not in kinds or not dtype.itemsize:
        raise UserError(f'holds {dtype}, expected {_KINDS[kinds]}', file=file, field=field)
    start = stream.tell()
    if (
        any(type(length) is not int or length < 0 for length in shape)
        or math.prod(shape) * dtype.itemsize != len(content) - start
    ):
        raise UserError('is shorter or longer than its header says', file=file, field=field)
    return np.frombuffer(content, dtype, offset=start).reshape(shape, order='F' if is_fortran else 'C')


def read_npz(path: str, kinds: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Returns arrays of a local ``.npz`` file by their names, read-only.

    Parameters
    ----------
    path : of the file.
    kinds : of each array that is wanted, as for ``decode_npy``.

    Raises
    ------
    OSError
        If it is missing or cannot be read.
    UserError
        If it is damaged, lacks an array, or holds one that is far too large or of another kind; names file and array.
    """
    check_regular(path)
    try:
        with open(path, 'rb') as file:
            if file.read(2) != b'PK':  # Bytes before an archive would be overlooked.
                raise zipfile.BadZipFile('is not an .npz file')
        with zipfile.ZipFile(path) as archive:
            contents = {name: _read_entry(archive, f'{name}.npy') for name in kinds}
    # RuntimeError: encrypted, or a kind of compression that is not known.
    except (EOFError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f'is not a whole .npz file: {error}', file=path) from None
    return {name: decode_npy(content, path, kinds[name], name) for name, content in contents.items()}


def _read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """Returns an entry's content; ValueError before anything is unpacked that is far too large."""
    entry = archive.getinfo(name)
    # Unpacked or packed: zipfile reserves memory for either, whatever the file holds.
    size = max(entry.file_size, entry.compress_size)
    if size > MOST_BYTES_OF_SMALL_FILE:
        raise ValueError(f'{name} has {size:,} bytes, more than {MOST_BYTES_OF_SMALL_FILE:,}')
    return archive.read(name)
