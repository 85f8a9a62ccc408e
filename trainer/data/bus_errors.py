"""Mapped files that are cut, or that the disk fails to read: their pages become zeros, not the end of the process.

A mapped file has no ``read`` that could fail, so the system sends SIGBUS to the thread that touches a page that is no
longer there. Here such a page of a known file is replaced by zeros, which the reader must tell from content. All other
bus errors end the process as before.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import signal
import sys

_MAP_FIXED = 0x10
_SA_SIGINFO = 0x4
_ADDRESS = 2  # position of the address in Linux's siginfo_t, in words
_CODE = 2  # position of the code, in 32-bit numbers
_BUS_ADRERR = 2  # the code where a mapped file has no such page

_known: set[bytes] = set()


class _Action(ctypes.Structure):
    """Linux's ``struct sigaction``, as its C libraries have it."""

    _fields_ = [
        ('handler', ctypes.c_void_p),
        ('mask', ctypes.c_ulong * (1024 // (8 * ctypes.sizeof(ctypes.c_ulong)))),
        ('flags', ctypes.c_int),
        ('restorer', ctypes.c_void_p),
    ]


def read_lost_pages_as_zeros(path: str) -> None:
    """Lets the mappings of a local file, also later ones, give zeros where it cannot be read; on Linux alone."""
    if sys.platform == 'linux':
        _known.add(os.fsencode(os.path.realpath(path)).replace(b'\n', rb'\012'))  # as /proc/self/maps has it
        _handle_bus_errors()


@functools.cache
def _handle_bus_errors() -> None:
    """Installs the handler, once.

    The signal comes in the thread that touched the page, within a copy of memory: it interrupts no allocation and holds
    no lock of ours. So the handler may take the interpreter's lock, as Python functions in a pipeline do.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    before = _Action()

    @ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.POINTER(ctypes.c_size_t), ctypes.c_void_p)
    def handle(number: int, info, context: int) -> None:  # type: ignore[no-untyped-def]
        is_mended = False
        try:
            page = info[_ADDRESS] & -mmap.PAGESIZE
            end, name = _find_mapping(page)
            if not name:
                # Another thread came first and has put the zeros there. Memory that is broken has another code.
                code = ctypes.cast(info, ctypes.POINTER(ctypes.c_int))[_CODE]
                is_mended = bool(end) and code == _BUS_ADRERR
            elif not _known.isdisjoint((name, name.removesuffix(b' (deleted)'))):
                # Of the file, all that follows is lost too if it was cut, and the reader will end in any case.
                flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
                is_mended = libc.mmap(page, end - page, mmap.PROT_READ, flags, -1, 0) == page
        finally:
            if not is_mended:  # The thread touches the page again, and the process ends as it would have.
                libc.sigaction(signal.SIGBUS, ctypes.byref(before), None)

    handle_bus_errors = _Action(handler=ctypes.cast(handle, ctypes.c_void_p), flags=_SA_SIGINFO)
    libc.sigaction(signal.SIGBUS, ctypes.byref(handle_bus_errors), ctypes.byref(before))
    _kept.append(handle)


_kept: list[object] = []  # The system calls it for as long as the process lives.


def _find_mapping(address: int) -> tuple[int, bytes]:
    """Returns where the mapping that holds an address ends, 0 if there is none, and its file, empty if it has none."""
    with open('/proc/self/maps', 'rb') as maps:
        for line in maps:
            extent, _, _, _, _, *name = line.rstrip(b'\n').split(maxsplit=5)
            start, end = (int(number, 16) for number in extent.split(b'-'))
            if start <= address < end:
                return end, b''.join(name)
    return 0, b''
