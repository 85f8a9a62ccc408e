"""Training by several devices or processes in step: like ``keras.Model.fit``, which fails there.

Keras 3.15 builds the model with the mean of the first batch's parts, which several workers cannot take
(github.com/keras-team/keras/issues/20585) and integers do not survive.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Extent:
    """How long to train, in the words of ``keras.Model.fit``: the epochs ``initial_epoch..epochs - 1``."""

    initial_epoch: int
    epochs: int
    steps_per_epoch: int


def fit(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    batches: tf.distribute.DistributedDataset,
    extent: Extent,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Trains a model as ``keras.Model.fit`` does.

    All workers call it with the same arguments and get the same logs, so that they make the same decisions. The
    dataset has no end, and its batches are equally long on all devices.
    """
    callback_list = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=extent.epochs, steps=extent.steps_per_epoch
    )
    train_step = _in_step(strategy, model.train_step)
    # Replicas cannot make the variables of the losses; Keras's own fit calls this too.
    with strategy.scope():
        model._symbolic_build(
            data_batch=tf.nest.map_structure(
                lambda value: strategy.experimental_local_results(value)[0], next(iter(batches))
            )
        )
    training = iter(batches)
    model.stop_training = False
    callback_list.on_train_begin()
    for epoch in range(extent.initial_epoch, extent.epochs):
        model.reset_metrics()
        callback_list.on_epoch_begin(epoch)
        for step in range(extent.steps_per_epoch):
            callback_list.on_train_batch_begin(step)
            logs = train_step(next(training))
            callback_list.on_train_batch_end(step, logs)
        callback_list.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    callback_list.on_train_end()


def sum_over_devices(strategy: tf.distribute.Strategy, values: Sequence[float]) -> np.ndarray:
    """Sums up over all devices of all workers, in float64."""
    each = strategy.experimental_distribute_values_from_function(lambda _: tf.constant(values, tf.float64))
    return strategy.reduce(tf.distribute.ReduceOp.SUM, each, axis=None).numpy()


def _in_step(
    strategy: tf.distribute.Strategy, step: Callable[[Any], dict[str, tf.Tensor]]
) -> Callable[[Any], dict[str, float]]:
    """Returns a step of all workers: from a batch to the logs, which are the same for all."""
    names: list[str] = []

    def on_device(batch: Any) -> tf.Tensor:
        logs = step(batch)
        names[:] = logs
        return tf.stack(list(logs.values()))  # one sum over the network, and not one for each

    @tf.function(reduce_retracing=True)
    def on_all(batch: Any) -> tf.Tensor:
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(on_device, args=(batch,)), axis=None)

    return lambda batch: dict(zip(names, on_all(batch).numpy().tolist(), strict=True))
