"""Ways to feed training with tf.data or TFDS, as their users would write them."""

from __future__ import annotations

from typing import Any

import numpy as np

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from benchmarks.inputs.task import BLOCK_ROWS, READ_BYTES, SHUFFLED_ROWS, Batches, Task, finish, pair


def naive(task: Task) -> Batches:
    """tf.data as most users first write it: TFRecordDataset, parse_single_example, batch."""
    import tensorflow as tf

    records = _shuffled(tf.data.TFRecordDataset(task.paths), task)

    def parse(record: Any) -> tuple[Any, Any]:
        return pair(tf.io.parse_single_example(record, _parsed_features()))

    return finish(records.map(parse).batch(task.batch_size), task, prefetch=False)


def tfds(task: Task) -> Batches:
    """tfds.load, batch, prefetch."""
    import tensorflow_datasets

    import tfds_sero  # noqa: F401 (registers the datasets)

    config = task.split.name.partition('/')[0]
    rows = tensorflow_datasets.load(
        f'sero_spikes/{config}',
        split='train',
        data_dir=task.data_dir,
        as_supervised=True,
        shuffle_files=task.shuffled,
        # Small datasets would be cached in memory in the first pass; `cache` measures that.
        read_config=tensorflow_datasets.ReadConfig(try_autocache=False),
        # As its performance guide advises: parse only the features that are used.
        decoders=tensorflow_datasets.decode.PartialDecoding({'waveform': True, 'label': True}),
    )
    return finish(_shuffled(rows, task).batch(task.batch_size), task)


def best_practice(task: Task) -> Batches:
    """tf.data by its performance guide: parallel interleave, batch then parse_example, AUTOTUNE, prefetch.

    The files are interleaved in blocks of records: with single records, passing them between threads makes it ten times
    slower than reading one file after the other.
    """
    records = _interleaved_blocks(task)
    if task.shuffled or task.batch_size != BLOCK_ROWS:
        records = _shuffled(records.unbatch(), task).batch(task.batch_size)
    return finish(_parsed(records, task), task)


def cache(task: Task) -> Batches:
    """tf.data with cache(): of parsed rows if they are shuffled, as the guide says, else of parsed batches."""
    import tensorflow as tf

    # Parsed in batches: row by row, filling the cache takes ten times as long for the same rows.
    parsed = _parsed(tf.data.TFRecordDataset(task.paths).batch(task.batch_size), task)
    cached = (parsed.unbatch() if task.shuffled else parsed).cache()
    for _ in cached:
        pass
    return finish(_shuffled(cached, task).batch(task.batch_size) if task.shuffled else cached, task)


def memory(task: Task) -> Batches:
    """tf.data from memory, as in its guide: from_tensor_slices, shuffle, batch."""
    import tensorflow as tf

    rows = tf.data.Dataset.from_tensor_slices(_load_rows(task))
    return finish(_shuffled(rows, task).batch(task.batch_size), task)


def memory_gather(task: Task) -> Batches:
    """tf.data from memory, one gather per batch from a permutation of all rows: what Keras does with arrays."""
    import tensorflow as tf

    waveform, label = map(tf.constant, _load_rows(task))
    rows, whole = len(label), len(label) // task.batch_size * task.batch_size

    def batches_of_indices(_: Any) -> Any:
        indices = tf.range(rows, dtype=tf.int64)
        if task.shuffled:
            indices = tf.random.shuffle(indices)
        full = tf.data.Dataset.from_tensor_slices(tf.reshape(indices[:whole], (-1, task.batch_size)))
        return full.concatenate(tf.data.Dataset.from_tensors(indices[whole:]).take(int(whole < rows)))

    indices = tf.data.Dataset.range(1).flat_map(batches_of_indices)
    batches = indices.map(
        lambda index: (tf.gather(waveform, index), tf.gather(label, index)), num_parallel_calls=tf.data.AUTOTUNE
    )
    return finish(batches, task)


def _shuffled(rows: Any, task: Task) -> Any:
    return rows.shuffle(SHUFFLED_ROWS) if task.shuffled else rows


def _interleaved_blocks(task: Task) -> Any:
    import tensorflow as tf

    files = tf.data.Dataset.from_tensor_slices(task.paths)
    if task.shuffled:
        files = files.shuffle(len(task.paths))
    return files.interleave(
        lambda path: tf.data.TFRecordDataset(path, buffer_size=READ_BYTES).batch(BLOCK_ROWS),
        cycle_length=tf.data.AUTOTUNE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=not task.shuffled,
    )


def _parsed_features() -> dict[str, Any]:
    import tensorflow as tf

    return {
        'waveform': tf.io.FixedLenFeature((domain.SPIKE_SAMPLES,), tf.float32),
        'label': tf.io.FixedLenFeature((), tf.int64),
    }


def _parsed(batches: Any, task: Task) -> Any:
    import tensorflow as tf

    return batches.map(
        lambda records: pair(tf.io.parse_example(records, _parsed_features())),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=not task.shuffled,
    )


def _load_rows(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Loads the whole split: (n, 160) float32 and (n,) int64."""
    waveform = np.empty((task.split.examples, domain.SPIKE_SAMPLES), np.float32)
    label = np.empty(task.split.examples, np.int64)
    first = 0
    for shard in task.split.shards:
        rows = record_layout.view_records(np.memmap(shard.path, np.uint8, 'r'))
        waveform[first : first + len(rows)] = rows['waveform']
        label[first : first + len(rows)] = rows['label'][:, 0]
        first += len(rows)
    return waveform, label
