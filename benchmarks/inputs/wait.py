"""The mode --with_model of ``input_throughput``: the share of time that training waits for its input.

The loop takes a batch, trains on it and waits for the result, so the time in ``next()`` is waiting and nothing else.
Reading ahead continues during the step and uses its cores, as in real training. ``ensemble`` has three members;
``dense``, one layer, stands in for an accelerator that finishes a step at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from beam_pipelines import domain
from benchmarks.inputs.ours import online_recipes
from benchmarks.inputs.task import Task
from benchmarks.inputs.ways import WAYS as _ALL_WAYS

WAYS = ['block', 'online', 'naive', 'best_practice']
COLUMNS = {'input_wait': 'input wait', 'step_ms': 'ms/step'}
_WARM_UP_STEPS = 5


def measure(way: str, task: Task, model_name: str, seconds: float) -> dict:
    """Trains for ``seconds``.

    Returns
    -------
    Dict of ``rate`` (examples per second), ``input_wait`` (0..1, the share of the time spent in ``next()``) and
    ``step_ms`` (the rest of a step).
    """
    import tensorflow as tf

    if way == 'online':
        batches, to_waveform = online_recipes(task)
    else:
        batches, to_waveform = _ALL_WAYS[way].open(task), tf.identity
    train_step = _make_train_step(MODELS[model_name](), to_waveform)
    iterator = iter(batches)
    for _ in range(_WARM_UP_STEPS):
        train_step(*next(iterator)).numpy()
    waited, steps = 0.0, 0
    started = time.perf_counter()
    while (asked := time.perf_counter()) - started < seconds:
        batch = next(iterator)
        waited += time.perf_counter() - asked
        train_step(*batch).numpy()  # Waits for the device.
        steps += 1
    elapsed = time.perf_counter() - started
    return {
        'rate': steps * task.batch_size / elapsed,
        'input_wait': waited / elapsed,
        'step_ms': 1e3 * (elapsed - waited) / steps,
    }


def _make_train_step(model: Any, to_waveform: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)

    @tf.function
    def train_step(given: Any, label: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = model(to_waveform(given), training=True)
            target = tf.one_hot(label, len(domain.LABEL_NAMES))
            loss = tf.add_n(
                [tf.reduce_mean(keras.losses.binary_crossentropy(target, one)) for one in tf.nest.flatten(scores)]
            )
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return train_step


def _ensemble() -> Any:
    from trainer.models.ensemble import build_ensemble

    return build_ensemble('cnn', (20, 25, 30), seed=0)


def _dense() -> Any:
    import keras

    return keras.Sequential(
        [
            keras.Input((domain.SPIKE_SAMPLES,)),
            keras.layers.Dense(len(domain.LABEL_NAMES), activation='sigmoid'),
        ]
    )


MODELS = {'ensemble': _ensemble, 'dense': _dense}
