"""Local files whose content goes to the disk past the page cache, where the system allows it.

The page cache costs a copy, and pages that the system must first find: more time than making the records does.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Buffer

with contextlib.suppress(ImportError):  # Windows has neither.
    import fcntl

# The largest sector of a disk, and a page: addresses, sizes and places in the file must be multiples.
_ALIGNMENT = 4096


def aligned_rows(count: int, row_bytes: int) -> np.ndarray:
    """Returns memory for rows that can be written past the page cache: (count, row_bytes) uint8, not initialised."""
    memory = np.empty(count * row_bytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + count * row_bytes].reshape(count, row_bytes)


class DirectFile:
    """A new local file; not buffered.

    Pieces are written past the page cache as long as each is whole pages of memory, as those of ``aligned_rows`` are if
    their bytes are a multiple of 4096. From the first other piece on, and where the system does not know such writes,
    they are ordinary ones.

    Parameters
    ----------
    path : the file; made or emptied.
    """

    def __init__(self, path: str):
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, 'O_BINARY', 0), 0o666)
        self._is_closed = False
        self._is_direct = hasattr(os, 'O_DIRECT') and self._switch(on=True)

    def write(self, data: Buffer) -> int:
        """Writes all bytes of an object; returns how many."""
        left = memoryview(data).cast('B')
        size = len(left)
        while len(left):
            if self._is_direct and not _is_aligned(left):
                self._is_direct = not self._switch(on=False)
            try:
                left = left[os.write(self._descriptor, left) :]
            except OSError as error:
                # Some file systems take the flag but not the writes, or not in this size.
                if error.errno != errno.EINVAL or not self._is_direct:
                    raise
                self._is_direct = not self._switch(on=False)
        return size

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            os.close(self._descriptor)

    def _switch(self, on: bool) -> bool:
        """Turns direct writes on or off; returns whether the system did."""
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        flags = flags | os.O_DIRECT if on else flags & ~os.O_DIRECT
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags)
        except OSError:
            return False
        return True


def _is_aligned(data: memoryview) -> bool:
    return len(data) % _ALIGNMENT == 0 and np.frombuffer(data, np.uint8).ctypes.data % _ALIGNMENT == 0
