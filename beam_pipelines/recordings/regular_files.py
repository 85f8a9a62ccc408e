"""Opens regular files alone: a pipe would wait for ever, and a device such as ``/dev/zero`` has no end."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from beam_pipelines.recordings.rejection import RecordingRejected

_KINDS = {
    stat.S_IFIFO: 'a pipe',
    stat.S_IFCHR: 'a device',
    stat.S_IFBLK: 'a device',
    stat.S_IFSOCK: 'a socket',
    stat.S_IFDIR: 'a folder',
}


def regular_size(path: str | os.PathLike) -> int:
    """Returns the size of a local file in bytes.

    Raises
    ------
    RecordingRejected
        If it is no regular file, or cannot be found.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise RecordingRejected('unreadable', getattr(error, 'strerror', None) or str(error)) from error
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), 'something else')
        raise RecordingRejected('not_a_file', f'it is {kind}, and no regular file')
    return status.st_size


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Opens a local file for reading; see ``regular_size`` for what is refused."""
    regular_size(path)
    return open(path, 'rb')
