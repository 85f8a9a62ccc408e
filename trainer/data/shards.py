"""Reads the files of a dataset: local ones, or those of a bucket (``gs://``, ``s3://``)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from beam_pipelines.datasets import record_layout
from beam_pipelines.errors import UserError
from beam_pipelines.storage.bounds import MOST_BYTES_OF_SMALL_FILE
from beam_pipelines.storage.walk import open_regular
from trainer.buckets import store
from trainer.buckets.shard_cache import CachedObject, current_shards
from trainer.data.bus_errors import read_lost_pages_as_zeros

# How every record starts, as 32-bit words.
HEADER_WORDS = np.frombuffer(record_layout.HEADER, np.int32)


@dataclasses.dataclass(frozen=True)
class Shard:
    """One shard file.

    Attributes
    ----------
    path : a local path, or the URL of an object.
    examples : how many records it holds.
    crc32c : of the whole file, from ``metadata.json``; an object is compared with it when it comes.
    """

    path: str
    examples: int
    crc32c: str | None = None

    @property
    def is_in_bucket(self) -> bool:
        return store.is_url(self.path)

    @property
    def object(self) -> CachedObject:
        """What the cache is asked for, of a shard in a bucket."""
        return CachedObject(self.path, self.examples * record_layout.RECORD_BYTES, self.crc32c)


def exists(path: str) -> bool:
    """Tells whether there is a file or folder."""
    with _file_errors(path):
        return store.exists(path) if store.is_url(path) else os.path.exists(path)


def file_size(path: str) -> int:
    """Returns a file's size in bytes; UserError if it is missing."""
    with _file_errors(path):
        return store.object_size(path) if store.is_url(path) else os.path.getsize(path)


def read_file(path: str, most_bytes: int = MOST_BYTES_OF_SMALL_FILE) -> bytes:
    """Returns the content of a small file; UserError if it cannot be read, or is larger than so many bytes."""
    if store.is_url(path):
        with _file_errors(path):
            return store.read_object(path, most_bytes)
    if file_size(path) > most_bytes:
        raise UserError(f'{path}: is larger than {most_bytes:,} bytes')
    with _file_errors(path), open_regular(path) as file:
        return file.read()


def find_shard(path: str, examples: int, promised_in: str, crc32c: str | None = None) -> Shard:
    """Returns a shard that has the size that so many records take.

    Parameters
    ----------
    path : of the file.
    examples : how many records it should hold.
    promised_in : name of the file that says so.
    crc32c : what its checksum should be, see ``Shard``.

    Raises
    ------
    UserError
        If it is missing or has another size; names the file and both sizes.
    """
    size, expected = file_size(path), examples * record_layout.RECORD_BYTES
    if size != expected:
        raise UserError(f'{path}: {size} bytes, {promised_in} promises {examples} records, {expected} bytes')
    return Shard(path, examples, crc32c)


def read_rows(shard: Shard, first: int, count: int) -> np.ndarray:
    """Reads the rows ``first..first + count - 1`` of a shard.

    Returns
    -------
    (count, 756) uint8, read-only.

    Raises
    ------
    UserError
        If the file cannot be read, ends too early, or holds anything but records of this layout: names the file
        and the record.
    """
    with _file_errors(shard.path), _local_path(shard) as path, open_regular(path) as file:
        file.seek(first * record_layout.RECORD_BYTES)
        content = file.read(count * record_layout.RECORD_BYTES)
    if len(content) < count * record_layout.RECORD_BYTES:
        raise UserError(f'{shard.path}: ends within record {file_size(shard.path) // record_layout.RECORD_BYTES}')
    rows = np.frombuffer(content, np.uint8).reshape(count, record_layout.RECORD_BYTES)
    # Every record starts with the same twelve bytes, so checking them detects foreign content.
    foreign = rows.view(np.int32)[:, : len(HEADER_WORDS)] != HEADER_WORDS
    if foreign.any():
        row = foreign.any(axis=1).argmax()
        found = rows[row, : len(record_layout.HEADER)].tobytes().hex()
        raise UserError(
            f'{shard.path}: record {first + row} starts with {found}, a record of this layout with'
            f' {record_layout.HEADER.hex()}'
        )
    return rows


def read_records(shards: Iterable[Shard]) -> np.ndarray:
    """Reads all records of some shards, in stored order.

    Returns
    -------
    (n,) array with the fields of ``record_layout``; UserError as in ``read_rows``.
    """
    return np.concatenate([record_layout.view_records(read_rows(shard, 0, shard.examples)) for shard in shards])


def map_shard(shard: Shard) -> tf.Tensor:
    """Returns the rows of a local shard as 32-bit words: (examples, 189) int32.

    It is mapped into memory and read as it is needed. What is lost of it afterwards reads as zeros.

    Raises
    ------
    UserError
        If the file cannot be read, or holds less than it should.
    """
    shape = (shard.examples, record_layout.RECORD_BYTES // 4)
    with _file_errors(shard.path), tf.device('/cpu:0'):
        if not shard.examples:
            file_size(shard.path)  # it is to be there, although there is nothing to map
            return tf.zeros(shape, tf.int32)
        read_lost_pages_as_zeros(shard.path)
        return tf.raw_ops.ImmutableConst(dtype=tf.int32, shape=shape, memory_region_name=shard.path)


def _local_path(shard: Shard) -> contextlib.AbstractContextManager[str]:
    """Returns the context in which a shard is on this machine, and gives its path."""
    return current_shards().held(shard.object) if shard.is_in_bucket else contextlib.nullcontext(shard.path)


@contextlib.contextmanager
def _file_errors(path: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, tf.errors.NotFoundError):
        raise UserError(f'{path}: no such file; sero-build or tfds build makes the dataset') from None
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}') from None
    except tf.errors.OpError as error:
        raise UserError(f'{path}: {" ".join(error.message.split())}') from None
