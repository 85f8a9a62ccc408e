"""Local files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping

_STAGED = re.compile(r'\.[0-9a-f]{8}\.partial(\..*)?')


@contextlib.contextmanager
def staged(path: str | os.PathLike) -> Iterator[str]:
    """Yields a temporary name beside ``path``; what the block makes there is moved to ``path`` when the block ends.

    If the block raises, ``path`` stays as it was and nothing is left behind. The name has the extension of ``path``,
    because some libraries choose the format by it. If two processes write the same file, the last one wins.

    Raises
    ------
    OSError
        What the block raised, with the name of ``path`` where it names none (as of a full disk) or the temporary one.
    """
    temporary = _name_beside(path)
    try:
        yield temporary
        flush_tree(temporary)
        os.replace(temporary, path)
        flush(os.path.dirname(path) or '.')
    except BaseException as error:
        if os.path.isdir(temporary):
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.remove(temporary)
        if isinstance(error, OSError) and (error.filename is None or str(error.filename).startswith(temporary)):
            raise with_file(error, path) from None
        raise


@contextlib.contextmanager
def staged_folder(folder: str | os.PathLike, last: str) -> Iterator[str]:
    """Yields an empty temporary folder beside ``folder``, whose files become those of ``folder`` when the block ends.

    They are moved one by one: buckets that are mounted as folders can rename files, but no folders. Whoever finds the
    file ``last`` finds all others of its making. If the block raises, ``folder`` stays as it was; if a file cannot be
    moved afterwards, ``folder`` is left without ``last``.

    Parameters
    ----------
    folder : may exist; then its files go first, beginning with ``last``.
    last : name of the file that is moved last.

    Raises
    ------
    OSError
        What the block raised, as ``staged`` names it.
    """
    temporary, target = _name_beside(folder), os.fspath(folder)
    try:
        os.mkdir(temporary)
        yield temporary
        flush_tree(temporary)
        remove_folder(target, last)
        for parent, _, names in os.walk(temporary):
            into = os.path.join(target, os.path.relpath(parent, temporary))
            os.makedirs(into, exist_ok=True)
            for name in names:
                if (path := os.path.join(parent, name)) != os.path.join(temporary, last):
                    os.replace(path, os.path.join(into, name))
            flush(into)
        os.replace(os.path.join(temporary, last), os.path.join(target, last))
        flush(target)
        flush(os.path.dirname(target) or '.')
    except OSError as error:
        if error.filename is None or str(error.filename).startswith(temporary):
            raise with_file(error, folder) from None
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(folder: str | os.PathLike, last: str) -> None:
    """Removes a folder of ``staged_folder``, which may be missing: first the file that tells that it is whole."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(folder, last))
        flush(folder)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def with_file(error: OSError, path: str | os.PathLike) -> OSError:
    """Returns an error as one of a file; one that has nothing but a message, as those of libraries, keeps that."""
    return OSError(error.errno or errno.EIO, error.strerror or str(error), os.fspath(path))


@contextlib.contextmanager
def file_named(path: str | os.PathLike) -> Iterator[None]:
    """Adds a path to an ``OSError`` of the block that names no file; those of reads, writes and closes do not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise with_file(error, path) from None
        raise


def flush(path: str | os.PathLike) -> None:
    """Waits until a file or folder is on the disk; what is renamed before that may be empty after a power cut.

    OSError if it cannot be written there, which some file systems say only now.
    """
    if os.name == 'nt':  # It flushes only what is open for writing, and no folders.
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # The file system has nothing to flush.
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        os.close(descriptor)


def flush_tree(path: str | os.PathLike) -> None:
    """Waits until a file, or a folder with all that is below it, is on the disk; OSError as of ``flush``."""
    for folder, _, names in os.walk(os.fspath(path)):
        for name in names:
            flush(os.path.join(folder, name))
        flush(folder)
    if not os.path.isdir(path):
        flush(path)


def remove_left_behind(folder: str | os.PathLike) -> None:
    """Removes what a killed process was staging in a folder; nothing may be writing there at the same time."""
    for entry in list(os.scandir(os.fspath(folder))):
        if not _STAGED.fullmatch(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.remove(entry.path)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a UTF-8 text file; line ends stay as given."""
    with staged(path) as temporary, open(temporary, 'w', encoding='utf-8', newline='') as file:
        file.write(text)


def write_json(path: str | os.PathLike, content: object, sort_keys: bool = True) -> None:
    """Writes an indented JSON file."""
    write_text(path, json.dumps(content, indent=2, sort_keys=sort_keys) + '\n')


def write_files(folder: str | os.PathLike, contents: Mapping[str, bytes]) -> None:
    """Writes files into a folder: each appears whole, in the given order, and none appears if one cannot be written.

    Parameters
    ----------
    folder : created if missing.
    contents : file name -> content.
    """
    os.makedirs(folder, exist_ok=True)
    with contextlib.ExitStack() as stack:
        # The stack unwinds in reverse, so the files appear in the given order.
        for name, content in reversed(list(contents.items())):
            temporary = stack.enter_context(staged(os.path.join(folder, name)))
            with open(temporary, 'wb') as file:
                file.write(content)


def _name_beside(path: str | os.PathLike) -> str:
    folder, name = os.path.split(os.fspath(path))
    return os.path.join(folder, f'.{secrets.token_hex(4)}.partial{os.path.splitext(name)[1]}')
