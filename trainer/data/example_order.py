"""The order in which training sees the examples: a function of seed and epoch, so that a position is one number.

An epoch is one pass over the data. The rows of the shards are cut into blocks. Each epoch puts the blocks into a new
order and shuffles the rows of each block. The stored order is random over the whole dataset already (see
``docs/how_it_works.md``), so a block has rows of all classes and cells.

All steps are TensorFlow operations: no Python runs in a pipeline, and outside of one they run eagerly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from beam_pipelines import keyed_random

BLOCK_ROWS = 16_384

# Rows read at a time: some megabytes, so that they are still in cache when decoded.
CHUNK_ROWS = 4096


class Chunks(NamedTuple):
    """Rows that are read together; each field is an int64 scalar, or a vector of as many as there are chunks.

    Attributes
    ----------
    shard : the rows' shard.
    first, length : the rows of the shard that their block holds are ``first..first + length - 1``.
    table : where the permutation for blocks of that length starts in the order's tables.
    turn_1, turn_2 : rotations that make the block's order unique, ``0..length - 1``.
    begin, count : the chunk is the places ``begin..begin + count - 1`` of the shuffled block.
    """

    shard: tf.Tensor
    first: tf.Tensor
    length: tf.Tensor
    table: tf.Tensor
    turn_1: tf.Tensor
    turn_2: tf.Tensor
    begin: tf.Tensor
    count: tf.Tensor


class ExampleOrder:
    """The order of the examples, epoch after epoch, endlessly.

    Parameters
    ----------
    shard_lengths : rows of each shard.
    seed : the order is a function of it.

    Attributes
    ----------
    examples_per_epoch : how many there are.

    Raises
    ------
    ValueError
        If there are no examples, or the seed is negative or too large.
    """

    def __init__(self, shard_lengths: Sequence[int], seed: int):
        self.examples_per_epoch = sum(shard_lengths)
        if not self.examples_per_epoch:
            raise ValueError('there are no examples')
        if not 0 <= seed < 1 << 63:
            raise ValueError(f'seed {seed}: must be 0..{(1 << 63) - 1}')
        self._seed = seed
        blocks = [
            (shard, first, min(BLOCK_ROWS, length - first))
            for shard, length in enumerate(shard_lengths)
            for first in range(0, length, BLOCK_ROWS)
        ]
        self._shard, self._block_first, self._length = np.array(blocks, np.int64).T
        # One permutation for each length that blocks have: few, because shards are about equally long.
        lengths = np.unique(self._length)
        tables = [
            keyed_random.permute(np.arange(length), length, keyed_random.derive_key(seed, length)) for length in lengths
        ]
        # Each twice, so that a rotation is an addition.
        self._tables = np.concatenate([twice for table in tables for twice in (table, table)])
        starts = np.cumsum([0, *2 * lengths[:-1]])
        self._table = starts[np.searchsorted(lengths, self._length)]

    def chunks(self, epoch: tf.Tensor | int) -> Chunks:
        """Returns the chunks of an epoch, in their order."""
        epoch = tf.cast(epoch, tf.int64)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(self._length)), seed=tf.stack([self._seed, 2 * epoch]), alg='philox'
        )
        shard, first, length, table = (
            tf.gather(values, order) for values in (self._shard, self._block_first, self._length, self._table)
        )
        turns = tf.random.stateless_uniform(
            (2, len(self._length)), tf.stack([self._seed, 2 * epoch + 1]), 0, 1 << 62, tf.int64, alg='philox'
        )
        turns %= length
        chunks = -(-length // CHUNK_ROWS)
        block = tf.repeat(tf.range(len(self._length)), chunks)
        before = tf.gather(tf.cumsum(chunks, exclusive=True), block)
        begins = CHUNK_ROWS * (tf.range(tf.size(block, tf.int64)) - before)
        counts = tf.minimum(np.int64(CHUNK_ROWS), tf.gather(length, block) - begins)
        of_blocks = [tf.gather(values, block) for values in (shard, first, length, table, turns[0], turns[1])]
        return Chunks._make([*of_blocks, begins, counts])

    def rows(self, chunk: Chunks) -> tf.Tensor:
        """Returns the rows of its shard that a single chunk holds: (count,) int64."""
        # Two rotations, a permutation after each: each pair of rotations gives a different order.
        first = chunk.table + chunk.turn_1 + chunk.begin
        place = tf.constant(self._tables)[first : first + chunk.count]
        return chunk.first + tf.gather(self._tables, chunk.table + chunk.turn_2 + place)

    def find(self, example: int) -> tuple[int, int, int]:
        """Returns the epoch and the chunk that hold the ``example``-th example, and its place in the chunk."""
        epoch, in_epoch = divmod(example, self.examples_per_epoch)
        with tf.device('/cpu:0'):
            counts = self.chunks(epoch).count.numpy()
        chunk = int(np.searchsorted(np.cumsum(counts), in_epoch, side='right'))
        return epoch, chunk, in_epoch - int(counts[:chunk].sum())
