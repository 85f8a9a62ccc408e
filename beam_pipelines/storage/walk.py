"""Walks local folders: follows links, but sees each real folder once, and tells what is no regular file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO

_KINDS = {
    stat.S_IFIFO: 'a pipe',
    stat.S_IFCHR: 'a device',
    stat.S_IFBLK: 'a device',
    stat.S_IFSOCK: 'a socket',
    stat.S_IFDIR: 'a folder',
}


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def walk_files(
    folder: str,
    enters: Callable[[str, str], bool] = lambda parent, name: True,
    on_error: Callable[[OSError], None] = _raise_unless_missing,
) -> Iterator[str]:
    """Yields the path of each file below a folder, at any depth.

    Links to folders are followed, each real folder once, wherever links lead: two links to the folder that they are in
    would otherwise give paths without end. A folder that was reached both ways is listed by its own path, not by that
    of a link.

    Parameters
    ----------
    folder : a local folder; a missing one holds nothing.
    enters : whether to look into a folder, by the path of the folder that it is in, and its name.
    on_error : gets the error of a folder that cannot be read; raises it by default.
    """
    seen = set()
    waiting = [folder]
    for start in waiting:  # Links that are found are added, and followed after all that has a path of its own.
        for parent, folders, names in os.walk(start, onerror=on_error):
            real = os.path.realpath(parent)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if enters(parent, name))
            waiting += [path for name in folders if os.path.islink(path := os.path.join(parent, name))]
            yield from (os.path.join(parent, name) for name in sorted(names))


def describe_irregular(status: os.stat_result) -> str | None:
    """Returns what a path is, such as ``a pipe``, if it is no regular file; None if it is one."""
    if stat.S_ISREG(status.st_mode):
        return None
    return _KINDS.get(stat.S_IFMT(status.st_mode), 'something else')


def check_regular(path: str) -> None:
    """Raises OSError if a local path is no regular file: a pipe would wait for ever, and a device may have no end."""
    kind = describe_irregular(os.stat(path))
    if kind == _KINDS[stat.S_IFDIR]:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if kind:
        raise OSError(errno.EINVAL, f'is {kind}, and no regular file', path)


def open_regular(path: str) -> BinaryIO:
    """Opens a local file for reading; OSError as of ``check_regular``."""
    check_regular(path)
    return open(path, 'rb')
