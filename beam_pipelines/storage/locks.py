"""Locks that keep two commands on this machine from writing into the same folder.

A lock is the operating system's: it ends with its process, however that ends. Its file may stay, and holds nobody up.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import filelock

from beam_pipelines.errors import UserError

LOCK_FILE = '.sero.lock'

# A command that only asks whether a folder is locked holds the lock for a moment.
_SECONDS_OF_ASKING = 1.0


@contextlib.contextmanager
def locked(path: str | os.PathLike) -> Iterator[None]:
    """Holds a lock while the block runs; waits, with a message, while another process holds it.

    The same thread may take it again. Its file is removed at the end.

    Parameters
    ----------
    path : a local file that stands for the lock.
    """
    lock = filelock.FileLock(path, is_singleton=True)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        print(f'waiting for another build in {os.path.dirname(path)} to end', file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        release_and_remove(lock)


@contextlib.contextmanager
def written_by_one(
    folder: str | os.PathLike, advice: str, lock_file: str | os.PathLike | None = None
) -> Iterator[None]:
    """Holds the lock of a folder while the block writes into it.

    Parameters
    ----------
    folder : made if missing, unless the lock is elsewhere.
    advice : what the user may do if another command holds it, for the error.
    lock_file : the file that stands for the lock; by default ``LOCK_FILE`` in the folder.

    Raises
    ------
    UserError
        If another command writes into the folder, or no lock can be made there.
    """
    if lock_file is None:
        lock_file = os.path.join(folder, LOCK_FILE)
    lock = filelock.FileLock(lock_file, is_singleton=True)
    try:
        if os.path.dirname(lock_file) == os.fspath(folder):
            os.makedirs(folder, exist_ok=True)
        lock.acquire(timeout=_SECONDS_OF_ASKING)
    except filelock.Timeout:
        raise _in_use(folder, advice) from None
    except OSError as error:
        raise UserError(f'cannot be written: {error.strerror or error}', file=folder) from None
    try:
        yield
    finally:
        release_and_remove(lock)


def check_not_written(folder: str | os.PathLike, advice: str) -> None:
    """Raises UserError if another command is writing into a folder, which need not be writable nor exist."""
    path = os.path.join(folder, LOCK_FILE)
    if not os.path.exists(path):
        return
    lock = filelock.FileLock(path, is_singleton=True)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise _in_use(folder, advice) from None
    except OSError:  # A folder that this user may only read: nobody can be asked.
        return
    release_and_remove(lock)


def _in_use(folder: str | os.PathLike, advice: str) -> UserError:
    return UserError(f'another command is writing there; {advice}', file=folder)


def release_and_remove(lock: filelock.BaseFileLock) -> None:
    """Releases a lock and removes its file, unless the same thread holds it further."""
    # Before the release: a process that locks a removed file tries again. Windows does not allow the removal, but
    # there the release removes the file.
    if lock.lock_counter == 1:
        with contextlib.suppress(OSError):
            os.remove(lock.lock_file)
    lock.release()
