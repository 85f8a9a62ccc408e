import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config

from trainer.training.input_wait import InputWait


def slow(seconds: float) -> tf.data.Dataset:
    """Elements that take some time each."""

    def make(number: np.int64) -> np.int64:
        time.sleep(seconds)
        return number

    numbers = tf.data.Dataset.range(20)
    return numbers.map(lambda number: tf.numpy_function(make, [number], tf.int64), num_parallel_calls=1)


def test_elements_are_the_same():
    elements = tf.data.Dataset.range(6).batch(2).map(lambda number: ({'number': number}, number + 1))
    measured = InputWait().measure(elements)
    assert measured.element_spec == elements.element_spec
    for (features, label), (expected, expected_label) in zip(measured, elements, strict=True):
        np.testing.assert_array_equal(features['number'], expected['number'])
        np.testing.assert_array_equal(label, expected_label)


def test_clock_runs_while_the_consumer_waits():
    wait = InputWait()
    started = time.monotonic()
    for _ in wait.measure(slow(0.03)):
        pass
    assert 20 * 0.03 * 0.9 < wait.seconds <= time.monotonic() - started


def test_clock_stands_while_elements_lie_ready():
    wait = InputWait()
    for _ in wait.measure(slow(0.005).prefetch(4)):
        time.sleep(0.03)
    assert wait.seconds < 20 * 0.03 / 2


def test_clock_goes_on_over_several_readings():
    wait = InputWait()
    measured = wait.measure(slow(0.01))
    for _ in measured:
        pass
    once = wait.seconds
    for _ in measured:
        pass
    assert wait.seconds > once + 20 * 0.01 * 0.9


@pytest.fixture
def reproducible():
    """As with TF_DETERMINISTIC_OPS, where TensorFlow refuses operations that differ from run to run."""
    config.enable_op_determinism()
    yield
    config.disable_op_determinism()


def test_clock_runs_where_operations_must_be_reproducible(reproducible):
    wait = InputWait()
    started = time.monotonic()
    assert [int(number) for number in wait.measure(slow(0.03))] == list(range(20))
    assert 20 * 0.03 * 0.9 < wait.seconds <= time.monotonic() - started
