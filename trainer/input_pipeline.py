"""tf.data pipelines over a built dataset: one for training, one for evaluation.

Shards are read as fixed-size rows: no protobuf is parsed. A call into Python reads a window of 16,384 rows with NumPy,
block by block, each row copied once from the block to its shuffled place; TensorFlow cuts windows into batches.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from beam_pipelines import domain, record_layout
from trainer.example_order import BLOCK_ROWS, WINDOW_ROWS, ExampleOrder, Piece, Window
from trainer.shard_reader import read_rows
from trainer.stored_dataset import DatasetError, StoredSplit

# Windows read at the same time, and batches that lie ready: explicit, because AUTOTUNE needs some seconds to find them.
_PARALLEL_WINDOWS = 4
_BATCHES_READY = 8

# TensorFlow takes over an array that starts at such an address, and copies any other.
_ALIGNMENT = 64

_WAVEFORM = tf.TensorSpec((None, domain.SPIKE_SAMPLES), tf.float32)
_INTEGER = tf.TensorSpec((None,), tf.int64)


def training_batches(
    split: StoredSplit, batch_size: int, seed: int, first_batch: int = 0, host: int = 0, hosts: int = 1
) -> tf.data.Dataset:
    """Returns an endless stream of training batches, in another order at every pass over the data.

    Parameters
    ----------
    split : what to train on.
    batch_size : rows in a batch; every batch is full, and one may hold the end of a pass and the start of the next.
    seed : the order is a function of it.
    first_batch : how many batches an earlier run has consumed; the stream goes on behind them at no cost.
    host, hosts : this host's number and how many read; see ``ExampleOrder``.

    Returns
    -------
    Dataset of (waveform (b, 160) float32 in pA, label (b,) int64).

    Raises
    ------
    ValueError
        If there are fewer examples than hosts.
    """
    reader = _RecordReader(split)
    return shuffled_batches(
        split, batch_size, seed, first_batch, host, hosts, read=reader.read_window, columns=(_WAVEFORM, _INTEGER)
    )


def shuffled_batches(
    split: StoredSplit,
    batch_size: int,
    seed: int,
    first_batch: int,
    host: int,
    hosts: int,
    read: Callable[[Window], tuple[np.ndarray, ...]],
    columns: tuple[tf.TensorSpec, ...],
) -> tf.data.Dataset:
    """Returns the batches of ``training_batches`` with other columns.

    Parameters
    ----------
    split, batch_size, seed, first_batch, host, hosts : see ``training_batches``.
    read : gives the columns of a window's rows, in the window's shuffled order.
    columns : what it gives.
    """
    order = ExampleOrder([shard.examples for shard in split.shards], seed, host, hosts)
    first_window, consumed = order.find(first_batch * batch_size)

    def make(number: np.int64) -> tuple[np.ndarray, ...]:
        values = read(order.window(int(number)))
        return tuple(column[consumed:] for column in values) if number == first_window else values

    windows = tf.data.Dataset.range(first_window, np.iinfo(np.int64).max)
    return _batches(windows, make, columns, batch_size)


def evaluation_batches(split: StoredSplit, batch_size: int) -> tf.data.Dataset:
    """Returns every example of a split exactly once, in stored order.

    Parameters
    ----------
    split : what to read.
    batch_size : rows in a batch; the last one is filled up with rows of zeros.

    Returns
    -------
    Dataset of {waveform (b, 160) float32 in pA, label (b,) int64, cell (b,) int64, valid (b,) bool}; ``valid`` is false
    for the rows that only fill up the last batch.
    """
    reader = _RecordReader(split)
    padded = -(-split.examples // batch_size) * batch_size

    def make(first: np.int64) -> tuple[np.ndarray, ...]:
        return reader.read_stored(int(first), min(int(first) + WINDOW_ROWS, padded))

    columns = (_WAVEFORM, _INTEGER, _INTEGER, tf.TensorSpec((None,), tf.bool))
    batches = _batches(tf.data.Dataset.range(0, padded, WINDOW_ROWS), make, columns, batch_size)
    # A reader that ends early or late is an error here, not a smaller dataset.
    batches = batches.apply(tf.data.experimental.assert_cardinality(padded // batch_size))
    return batches.map(lambda *values: dict(zip(('waveform', 'label', 'cell', 'valid'), values, strict=True)))


@contextlib.contextmanager
def dataset_errors() -> Iterator[None]:
    """Turns TensorFlow's report of an error that a reader met, with all its tracebacks, back into the reader's own.

    Raises
    ------
    DatasetError
        As the reader raised it.
    """
    try:
        yield
    except tf.errors.OpError as error:
        reported = re.search(rf'\b{DatasetError.__name__}: (.*)', error.message)
        if not reported:
            raise
        raise DatasetError(reported[1]) from None


def _batches(
    numbers: tf.data.Dataset, make: Callable, columns: tuple[tf.TensorSpec, ...], batch_size: int
) -> tf.data.Dataset:
    """Makes a window of each number and cuts the windows, one after the other, into batches."""

    def make_window(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        values = tf.numpy_function(make, [number], [column.dtype for column in columns])
        return tuple(tf.ensure_shape(value, column.shape) for value, column in zip(values, columns, strict=True))

    windows = numbers.map(make_window, num_parallel_calls=_PARALLEL_WINDOWS, deterministic=True)
    batches = windows.rebatch(batch_size, drop_remainder=True).prefetch(_BATCHES_READY)
    options = tf.data.Options()
    # The hosts' shares are cut here; TensorFlow would cut them once more, by files, which it does not see.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options)


class _RecordReader:
    """Reads rows of a split's records."""

    def __init__(self, split: StoredSplit):
        self._shards = split.shards
        self._starts = np.cumsum([0, *(shard.examples for shard in split.shards)])
        self._of_thread = threading.local()

    def read_window(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Returns (waveform (n, 160) float32 in pA, label (n,) int64) in the window's shuffled order."""
        rows = len(window.destination)
        waveform, label = _aligned((rows, domain.SPIKE_SAMPLES), np.float32), _aligned((rows,), np.int64)
        done = 0
        for piece in window.pieces:
            records = self._read(piece)
            places = window.destination[done : done + piece.count]
            waveform[places] = records['waveform']
            label[places] = record_layout.decode_varints(records['label'])
            done += piece.count
        return waveform, label

    def read_stored(self, first: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns (waveform, label, cell, valid) of rows of the split in stored order; zeros beyond its end."""
        rows = stop - first
        waveform = _aligned((rows, domain.SPIKE_SAMPLES), np.float32)
        label, cell, valid = (_aligned((rows,), dtype) for dtype in (np.int64, np.int64, np.bool_))
        done = 0
        for piece in self._cut(first, stop):
            records = self._read(piece)
            place = slice(done, done + piece.count)
            waveform[place] = records['waveform']
            label[place] = record_layout.decode_varints(records['label'])
            cell[place] = record_layout.decode_varints(records['cell'])
            done += piece.count
        valid[:] = np.arange(rows) < done
        for values in (waveform, label, cell):
            values[done:] = 0
        return waveform, label, cell, valid

    def _cut(self, first: int, stop: int) -> Iterator[Piece]:
        stop = min(stop, int(self._starts[-1]))
        while first < stop:
            shard = int(np.searchsorted(self._starts, first, side='right')) - 1
            count = min(BLOCK_ROWS, stop - first, int(self._starts[shard + 1]) - first)
            yield Piece(shard, first - int(self._starts[shard]), count)
            first += count

    def _read(self, piece: Piece) -> np.ndarray:
        # One buffer a thread: it stays in the core's cache, and the system need not find and clear memory each time.
        if not hasattr(self._of_thread, 'buffer'):
            self._of_thread.buffer = np.empty((BLOCK_ROWS, record_layout.RECORD_BYTES), np.uint8)
        return read_rows(self._shards[piece.shard], piece.first, self._of_thread.buffer[: piece.count])


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)
