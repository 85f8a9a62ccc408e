"""Reads the files of a dataset: local ones, or those that TensorFlow's file systems reach (``gs://``, ``s3://``)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from beam_pipelines.datasets import record_layout
from beam_pipelines.errors import UserError
from beam_pipelines.storage.bounds import MOST_BYTES_OF_SMALL_FILE
from beam_pipelines.storage.walk import open_regular
from trainer.data.bus_errors import read_lost_pages_as_zeros

# How every record starts, as 32-bit words.
HEADER_WORDS = np.frombuffer(record_layout.HEADER, np.int32)


@dataclasses.dataclass(frozen=True)
class Shard:
    """One shard file and how many records it holds."""

    path: str
    examples: int


def exists(path: str) -> bool:
    """Tells whether there is a file or folder."""
    with _file_errors(path):
        return tf.io.gfile.exists(path) if _is_remote(path) else os.path.exists(path)


def file_size(path: str) -> int:
    """Returns a file's size in bytes; UserError if it is missing."""
    with _file_errors(path):
        return tf.io.gfile.stat(path).length if _is_remote(path) else os.path.getsize(path)


def read_file(path: str, most_bytes: int = MOST_BYTES_OF_SMALL_FILE) -> bytes:
    """Returns the content of a small file; UserError if it cannot be read, or is larger than so many bytes."""
    if file_size(path) > most_bytes:
        raise UserError(f'{path}: is larger than {most_bytes:,} bytes')
    with _file_errors(path), _open(path) as file:
        return file.read()


def find_shard(path: str, examples: int, promised_in: str) -> Shard:
    """Returns a shard that has the size that so many records take.

    Parameters
    ----------
    path : of the file.
    examples : how many records it should hold.
    promised_in : name of the file that says so.

    Raises
    ------
    UserError
        If it is missing or has another size; names the file and both sizes.
    """
    size, expected = file_size(path), examples * record_layout.RECORD_BYTES
    if size != expected:
        raise UserError(f'{path}: {size} bytes, {promised_in} promises {examples} records, {expected} bytes')
    return Shard(path, examples)


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
    with _file_errors(shard.path), _open(shard.path) as file:
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
    """Returns the rows of a shard as 32-bit words: (examples, 189) int32.

    A local file is mapped into memory and read as it is needed; a remote one is read here, as a whole. What is lost of
    a mapped file afterwards reads as zeros.

    Raises
    ------
    UserError
        If the file cannot be read, or holds less than it should.
    """
    shape = (shard.examples, record_layout.RECORD_BYTES // 4)
    with _file_errors(shard.path), tf.device('/cpu:0'):
        if not shard.examples or _is_remote(shard.path):
            content = read_file(shard.path, most_bytes=shard.examples * record_layout.RECORD_BYTES)
            if len(content) != shard.examples * record_layout.RECORD_BYTES:
                raise UserError(f'{shard.path}: {len(content)} bytes, has changed since the dataset was opened')
            return tf.constant(np.frombuffer(content, np.int32).reshape(shape))
        read_lost_pages_as_zeros(shard.path)
        return tf.raw_ops.ImmutableConst(dtype=tf.int32, shape=shape, memory_region_name=shard.path)


def _is_remote(path: str) -> bool:
    return '://' in path


def _open(path: str) -> BinaryIO:
    if _is_remote(path):
        return tf.io.gfile.GFile(path, 'rb')
    return open_regular(path)


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
