"""Files and folders on any file system that Beam knows (local, GCS, S3); they appear whole or not at all.

An object store has no folders: a folder is a prefix of object names, and exists while an object has that prefix. It
cannot be moved in one step, nor locked. Errors of the store's client become an ``OSError`` with the path and one line;
Beam decides how often a request is retried.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from typing import BinaryIO, TypeVar, cast

from apache_beam.io import filesystem
from apache_beam.io.filesystems import FileSystems

from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import file_named, flush, with_file
from beam_pipelines.storage.bounds import read_bounded
from beam_pipelines.storage.direct_writes import DirectFile
from beam_pipelines.storage.object_store import store_errors
from beam_pipelines.storage.typed_json import check_content, decode_json
from beam_pipelines.storage.walk import check_regular, walk_files

_TEMPORARY = '.tmp-'
_TEMPORARY_NAME = re.compile(rf'{re.escape(_TEMPORARY)}[0-9a-f]{{32}}$')
_BLOCK_BYTES = 16 * 1024 * 1024

_Described = TypeVar('_Described')


@contextlib.contextmanager
def create_atomically(path: str, flushed: bool = True) -> Iterator[BinaryIO]:
    """Opens a file for writing; it appears at ``path`` only when the block ends without an error.

    If the block raises, the file is removed. Until then it has a temporary name, on an object store too: closing a
    file there makes it an object, even if the block raised.

    Parameters
    ----------
    path : the file.
    flushed : whether a local file is on the disk before it appears. What nobody reads after a power cut need not be.
    """
    temporary = f'{path}{_TEMPORARY}{uuid.uuid4().hex}'
    try:
        with contextlib.closing(_create(temporary, path)) as writer:
            yield writer
        if not is_local(path):
            with _errors_of(path):
                FileSystems.rename([temporary], [path])
            return
        if flushed:
            flush(temporary)
        os.replace(temporary, path)  # Beam's rename cannot replace a file on Windows.
        if flushed:
            flush(os.path.dirname(path) or '.')
    except BaseException as error:
        with contextlib.suppress(OSError):  # The first error counts; the temporary name identifies leftovers.
            remove(temporary)
        if isinstance(error, OSError) and (error.filename is None or error.filename == temporary):
            raise with_file(error, path) from None  # The user knows no other name.
        raise


def _create(temporary: str, path: str) -> BinaryIO:
    """Creates a file that will be at ``path``; a local one with its folder."""
    if is_local(path):
        os.makedirs(os.path.dirname(temporary) or '.', exist_ok=True)
        return cast(BinaryIO, DirectFile(temporary))
    with store_errors(path):
        file = FileSystems.create(temporary, compression_type=filesystem.CompressionTypes.UNCOMPRESSED)
    return cast(BinaryIO, _StoreWriter(file, path))


class _StoreWriter:
    """A file on an object store; the store's errors become ``OSError``, the writer's own errors stay as they are."""

    def __init__(self, file: BinaryIO, path: str):
        self._file = file
        self._path = path

    def write(self, data: bytes) -> int:
        with store_errors(self._path):
            return self._file.write(data)

    def close(self) -> None:
        with store_errors(self._path):
            self._file.close()


def write_bytes(path: str, data: bytes, flushed: bool = True) -> None:
    """Writes a file; ``flushed`` as of ``create_atomically``."""
    with create_atomically(path, flushed) as file:
        file.write(data)


def write_json(path: str, content: dict | list) -> None:
    """Writes an indented JSON file."""
    write_bytes(path, (json.dumps(content, indent=2, sort_keys=True) + '\n').encode())


def read_bytes(path: str) -> bytes:
    """Reads a file."""
    with _errors_of(path), _open(path) as file:
        return file.read()


def read_small(path: str) -> bytes:
    """Reads a file; UserError if a local one is far larger than what we write, or no regular file."""
    return read_bounded(path) if is_local(path) else read_bytes(path)


def read_blocks(path: str) -> Iterator[bytes]:
    """Reads a file of any size, a few megabytes at a time."""
    with _errors_of(path), _open(path) as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def read_json(path: str) -> dict:
    """Reads a JSON file that holds an object; UserError if it holds anything else."""
    content = decode_json(read_small(path), path)
    if not isinstance(content, dict):
        raise UserError('expected a JSON object', file=path)
    return content


def read_typed_json(path: str, kind: type[_Described]) -> _Described:
    """Reads a JSON file into the struct or dataclass that describes it; UserError if it holds something else."""
    return check_content(decode_json(read_small(path), path), kind, path)


def is_temporary(path: str) -> bool:
    """Whether a file has a temporary name: it was never completed."""
    return bool(_TEMPORARY_NAME.search(path))


def remove_temporary_files(folder: str) -> None:
    """Removes all files below a folder that were never completed."""
    for path in list_files(folder):
        if is_temporary(path):
            remove(path)


def final_path(path: str) -> str:
    """Returns the path of a file; for a temporary name, the path it would have had when completed."""
    return _TEMPORARY_NAME.sub('', path)


def exists(path: str) -> bool:
    """Whether a file or a folder exists."""
    if is_local(path):
        return os.path.exists(path)
    with _errors_of(path):
        if FileSystems.exists(path):
            return True
        (match,) = FileSystems.match([_pattern_below(path)], [1])
        return bool(match.metadata_list)


def modification_time(path: str) -> float:
    """Returns when a file was last written, in s since 1970."""
    with _errors_of(path):
        return FileSystems.last_updated(path)


def make_folder(path: str) -> None:
    """Makes a folder unless it exists; does nothing on an object store, which has no folders."""
    if is_local(path):
        os.makedirs(path, exist_ok=True)


def remove(path: str) -> None:
    """Removes a file, or a folder with its content; a missing one is no error."""
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
        # On GCS, Beam's delete takes patterns and removes the matches in batches; on other stores it takes names.
        FileSystems.delete([_pattern(path), _pattern_below(path)])
    else:
        FileSystems.delete([path, *list_files(path)])


def remove_if_empty(folder: str) -> None:
    """Removes a local folder if it is empty."""
    if is_local(folder) and os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)


def list_files(folder: str) -> dict[str, int]:
    """Lists all files below a folder, at any depth: path -> size in bytes, sorted by path.

    Raises
    ------
    OSError
        If a folder exists but cannot be read.
    """
    if is_local(folder):
        # Beam is not used here: it reads a name such as "2014 [A]" as a pattern and does not follow linked folders.
        paths = sorted(walk_files(folder))
        return {path: _size(path) for path in paths}
    with _errors_of(folder):
        (match,) = FileSystems.match([_pattern_below(folder)])
    # A store's web console represents an empty folder by an object whose name ends in /.
    files = [(found.path, found.size_in_bytes) for found in match.metadata_list if not found.path.endswith('/')]
    return dict(sorted(files))


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:  # It is a link to nothing, was removed since its folder was listed, or has too long a path.
        return 0


def list_folders(folder: str) -> list[str]:
    """Lists the names of the folders in a folder, sorted; none if it does not exist.

    Raises
    ------
    OSError
        If the folder exists but cannot be read.
    """
    if is_local(folder):
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()) if os.path.isdir(folder) else []
    below = [path[len(folder.rstrip('/')) + 1 :] for path in list_files(folder)]
    return sorted({path.partition('/')[0] for path in below if '/' in path})


def copy(source: str, target: str) -> None:
    """Copies a file within an object store."""
    with _errors_of(target):
        FileSystems.copy([source], [target])


def is_local(path: str) -> bool:
    """Whether a path is on this machine, and not a URL."""
    return FileSystems.get_scheme(path) is None


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[str]:
    """Yields a local path of a file: its own, or a copy that exists while the block runs."""
    if is_local(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, os.path.basename(path))
        with _errors_of(path), _open(path) as source, open(copy, 'wb') as target:
            shutil.copyfileobj(source, target)
        yield copy


def map_whole(path: str) -> mmap.mmap:
    """Maps a file into memory, read-only; one on an object store is copied to this machine, until the map is closed."""
    if is_local(path):
        with file_named(path), _open(path) as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    # Errors of the store have its path; those of this machine's disk have none.
    with file_named(tempfile.gettempdir()), tempfile.TemporaryFile() as copied:
        for block in read_blocks(path):
            copied.write(block)
        copied.flush()
        return mmap.mmap(copied.fileno(), 0, access=mmap.ACCESS_READ)


def upload(local_path: str, path: str) -> None:
    """Copies a local file to any file system; it appears there whole or not at all."""
    with open(local_path, 'rb') as source, create_atomically(path) as target:
        shutil.copyfileobj(source, target)


def _open(path: str) -> BinaryIO:
    if is_local(path):
        check_regular(path)
    return FileSystems.open(path, compression_type=filesystem.CompressionTypes.UNCOMPRESSED)


def _errors_of(path: str) -> contextlib.AbstractContextManager:
    return file_named(path) if is_local(path) else store_errors(path)


def _pattern(path: str) -> str:
    """Returns a Beam pattern that matches only ``path``.

    Beam's patterns have no escape character, only sets of characters. A set that begins with ``[`` causes a warning, so
    ``[`` is matched by a set that excludes all other characters.
    """
    quoted = {'*': '[*]', '?': '[?]', '[': '[!\x00-Z\\-\U0010ffff]'}
    return ''.join(quoted.get(character, character) for character in path)


def _pattern_below(folder: str) -> str:
    """Returns a Beam pattern that matches all files below a folder, at any depth."""
    return f'{_pattern(folder.rstrip("/"))}/**'
