"""Opens regular files alone: a pipe would wait for ever, and a device such as ``/dev/zero`` has no end."""

from __future__ import annotations

import os
from typing import BinaryIO

from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.storage.walk import describe_irregular


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
    if kind := describe_irregular(status):
        raise RecordingRejected('not_a_file', f'it is {kind}, and no regular file')
    return status.st_size


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Opens a local file for reading; see ``regular_size`` for what is refused."""
    regular_size(path)
    return open(path, 'rb')
