"""Our ways to feed training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from benchmarks.inputs.task import BLOCK_ROWS, READ_BYTES, Batches, Restartable, Task, finish, pair

_LABEL_OFFSET = record_layout.as_json()['fields']['label']['offset']


def block(task: Task) -> Batches:
    """Our reader."""
    from trainer.data.batches import evaluation_batches, training_batches

    if task.shuffled:
        return _limited(training_batches(task.split, task.batch_size, seed=0), task)
    batches = evaluation_batches(task.split, task.batch_size)
    # The last batch may be padded; `valid` marks the real rows.
    return _valid_rows(batches) if 'valid' in batches.element_spec else finish(batches.map(pair), task)


def online_recipes(task: Task) -> tuple[Batches, Callable[[Any], Any]]:
    """Returns the batches of our online input, and the function that makes their waveforms in the training step."""
    from trainer.data.online_batches import online_batches, open_spike_bank
    from trainer.models.online_synthesis import SpikeSynthesis

    bank = open_spike_bank(task.split)
    return _limited(online_batches(task.split, bank, task.batch_size, seed=0), task), SpikeSynthesis(bank)


def online(task: Task) -> Batches:
    """Our online input, including its synthesis."""
    import tensorflow as tf

    recipes, synthesis = online_recipes(task)
    make_waveforms = tf.function(lambda recipe: synthesis(recipe))

    def batches() -> Iterator[tuple[Any, Any]]:
        for recipe, label in recipes:
            yield make_waveforms(recipe), label

    return Restartable(batches)


def flrd(task: Task) -> Batches:
    """The prototype of our reader: FixedLengthRecordDataset with blocks of rows, shuffled within the block."""
    import tensorflow as tf

    lengths = [shard.examples for shard in task.split.shards]
    row_bytes = record_layout.RECORD_BYTES

    def read(path: Any, length: Any) -> Any:
        rest = length % BLOCK_ROWS
        whole = tf.data.FixedLengthRecordDataset(
            path, BLOCK_ROWS * row_bytes, footer_bytes=rest * row_bytes, buffer_size=READ_BYTES
        )
        last = tf.data.FixedLengthRecordDataset(
            path, tf.maximum(rest, 1) * row_bytes, header_bytes=(length - rest) * row_bytes, buffer_size=READ_BYTES
        )
        # Without a rest there is no last block: take(0).
        return whole.concatenate(last.take(tf.minimum(rest, 1)))

    def decode(record: Any) -> tuple[Any, Any]:
        words = tf.reshape(tf.io.decode_raw(record, tf.int32), (-1, row_bytes // 4))
        if task.shuffled:
            words = tf.gather(words, tf.random.shuffle(tf.range(tf.shape(words)[0])))
        first = record_layout.WAVEFORM_OFFSET // 4
        waveform = tf.bitcast(words[:, first : first + domain.SPIKE_SAMPLES], tf.float32)
        shift = 8 * (_LABEL_OFFSET % 4)
        label = tf.bitwise.bitwise_and(tf.bitwise.right_shift(words[:, _LABEL_OFFSET // 4], shift), 0xFF)
        return waveform, tf.cast(label, tf.int64)

    files = tf.data.Dataset.from_tensor_slices((task.paths, np.array(lengths, np.int64)))
    if task.shuffled:
        files = files.shuffle(len(lengths))
    records = files.interleave(
        read, cycle_length=tf.data.AUTOTUNE, num_parallel_calls=tf.data.AUTOTUNE, deterministic=not task.shuffled
    )
    batches = records.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=not task.shuffled)
    return finish(batches.rebatch(task.batch_size), task)


def _valid_rows(batches: Any) -> Batches:
    def pairs() -> Iterator[tuple[Any, Any]]:
        for batch in batches:
            # Checking every row of `valid` would cost more than reading; the last row is enough.
            if batch['valid'][-1]:
                yield batch['waveform'], batch['label']
            else:
                yield batch['waveform'][batch['valid']], batch['label'][batch['valid']]

    return Restartable(pairs)


def _limited(batches: Any, task: Task) -> Any:
    return batches if task.endless else batches.take(task.split.examples // task.batch_size)
