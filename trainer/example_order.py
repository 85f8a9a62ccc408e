"""The order in which training sees the examples: a function of (seed, epoch, host), so that a position costs a number.

An epoch is one pass over the data. The rows of the shards are cut into blocks of neighbours, which are read in one
piece; each epoch lays the blocks out in another order, the hosts share that line evenly, and each host shuffles its
part within windows of many blocks.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from beam_pipelines import bijection

# 756 KiB of records: long enough to be read at full speed, short enough to stay in a core's cache until it is decoded.
BLOCK_ROWS = 1024
WINDOW_ROWS = 16 * BLOCK_ROWS

# Streams of random numbers; each has its own key.
_BLOCKS, _ROWS = range(2)


@dataclasses.dataclass(frozen=True)
class Piece:
    """Neighbouring rows of one shard: ``first..first + count - 1``."""

    shard: int
    first: int
    count: int


@dataclasses.dataclass(frozen=True)
class Window:
    """Rows that are read and shuffled together.

    Attributes
    ----------
    pieces : where they are stored.
    destination : (n,) int64, for each row of the pieces, one after the other, its place in the shuffled window.
    """

    pieces: tuple[Piece, ...]
    destination: np.ndarray


class ExampleOrder:
    """The order of one host's examples, epoch after epoch without end.

    Parameters
    ----------
    shard_lengths : rows of each shard.
    seed : the order is a function of it.
    host, hosts : this host's number and how many there are. In every epoch the hosts' examples are disjoint and
        together all of them; two hosts' shares differ by at most one example.

    Raises
    ------
    ValueError
        If the host's number is not below ``hosts``, or there are fewer examples than hosts.
    """

    def __init__(self, shard_lengths: Sequence[int], seed: int, host: int = 0, hosts: int = 1):
        total = sum(shard_lengths)
        if not 0 <= host < hosts:
            raise ValueError(f'host {host} of {hosts}: must be 0..{hosts - 1}')
        if total < hosts:
            raise ValueError(f'{total} examples cannot be shared by {hosts} hosts')
        self._seed = seed
        self._first, self._stop = total * host // hosts, total * (host + 1) // hosts
        self._blocks = [
            Piece(shard, first, min(BLOCK_ROWS, length - first))
            for shard, length in enumerate(shard_lengths)
            for first in range(0, length, BLOCK_ROWS)
        ]
        self._line_of_epoch = functools.lru_cache(maxsize=2)(self._lay_out)  # windows of two epochs meet at most

    @property
    def examples_per_epoch(self) -> int:
        """This host's share of the examples."""
        return self._stop - self._first

    @property
    def windows_per_epoch(self) -> int:
        return -(-self.examples_per_epoch // WINDOW_ROWS)

    def find(self, example: int) -> tuple[int, int]:
        """Returns the window that holds the host's ``example``-th example and the example's place in it."""
        epoch, in_epoch = divmod(example, self.examples_per_epoch)
        window, place = divmod(in_epoch, WINDOW_ROWS)
        return epoch * self.windows_per_epoch + window, place

    def window(self, number: int) -> Window:
        """Returns the host's ``number``-th window; the count goes on through the epochs."""
        epoch, in_epoch = divmod(number, self.windows_per_epoch)
        first = self._first + in_epoch * WINDOW_ROWS
        stop = min(first + WINDOW_ROWS, self._stop)
        key = bijection.derive_key(self._seed, _ROWS, epoch, first)
        # The keys of a window are all different, so that every sort gives the same order.
        destination = np.argsort(bijection.random_bits(key, np.arange(stop - first, dtype=np.uint64)))
        return Window(tuple(self._cut(epoch, first, stop)), destination)

    def _lay_out(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the epoch's order of the blocks, and where in that line each of them ends."""
        key = bijection.derive_key(self._seed, _BLOCKS, epoch)
        order = np.argsort(bijection.random_bits(key, np.arange(len(self._blocks), dtype=np.uint64)))
        return order, np.cumsum([self._blocks[block].count for block in order])

    def _cut(self, epoch: int, first: int, stop: int):
        """Yields what lies at ``first..stop-1`` of the epoch's line of blocks."""
        order, ends = self._line_of_epoch(epoch)
        place = int(np.searchsorted(ends, first, side='right'))
        while first < stop:
            block, end = self._blocks[order[place]], int(ends[place])
            begin = end - block.count
            yield Piece(block.shard, block.first + first - begin, min(end, stop) - first)
            first, place = end, place + 1
