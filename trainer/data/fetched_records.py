"""The rows of shards in a bucket: each shard comes into the cache before it is read, and is mapped from there.

Python runs in this pipeline, once for some thousand rows: TensorFlow can neither wait for a file nor let one go.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import queue
import sys
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from beam_pipelines.datasets import record_layout
from beam_pipelines.errors import UserError
from trainer.buckets.shard_cache import current_shards
from trainer.data.example_order import BLOCK_ROWS, CHUNK_ROWS, Chunks
from trainer.data.shards import Shard

_DOWNLOADS = 4
_MOST_BLOCKS_AHEAD = 16

_WORDS = record_layout.RECORD_BYTES // 4


class FetchedRecords:
    """The rows of shards in a bucket.

    Parameters
    ----------
    shards : in the order of their numbers.
    """

    def __init__(self, shards: Sequence[Shard]):
        _end_iterators_at_exit()
        self._shards, self._cache = shards, current_shards()
        size = sum(shard.object.size for shard in shards)
        largest = max((shard.object.size for shard in shards), default=0)
        if size > self._cache.most_bytes:
            print(
                f'--cache_gb: the cache holds {self._cache.most_bytes / 1e9:.3g} of {size / 1e9:.3g} GB, so shards come'
                ' again in each pass over the data',
                file=sys.stderr,
            )
        # Each block may be of another shard: half of the cache is for those that are read, half for those to come.
        half = self._cache.most_bytes // (2 * max(largest, 1))
        self._chunks_ahead = min(_MOST_BLOCKS_AHEAD, half) * BLOCK_ROWS // CHUNK_ROWS
        self._readers = threading.Semaphore(max(half, 1))
        self._coming: queue.Queue[int] = queue.Queue()
        self._asked_for: set[int] = set()

    def ask_ahead(self, chunks: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the same chunks, whose shards are fetched while those before are read."""
        if not self._chunks_ahead:
            return chunks
        for _ in range(_DOWNLOADS):
            # No pool of Python's: a program that ends would wait for the store.
            threading.Thread(target=self._fetch_all, daemon=True).start()

        def ask(chunk: Chunks) -> Chunks:
            return chunk._replace(shard=tf.ensure_shape(tf.numpy_function(self._ask, [chunk.shard], tf.int64), ()))

        return chunks.map(ask).prefetch(self._chunks_ahead)

    def gather(self, shard: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Returns rows of a shard as 32-bit words, (n, 189) int32; all of it was checked when it came."""
        return tf.ensure_shape(tf.numpy_function(self._read, [shard, rows], tf.int32), (None, _WORDS))

    def _ask(self, number: np.int64) -> np.int64:
        shard = int(number)
        if shard not in self._asked_for:
            self._asked_for.add(shard)
            self._coming.put(shard)
        return number

    def _fetch_all(self) -> None:
        while True:
            number = self._coming.get()
            # Whoever reads it meets the same error, or has a second chance.
            with contextlib.suppress(UserError, OSError):
                self._cache.fetch(self._shards[number].object)
            self._asked_for.discard(number)

    def _read(self, number: np.int64, rows: np.ndarray) -> np.ndarray:
        shard = self._shards[int(number)]
        with self._readers, self._cache.held(shard.object) as path:
            return np.memmap(path, np.int32, 'r', shape=(shard.examples, _WORDS))[rows]


@functools.cache
def _end_iterators_at_exit() -> None:
    """Ends, before Python does, the iterators that are left then.

    One that Python destroys while it ends waits for ever for a read, which can no longer run.
    """
    atexit.register(_end_iterators)


def _end_iterators() -> None:
    # TensorFlow has no call that ends an iterator, but it ends with the last reference to what it holds. The iterator
    # of a strategy holds some of these. Types are asked, because an object may say that it is of another.
    for iterator in gc.get_objects():
        if issubclass(type(iterator), tf.data.Iterator):
            vars(iterator).clear()
    gc.collect()
