"""Training batches as a stock ``tfds.load`` gives them: for comparison with the block reader."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_datasets as tfds

from trainer.data.stored_dataset import StoredSplit

_SHUFFLED_ROWS = 16_384


def tfds_batches(split: StoredSplit, batch_size: int, seed: int, first_batch: int = 0) -> tf.data.Dataset:
    """Returns an endless stream of training batches, read and shuffled by TFDS and tf.data.

    It goes on exactly behind the batches that an earlier run has consumed, but reads all of them again to get there.

    Parameters
    ----------
    split, batch_size, seed, first_batch : see ``input_pipeline.training_batches``.

    Returns
    -------
    Dataset of (waveform (b, 160) float32 in pA, label (b,) int64).
    """
    # tf.data mixes the global seed into the order, and a run that goes on has not set it as the first one had.
    tf.random.set_seed(seed)
    rows = tfds.builder_from_directory(split.folder).as_dataset(
        split=split.name.partition('/')[2],
        shuffle_files=True,
        read_config=tfds.ReadConfig(shuffle_seed=seed, add_tfds_id=False),
    )
    rows = rows.shuffle(min(_SHUFFLED_ROWS, split.examples), seed=seed, reshuffle_each_iteration=True).repeat()
    batches = rows.skip(first_batch * batch_size).batch(batch_size, drop_remainder=True)
    return batches.map(lambda row: (row['waveform'], row['label'])).prefetch(tf.data.AUTOTUNE)
