"""Reads local files of a bounded size into memory: a file from outside may be a pipe, a device, or far too large."""

from __future__ import annotations

import os

from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import file_named
from beam_pipelines.storage.walk import describe_irregular

# All that we write but recordings, shards and staged spikes is smaller; noise masks are the largest.
MOST_BYTES_OF_SMALL_FILE = 64 << 20


def read_bounded(path: str | os.PathLike, most_bytes: int = MOST_BYTES_OF_SMALL_FILE) -> bytes:
    """Returns the content of a local file.

    Raises
    ------
    OSError
        If it is missing or cannot be read.
    UserError
        If it is no regular file, or larger than ``most_bytes``; names the file.
    """
    # Opening a pipe would wait for ever.
    if kind := describe_irregular(os.stat(path)):
        raise UserError(f'is {kind}, and no regular file', file=path)
    with file_named(path), open(path, 'rb') as file:
        if os.fstat(file.fileno()).st_size > most_bytes:
            raise UserError(f'is larger than {most_bytes:,} bytes', file=path)
        return file.read()
