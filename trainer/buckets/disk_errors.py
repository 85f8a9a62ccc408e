"""Errors of files on this machine, which the clients of object stores raise beside those of the store."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from beam_pipelines.errors import UserError

_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH)


def is_of_disk(error: BaseException) -> bool:
    """Whether the operating system has raised an error about a file.

    A client that raises ``OSError`` for what a store has answered says it in the words of the store. Those of a
    connection have classes or numbers of their own.
    """
    if not isinstance(error, OSError) or type(error).__module__ != OSError.__module__:
        return False
    is_of_network = isinstance(error, (ConnectionError, TimeoutError)) or error.errno in _UNREACHABLE
    if getattr(error, 'winerror', None) is not None:  # Windows has words of its own.
        return not is_of_network
    return not is_of_network and error.errno is not None and error.strerror == os.strerror(error.errno)


@contextlib.contextmanager
def disk_errors(folder: str) -> Iterator[None]:
    """Turns the disk's errors in a folder of the cache into a UserError that says what to do; a store's stay."""
    try:
        yield
    except OSError as error:
        if not is_of_disk(error):
            raise
        raise cache_error(error, folder) from None


def cache_error(error: OSError, folder: str) -> UserError:
    """Returns an error of the disk in a folder of the cache as a line that says what to do."""
    advice = 'make room there, or name' if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else 'name'
    problem = f'the cache cannot be used: {error.strerror}; {advice} another folder by --cache_dir'
    return UserError(problem, file=folder)
