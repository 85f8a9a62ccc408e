"""Measures how long training waits for its input."""

from __future__ import annotations

import time
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled


class InputWait:
    """A clock that runs while the consumer of a dataset waits for the next element."""

    def __init__(self) -> None:
        with tf.device('/cpu:0'):
            self._seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    @property
    def seconds(self) -> float:
        """How long the consumer has waited since the clock was made."""
        return float(self._seconds.numpy())

    def add(self, seconds: float) -> None:
        """Sets the clock forward, where the wait is not that for an element of a dataset."""
        self._seconds.assign_add(seconds)

    def measure(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the same elements; the clock runs while the consumer waits for one.

        It must come last: TensorFlow fills any later stage from a thread, whose waiting delays nobody. Only
        ``tf.distribute`` adds such a thread after it, to fill the devices; there the clock gives an upper bound on
        the devices' wait.
        """
        # A zipped dataset asks its parts one after the other: first for the time, then for the element.
        asked = tf.data.Dataset.range(1).repeat().map(lambda _: _now())

        def count(asked_at: tf.Tensor, element: Any) -> Any:
            with tf.control_dependencies([self._seconds.assign_add(_now() - asked_at, read_value=False)]):
                return tf.nest.map_structure(tf.identity, element)

        options = tf.data.Options()
        # Both would put a thread between the clock and the consumer.
        options.experimental_optimization.inject_prefetch = False
        options.experimental_optimization.map_parallelization = False
        return tf.data.Dataset.zip(asked, dataset).map(count).with_options(options)


def _now() -> tf.Tensor:
    """Returns the time in s; TensorFlow's own clock is refused under ``TF_DETERMINISTIC_OPS``."""
    if is_op_determinism_enabled():
        return tf.ensure_shape(tf.numpy_function(time.monotonic, [], tf.float64), [])
    return tf.timestamp()


class LogInputWait(keras.callbacks.Callback):
    """Adds ``input_wait`` to an epoch's logs: the share of its training time that was spent waiting for input.

    The first step of a run compiles the model and starts the input; it is not counted. The callback must come before
    those that show the logs.
    """

    def __init__(self, input_wait: InputWait):
        super().__init__()
        self._input_wait = input_wait

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._started = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._begin()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if not self._started:
            self._started = True
            self._begin()
        self._ended = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        trained = self._ended - self._began
        waited = self._input_wait.seconds - self._waited_before
        logs['input_wait'] = waited / trained if trained else 0.0

    def _begin(self) -> None:
        self._began = self._ended = time.monotonic()
        self._waited_before = self._input_wait.seconds
