"""Whole files on any file system that Beam knows (local, GCS, S3): they appear whole or not at all.

An object store has no folders: there, a folder is what the names of objects begin with, and it is there as long as one
of them is. It cannot be moved at once, nor locked. Whatever the store's client raises comes out as an ``OSError`` with
the path and one line; that it tries again, and for how long, is Beam's business.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from typing import BinaryIO

from apache_beam.io import filesystem
from apache_beam.io.filesystems import FileSystems

from beam_pipelines.storage.object_store import store_errors

_TEMPORARY = '.tmp-'
_TEMPORARY_NAME = re.compile(rf'{re.escape(_TEMPORARY)}[0-9a-f]{{32}}$')
_BLOCK_BYTES = 16 << 20
_COPIES_AT_A_TIME = 16


@contextlib.contextmanager
def create_whole(path: str) -> Iterator[BinaryIO]:
    """Opens a file for writing that appears at ``path`` only when the block ends without an error.

    What was written is removed if the block raises. On an object store too it is written under another name first:
    there, closing a file makes it an object, also when the block has raised.
    """
    temporary = f'{path}{_TEMPORARY}{uuid.uuid4().hex}'
    try:
        with _errors_of(path):
            file = FileSystems.create(temporary, compression_type=filesystem.CompressionTypes.UNCOMPRESSED)
        file = file if is_local(path) else _StoreWriter(file, path)
        with contextlib.closing(file):
            yield file
        with _errors_of(path):
            FileSystems.rename([temporary], [path])
    except BaseException:
        with contextlib.suppress(OSError):  # What stays is known by its name, and the first error is the one to tell.
            remove(temporary)
        raise


class _StoreWriter:
    """A file on an object store, to be written; its faults are ``OSError`` and told apart from those of the writer."""

    def __init__(self, file: BinaryIO, path: str):
        self._file = file
        self._path = path

    def write(self, data: bytes) -> int:
        with store_errors(self._path):
            return self._file.write(data)

    def close(self) -> None:
        with store_errors(self._path):
            self._file.close()


def write_bytes(path: str, data: bytes) -> None:
    with create_whole(path) as file:
        file.write(data)


def write_json(path: str, content: dict | list) -> None:
    write_bytes(path, (json.dumps(content, indent=2, sort_keys=True) + '\n').encode())


def read_bytes(path: str) -> bytes:
    with _errors_of(path), _open(path) as file:
        return file.read()


def read_blocks(path: str) -> Iterator[bytes]:
    """Reads a file of any size, some megabytes at a time."""
    with _errors_of(path), _open(path) as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def read_json(path: str) -> dict:
    return json.loads(read_bytes(path))


def is_temporary(path: str) -> bool:
    """Whether the file is a part of one that never became whole."""
    return bool(_TEMPORARY_NAME.search(path))


def remove_temporary_files(folder: str) -> None:
    """Removes all files below a folder that never became whole."""
    for path in list_files(folder):
        if is_temporary(path):
            remove(path)


def name_when_whole(path: str) -> str:
    """Returns the path that a file has, or would have if it had become whole."""
    return _TEMPORARY_NAME.sub('', path)


def exists(path: str) -> bool:
    """Whether a file or a folder is there."""
    if is_local(path):
        return os.path.exists(path)
    with _errors_of(path):
        if FileSystems.exists(path):
            return True
        (match,) = FileSystems.match([_pattern_below(path)], [1])
        return bool(match.metadata_list)


def last_updated(path: str) -> float:
    """Returns when a file was written, in s since 1970."""
    with _errors_of(path):
        return FileSystems.last_updated(path)


def make_folder(path: str) -> None:
    """Makes a folder unless it is there; on an object store, which has none, does nothing."""
    if is_local(path):
        os.makedirs(path, exist_ok=True)


def remove(path: str) -> None:
    """Removes a file or a folder with all that is in it; what is not there is no error."""
    if is_local(path):
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)
    else:
        with _errors_of(path):
            _delete(path)


def _delete(path: str) -> None:
    if FileSystems.get_scheme(path) == 'gs':
        # GCS takes for patterns what it is to delete, and deletes what matches in batches; other stores take names.
        FileSystems.delete([_pattern(path), _pattern_below(path)])
    else:
        FileSystems.delete([path, *list_files(path)])


def remove_if_empty(folder: str) -> None:
    """Removes a local folder that holds nothing."""
    if is_local(folder) and os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)


def list_files(folder: str) -> dict[str, int]:
    """Lists all files below a folder, at any depth: the size in bytes of each path, in sorted order.

    Raises
    ------
    OSError
        If a folder is there but cannot be read.
    """
    if is_local(folder):
        # Not by Beam, which takes a name such as "2014 [A]" for a pattern and passes over linked folders.
        walk = os.walk(folder, followlinks=True, onerror=_raise_unless_missing)
        paths = [os.path.join(parent, name) for parent, _, names in walk for name in names]
        return {path: os.path.getsize(path) if os.path.exists(path) else 0 for path in sorted(paths)}
    with _errors_of(folder):
        (match,) = FileSystems.match([_pattern_below(folder)])
    # A name that ends in / is what a store's console makes of an empty folder.
    files = [(found.path, found.size_in_bytes) for found in match.metadata_list if not found.path.endswith('/')]
    return dict(sorted(files))


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def put_in_place(source: str, target: str, aside: str, last: str) -> None:
    """Puts a folder into its place; one that is there is replaced.

    A local folder is moved at once, and what it replaces is removed only after that. On an object store the files are
    copied, the one that makes the folder what it is after all others, and ``source`` is left to be removed by the
    caller: so it can be done again if it was broken off. What is replaced there goes first.

    Parameters
    ----------
    source, target : folders.
    aside : where a local folder that is replaced is put for a moment.
    last : name of the file in the folder without which it counts as not there, see ``is_in_place``.
    """
    if is_local(target):
        remove(aside)
        if exists(target):
            os.rename(target, aside)
        os.rename(source, target)
        remove(aside)
        return
    remove(f'{target}/{last}')
    remove(target)
    names = [path[len(source) :].lstrip('/') for path in list_files(source)]
    with concurrent.futures.ThreadPoolExecutor(_COPIES_AT_A_TIME) as pool:
        copies = [pool.submit(_copy, f'{source}/{name}', f'{target}/{name}') for name in names if name != last]
        try:
            for copy in copies:
                copy.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if last in names:
        _copy(f'{source}/{last}', f'{target}/{last}')


def is_in_place(folder: str, last: str) -> bool:
    """Whether ``put_in_place`` has put a folder there, and all of it."""
    return exists(folder if is_local(folder) else f'{folder}/{last}')


def _copy(source: str, target: str) -> None:
    with _errors_of(target):
        FileSystems.copy([source], [target])


def is_local(path: str) -> bool:
    return FileSystems.get_scheme(path) is None


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[str]:
    """Gives a local path of a file: its own, or that of a copy for as long as the block runs."""
    if is_local(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, os.path.basename(path))
        with _errors_of(path), _open(path) as source, open(copy, 'wb') as target:
            shutil.copyfileobj(source, target)
        yield copy


def upload(local_path: str, path: str) -> None:
    """Copies a local file to any place, whole or not at all."""
    with open(local_path, 'rb') as source, create_whole(path) as target:
        shutil.copyfileobj(source, target)


def _open(path: str) -> BinaryIO:
    return FileSystems.open(path, compression_type=filesystem.CompressionTypes.UNCOMPRESSED)


def _errors_of(path: str) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if is_local(path) else store_errors(path)


def _pattern(path: str) -> str:
    """Returns a Beam pattern that only ``path`` matches.

    Beam knows no quoting but sets. One that begins with ``[`` brings a warning, so ``[`` is what no other character is.
    """
    quoted = {'*': '[*]', '?': '[?]', '[': '[!\x00-Z\\-\U0010ffff]'}
    return ''.join(quoted.get(character, character) for character in path)


def _pattern_below(folder: str) -> str:
    """Returns a Beam pattern that all files in a folder match, at any depth."""
    return f'{_pattern(folder.rstrip("/"))}/**'
