"""A store that discards the content of shards: for datasets larger than the disk.

``discard:///some/folder`` is a Beam file system that behaves like an object store. Small files are kept in the local
folder; of a shard only the size is kept, as a sparse file (a hole). So a build goes through all of its steps, and its
check of the shards' sizes still works; a shard that is read again is all zeros.

Beam's workers find it with ``--beam_plugin=benchmarks.builds.discarding_store``.
"""

from __future__ import annotations

import io
import os
import posixpath
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

from apache_beam.io.filesystem import CompressionTypes, FileMetadata, FileSystem

if TYPE_CHECKING:
    from typing_extensions import Buffer

SCHEME = 'discard'
_SHARD = '.tfrecord-'


class DiscardingStore(FileSystem):
    """The file system of ``discard://``, followed by a local path."""

    @classmethod
    def scheme(cls) -> str:
        return SCHEME

    def join(self, basepath: str, *paths: str) -> str:
        return posixpath.join(basepath, *paths)

    def split(self, path: str) -> tuple[str, str]:
        return posixpath.split(path)

    def mkdirs(self, path: str) -> None:
        """Does nothing: an object store has no folders."""

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        prefix = _local(dir_or_prefix)
        for parent, _, names in os.walk(os.path.dirname(prefix)):
            for path in (os.path.join(parent, name) for name in names):
                if path.startswith(prefix):
                    yield self.metadata(f'{SCHEME}://{path}')

    def create(
        self,
        path: str,
        mime_type: str = 'application/octet-stream',
        compression_type: str = CompressionTypes.AUTO,
    ) -> BinaryIO:
        os.makedirs(os.path.dirname(_local(path)), exist_ok=True)
        return cast(BinaryIO, _Hole(_local(path))) if _is_shard(path) else open(_local(path), 'wb')

    def open(
        self,
        path: str,
        mime_type: str = 'application/octet-stream',
        compression_type: str = CompressionTypes.AUTO,
    ) -> BinaryIO:
        return open(_local(path), 'rb')

    def copy(self, source_file_names: Sequence[str], destination_file_names: Sequence[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            os.makedirs(os.path.dirname(_local(target)), exist_ok=True)
            if _is_shard(source):
                _make_hole(_local(target), self.size(source))
            else:
                shutil.copyfile(_local(source), _local(target))

    def rename(self, source_file_names: Sequence[str], destination_file_names: Sequence[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            os.replace(_local(source), _local(target))

    def exists(self, path: str) -> bool:
        return os.path.isfile(_local(path))

    def size(self, path: str) -> int:
        return os.path.getsize(_local(path))

    def last_updated(self, path: str) -> float:
        return os.path.getmtime(_local(path))

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def delete(self, paths: Sequence[str]) -> None:
        for path in filter(self.exists, paths):
            os.remove(_local(path))


class _Hole(io.RawIOBase):
    """A file that counts what is written to it and keeps nothing else."""

    def __init__(self, path: str):
        self._path = path
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        length = memoryview(data).nbytes
        self._size += length
        return length

    def close(self) -> None:
        if not self.closed:
            _make_hole(self._path, self._size)
        super().close()


def _make_hole(path: str, size: int) -> None:
    with open(path, 'wb') as file:
        file.truncate(size)


def _is_shard(path: str) -> bool:
    return _SHARD in posixpath.basename(path)


def _local(path: str) -> str:
    return path.removeprefix(f'{SCHEME}://')
