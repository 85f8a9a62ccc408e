"""tf.data pipelines over a built dataset: one for training, one for evaluation.

Shards are mapped into memory as arrays of fixed-size rows: no protobuf is parsed, and a chunk of rows is one gather. No
Python runs in the pipeline, unless the shards are in a bucket (``fetched_records``).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from beam_pipelines.errors import UserError
from trainer.buckets.store import is_url
from trainer.data.example_order import CHUNK_ROWS, Chunks, ExampleOrder
from trainer.data.fetched_records import FetchedRecords
from trainer.data.shards import HEADER_WORDS, Shard, map_shard, read_rows
from trainer.data.stored_dataset import StoredSplit

# Explicit, because AUTOTUNE would need the optimizations that are off, and some seconds to tune.
_PARALLEL_CHUNKS = min(8, os.cpu_count() or 1)
_BATCHES_READY = 8

# What tfds.load takes for a bucket.
_CLIENTS_OF_TENSORFLOW = {
    'gs': "'tensorflow[gcs-filesystem]', for which there is nothing on Python 3.13",
    's3': 'tensorflow-io, of a version for this TensorFlow',
}

_TFDS_SHUFFLED_ROWS = 16_384


def training_batches(
    split: StoredSplit, batch_size: int, seed: int, first_batch: int = 0, with_cell: bool = False
) -> tf.data.Dataset:
    """Returns an endless stream of training batches, in a new order for each pass over the data.

    Parameters
    ----------
    split : what to train on.
    batch_size : rows in a batch; every batch is full, and one may hold the end of a pass and the start of the next.
    seed : the order is a function of it.
    first_batch : how many batches an earlier run has consumed; the stream resumes after them and reads nothing twice.
    with_cell : gives the cells too.

    Returns
    -------
    Dataset of (waveform (b, 160) float32 in pA, label (b,) int64), and if asked for cell (b,) int64.

    Raises
    ------
    ValueError
        If there are no examples, or an argument is out of range.
    UserError
        If a shard cannot be mapped.
    """
    records = _records_of(split)
    order, chunks = _shuffled_chunks(split, batch_size, seed, first_batch)

    def read(shard: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, ...]:
        words = records.gather(shard, rows)
        columns = _waveform(words), _decode_varint(words, 'label')
        return (*columns, _decode_varint(words, 'cell')) if with_cell else columns

    return _read_chunks(order, records.ask_ahead(chunks), batch_size, read)


def shuffled_batches(
    split: StoredSplit,
    batch_size: int,
    seed: int,
    first_batch: int,
    read: Callable[[tf.Tensor, tf.Tensor], tuple],
) -> tf.data.Dataset:
    """Returns the batches of ``training_batches`` with other columns.

    Parameters
    ----------
    split, batch_size, seed, first_batch : see ``training_batches``.
    read : from a shard's number and (n,) rows of it to the columns of these examples.
    """
    order, chunks = _shuffled_chunks(split, batch_size, seed, first_batch)
    return _read_chunks(order, chunks, batch_size, read)


def _shuffled_chunks(
    split: StoredSplit, batch_size: int, seed: int, first_batch: int
) -> tuple[ExampleOrder, tf.data.Dataset]:
    """Returns the order of a split's examples, and its chunks from a batch on, endlessly."""
    if batch_size < 1:
        raise ValueError(f'batch_size {batch_size}: must be at least 1')
    if first_batch < 0:
        raise ValueError(f'first_batch {first_batch}: must be at least 0')
    order = ExampleOrder([shard.examples for shard in split.shards], seed)
    epoch, chunk, place = order.find(first_batch * batch_size)
    epochs = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max)
    chunks = epochs.flat_map(lambda number: tf.data.Dataset.from_tensor_slices(order.chunks(number))).skip(chunk)

    def without_consumed(first: Chunks) -> Chunks:
        return first._replace(begin=first.begin + place, count=first.count - place)

    return order, chunks.take(1).map(without_consumed).concatenate(chunks.skip(1))


def _read_chunks(
    order: ExampleOrder,
    chunks: tf.data.Dataset,
    batch_size: int,
    read: Callable[[tf.Tensor, tf.Tensor], tuple],
) -> tf.data.Dataset:
    """Returns the batches of ``shuffled_batches``, of chunks in their order."""

    def read_chunk(shuffled: Chunks) -> tuple:
        return read(shuffled.shard, order.rows(shuffled))

    return _batches(chunks.map(read_chunk, num_parallel_calls=_PARALLEL_CHUNKS, deterministic=True), batch_size)


def tfds_batches(
    split: StoredSplit, batch_size: int, seed: int, first_batch: int = 0, with_cell: bool = False
) -> tf.data.Dataset:
    """Returns an endless stream of training batches as a stock ``tfds.load`` gives them, for comparison.

    It resumes exactly after the batches that an earlier run consumed, but has to read them all again to skip them.

    Parameters
    ----------
    split, batch_size, seed, first_batch, with_cell : see ``training_batches``.

    Returns
    -------
    What ``training_batches`` returns.
    """
    import tensorflow_datasets as tfds  # takes seconds

    if is_url(split.folder):
        _check_tensorflow_reads(split.folder)
    # tf.data mixes the global seed into the order, and a resumed run has not set it as the first run did.
    tf.random.set_seed(seed)
    rows = tfds.builder_from_directory(split.folder).as_dataset(
        split=split.name.partition('/')[2],
        shuffle_files=True,
        read_config=tfds.ReadConfig(shuffle_seed=seed, add_tfds_id=False),
    )
    rows = rows.shuffle(min(_TFDS_SHUFFLED_ROWS, split.examples), seed=seed, reshuffle_each_iteration=True).repeat()
    batches = rows.skip(first_batch * batch_size).batch(batch_size, drop_remainder=True)
    columns = ('waveform', 'label', 'cell') if with_cell else ('waveform', 'label')
    return batches.map(lambda row: tuple(row[column] for column in columns)).prefetch(tf.data.AUTOTUNE)


def _check_tensorflow_reads(folder: str) -> None:
    """Raises UserError if TensorFlow, whose own client ``tfds.load`` uses, has none for a bucket."""
    try:
        tf.io.gfile.exists(folder)
    except tf.errors.UnimplementedError:
        package = _CLIENTS_OF_TENSORFLOW[folder.partition('://')[0]]
        raise UserError(
            f"input tfds: needs TensorFlow's own client, pip install {package}; or use input tfrecord", file=folder
        ) from None
    except tf.errors.OpError as error:
        raise UserError(' '.join(error.message.split()), file=folder) from None


def evaluation_batches(split: StoredSplit, batch_size: int) -> tf.data.Dataset:
    """Returns every example of a split exactly once, in stored order.

    Parameters
    ----------
    split : what to read.
    batch_size : rows in a batch; the last one is padded with rows of zeros.

    Returns
    -------
    Dataset of {waveform (b, 160) float32 in pA, label (b,) int64, cell (b,) int64, valid (b,) bool}; ``valid`` is false
    for the rows that pad the last batch.

    Raises
    ------
    UserError
        If a shard cannot be mapped.
    """
    records = _records_of(split)
    chunks = [
        (number, first, min(CHUNK_ROWS, shard.examples - first))
        for number, shard in enumerate(split.shards)
        for first in range(0, shard.examples, CHUNK_ROWS)
    ]

    def read(chunk: tf.Tensor) -> dict[str, tf.Tensor]:
        words = records.gather(chunk[0], chunk[1] + tf.range(chunk[2]))
        return {
            'waveform': _waveform(words),
            'label': _decode_varint(words, 'label'),
            'cell': _decode_varint(words, 'cell'),
            'valid': tf.ones(tf.shape(words)[:1], tf.bool),
        }

    rows = tf.data.Dataset.from_tensor_slices(np.array(chunks, np.int64).reshape(-1, 3))
    rows = rows.map(read, num_parallel_calls=_PARALLEL_CHUNKS, deterministic=True)
    batches = -(-split.examples // batch_size)
    filling = batches * batch_size - split.examples
    # Padding rows are zero in every column, and so not valid.
    zeros = {name: tf.zeros([filling, *spec.shape[1:]], spec.dtype) for name, spec in rows.element_spec.items()}
    rows = rows.concatenate(tf.data.Dataset.from_tensors(zeros))
    # A reader that ends early or late is an error here, not a smaller dataset.
    return _batches(rows, batch_size).apply(tf.data.experimental.assert_cardinality(batches))


@contextlib.contextmanager
def dataset_errors() -> Iterator[None]:
    """Turns TensorFlow's error about a record that is not of this layout into an error for the user.

    Raises
    ------
    UserError
        Names the file and the record.
    """
    try:
        yield
    except tf.errors.DataLossError as error:  # TensorFlow's own reader of TFRecords
        raise UserError(' '.join(error.message.split())) from None
    except tf.errors.UnknownError as error:  # what Python in a pipeline has raised
        found = re.search(r'UserError: (.*)', error.message)
        if not found:
            raise
        raise UserError(found[1]) from None
    except tf.errors.InvalidArgumentError as error:
        found = re.search(r'assertion failed: \[not of this layout\] \[(.*?)\] \[(\d+)\]', error.message)
        if not found:
            raise
        path, record = found.groups()
        read_rows(Shard(path, int(record) + 1), int(record), 1)  # tells why, if the file cannot be read or was cut
        raise UserError(f'{path}: record {record} is not a record of this layout') from None


def _batches(rows: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    options = tf.data.Options()
    # To optimize a pipeline TensorFlow copies its constants, which here are the whole dataset.
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    # training.strategies splits the rows among the workers; TensorFlow would shard again, by file.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return rows.rebatch(batch_size, drop_remainder=True).prefetch(_BATCHES_READY).with_options(options)


def _records_of(split: StoredSplit) -> _MappedRecords | FetchedRecords:
    if any(shard.is_in_bucket for shard in split.shards):
        return FetchedRecords(split.shards)
    return _MappedRecords(split)


class _MappedRecords:
    """The rows of a split's shards, mapped into memory."""

    def __init__(self, split: StoredSplit):
        self._shards = [map_shard(shard) for shard in split.shards]
        self._paths = [shard.path for shard in split.shards]

    def ask_ahead(self, chunks: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the chunks as they are: all shards are here."""
        return chunks

    def gather(self, shard: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Returns rows of a shard as 32-bit words, (n, 189) int32, after checking their frames."""
        words = tf.switch_case(
            tf.cast(shard, tf.int32), [lambda mapped=mapped: tf.gather(mapped, rows) for mapped in self._shards]
        )
        words = tf.ensure_shape(words, (None, record_layout.RECORD_BYTES // 4))
        # Every record starts with the same twelve bytes, so checking them detects foreign content. One that is cut off
        # ends in zeros. No whole one does: the last sample would have to be zero, and the CRC after it.
        right = tf.not_equal(words[:, -1] | words[:, -2], 0)
        for number, word in enumerate(HEADER_WORDS):
            right &= tf.equal(words[:, number], word)
        return tf.cond(tf.reduce_all(right), lambda: words, lambda: self._report(words, right, shard, rows))

    def _report(self, words: tf.Tensor, right: tf.Tensor, shard: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Fails with the first record that is not of this layout."""
        record = tf.gather(rows, tf.argmin(tf.cast(right, tf.int8)))
        check = tf.debugging.Assert(False, ['not of this layout', tf.gather(self._paths, shard), record])
        with tf.control_dependencies([check]):
            return tf.identity(words)


def _waveform(words: tf.Tensor) -> tf.Tensor:
    first = record_layout.WAVEFORM_OFFSET // 4
    return tf.bitcast(words[:, first : first + domain.SPIKE_SAMPLES], tf.float32)


def _decode_varint(words: tf.Tensor, feature: str) -> tf.Tensor:
    """Decodes a padded varint that lies within one 32-bit word of the row: (n,) int64."""
    assert record_layout.RECORD_DTYPE.fields is not None
    field = record_layout.RECORD_DTYPE.fields[feature]
    offset, width = field[1], field[0].itemsize
    word, first_byte = divmod(offset, 4)
    if first_byte + width > 4:
        raise ValueError(f'{feature} spans two words')
    value = tf.zeros(tf.shape(words)[:1], tf.int32)
    for byte in range(width):
        seven_bits = tf.bitwise.bitwise_and(tf.bitwise.right_shift(words[:, word], 8 * (first_byte + byte)), 0x7F)
        value += tf.bitwise.left_shift(seven_bits, 7 * byte)
    return tf.cast(value, tf.int64)
