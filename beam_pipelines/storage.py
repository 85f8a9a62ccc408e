"""Whole files on any file system that Beam knows (local, GCS, S3): they appear whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from typing import BinaryIO

from apache_beam.io import filesystem
from apache_beam.io.filesystems import FileSystems

_TEMPORARY = '.tmp-'


@contextlib.contextmanager
def create_whole(path: str) -> Iterator[BinaryIO]:
    """Opens a file for writing that appears at ``path`` only when the block ends without an error.

    What was written is removed if the block raises.
    """
    temporary = f'{path}{_TEMPORARY}{uuid.uuid4().hex}'
    try:
        file = FileSystems.create(temporary, compression_type=filesystem.CompressionTypes.UNCOMPRESSED)
        with file:
            yield file
        FileSystems.rename([temporary], [path])
    except BaseException:
        remove(temporary)
        raise


def write_bytes(path: str, data: bytes) -> None:
    with create_whole(path) as file:
        file.write(data)


def write_json(path: str, content: dict | list) -> None:
    write_bytes(path, (json.dumps(content, indent=2, sort_keys=True) + '\n').encode())


def read_bytes(path: str) -> bytes:
    with FileSystems.open(path, compression_type=filesystem.CompressionTypes.UNCOMPRESSED) as file:
        return file.read()


def read_json(path: str) -> dict:
    return json.loads(read_bytes(path))


def is_temporary(path: str) -> bool:
    """Whether the file is a part of one that never became whole."""
    return _TEMPORARY in path


def remove_temporary_files(folder: str) -> None:
    """Removes all files below a folder that never became whole."""
    for path in list_files(folder):
        if is_temporary(path):
            remove(path)


def exists(path: str) -> bool:
    return FileSystems.exists(path)


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
    elif FileSystems.exists(path):
        FileSystems.delete([path])


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
    (match,) = FileSystems.match([FileSystems.join(folder, '**')])
    return dict(sorted((metadata.path, metadata.size_in_bytes) for metadata in match.metadata_list))


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def move_folder(source: str, target: str) -> None:
    """Moves a folder into a place where nothing is: at once on a local disk, file by file elsewhere."""
    FileSystems.rename([source], [target])


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
        with FileSystems.open(path, compression_type=filesystem.CompressionTypes.UNCOMPRESSED) as source:
            with open(copy, 'wb') as target:
                shutil.copyfileobj(source, target)
        yield copy
