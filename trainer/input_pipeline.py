"""tf.data pipelines over a built dataset: one for training, one for evaluation.

Shards are read as fixed-size rows: no protobuf is parsed, a batch of rows is one ``decode_raw`` and a slice.
"""

from __future__ import annotations

import tensorflow as tf

from beam_pipelines import domain, record_layout
from trainer.stored_dataset import StoredSplit

_SHUFFLED_ROWS = 16_384


def training_batches(split: StoredSplit, batch_size: int, seed: int, first_example: int = 0) -> tf.data.Dataset:
    """Returns an endless stream of training batches, shuffled anew at every pass over the data.

    Parameters
    ----------
    split : what to train on.
    batch_size : rows in a batch; every batch is full.
    seed : the order is a function of the seed; it also becomes TensorFlow's global seed.
    first_example : how many examples an earlier run has consumed; the stream goes on behind them.

    Returns
    -------
    Dataset of (waveform (b, 160) float32 in pA, label (b,) int64).
    """
    # tf.data mixes the global seed into the order, and a run that goes on has not set it as the first one had.
    tf.random.set_seed(seed)
    rows = _rows(split).shuffle(min(_SHUFFLED_ROWS, split.examples), seed=seed, reshuffle_each_iteration=True).repeat()
    batches = rows.skip(first_example).batch(batch_size, drop_remainder=True)

    def decode(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = _decode(rows)
        return features['waveform'], features['label']

    return batches.map(decode, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(split: StoredSplit, batch_size: int) -> tf.data.Dataset:
    """Returns every example of a split exactly once, in stored order; the last batch may be shorter.

    Returns
    -------
    Dataset of {waveform (b, 160) float32 in pA, label (b,) int64, cell (b,) int64}.
    """
    batches = _rows(split).batch(batch_size)
    # A reader that ends early or late is an error here, not a smaller dataset.
    batches = batches.apply(tf.data.experimental.assert_cardinality(-(-split.examples // batch_size)))
    return batches.map(_decode, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _rows(split: StoredSplit) -> tf.data.Dataset:
    return tf.data.FixedLengthRecordDataset(
        [shard.path for shard in split.shards], record_bytes=record_layout.RECORD_BYTES, buffer_size=1 << 20
    )


def _decode(rows: tf.Tensor) -> dict[str, tf.Tensor]:
    """Decodes rows: (b,) strings -> the features that training and evaluation use."""
    words = tf.io.decode_raw(rows, tf.int32)
    words = tf.ensure_shape(words, (None, record_layout.RECORD_BYTES // 4))
    first = record_layout.WAVEFORM_OFFSET // 4
    waveform = tf.bitcast(words[:, first : first + domain.SPIKE_SAMPLES], tf.float32)
    return {
        'waveform': waveform,
        'label': _decode_varint(words, 'label'),
        'cell': _decode_varint(words, 'cell'),
    }


def _decode_varint(words: tf.Tensor, feature: str) -> tf.Tensor:
    """Decodes a padded varint that lies within one 32-bit word of the row."""
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
