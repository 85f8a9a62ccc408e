"""Local files whose content goes to the disk past the page cache, where the system allows it.

The page cache costs a copy, and pages that the system must first find: more time than making the records does.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Buffer

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
        self._path = path
        self._is_direct = hasattr(os, 'O_DIRECT')
        try:
            self._descriptor = self._open(os.O_CREAT | os.O_TRUNC)
        except OSError as error:
            if error.errno != errno.EINVAL or not self._is_direct:
                raise
            self._is_direct = False
            self._descriptor = self._open(os.O_CREAT | os.O_TRUNC)
        self._is_closed = False

    def write(self, data: Buffer) -> int:
        """Writes all bytes of an object; returns how many."""
        left = memoryview(data).cast('B')
        size = len(left)
        while len(left):
            if self._is_direct and not _is_aligned(left):
                self._go_on_ordinarily()
            try:
                left = left[os.write(self._descriptor, left) :]
            except OSError as error:
                # Some file systems take the flag but not the writes, or not in this size.
                if error.errno != errno.EINVAL or not self._is_direct:
                    raise
                self._go_on_ordinarily()
        return size

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            os.close(self._descriptor)

    def _open(self, flags: int) -> int:
        flags |= os.O_WRONLY | os.O_APPEND | getattr(os, 'O_BINARY', 0)
        return os.open(self._path, flags | (os.O_DIRECT if self._is_direct else 0), 0o666)

    def _go_on_ordinarily(self) -> None:
        self._is_direct = False
        descriptor = self._open(0)
        os.close(self._descriptor)
        self._descriptor = descriptor


def _is_aligned(data: memoryview) -> bool:
    return len(data) % _ALIGNMENT == 0 and np.frombuffer(data, np.uint8).ctypes.data % _ALIGNMENT == 0
