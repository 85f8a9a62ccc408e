"""Training on JAX, as ``keras.Model.fit`` does, but with the next batch put on the devices while they make a step.

Keras 3.15 does so on a single accelerator only, and even there fetches a batch between two steps, because what keeps a
run reads the loss after each.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import keras
import numpy as np
import tensorflow as tf

from trainer.training.distributed_fit import Extent
from trainer.training.input_wait import InputWait

# What Keras keeps outside a model's variables while it trains, in its order.
_STATE = ('trainable_variables', 'non_trainable_variables', 'optimizer_variables', 'metrics_variables')


class PlacedBatches:
    """An endless stream of batches on the devices.

    Parameters
    ----------
    parts : this process's rows of each batch.
    place : puts rows on the devices that share them.
    input_wait : a clock.
    """

    def __init__(self, parts: tf.data.Dataset, place: Callable[[np.ndarray], jax.Array], input_wait: InputWait):
        self._parts = parts.as_numpy_iterator()
        self._place = place
        self._input_wait = input_wait

    def first(self) -> Any:
        """Returns the first batch; nothing is made meanwhile, and the clock stands."""
        return keras.tree.map_structure(self._place, next(self._parts))

    def next_during(self, logs: dict[str, Any]) -> Any:
        """Returns the next batch while the devices make a step that ends in logs.

        The clock runs on by the whole time if the step had ended when the batch was there: at least as long as the
        devices have waited.
        """
        began = time.monotonic()
        batch = keras.tree.map_structure(self._place, next(self._parts))
        if all(value.is_ready() for value in logs.values()):
            self._input_wait.add(time.monotonic() - began)
        return batch


def fit(
    model: keras.Model,
    batches: PlacedBatches,
    extent: Extent,
    callbacks: Sequence[keras.callbacks.Callback],
    scope: Callable[[], contextlib.AbstractContextManager],
) -> None:
    """Trains a compiled model; callbacks may call ``jax_state_sync`` to have its variables up to date.

    ``scope`` is that of the devices. Callbacks run outside: what they make is of this process alone.
    """
    callback_list = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=extent.epochs, steps=extent.steps_per_epoch
    )
    batch = batches.first()
    with scope():
        model._symbolic_build(data_batch=batch)
        model.make_train_function()
    model.stop_training = False
    callback_list.on_train_begin()
    try:
        for epoch in range(extent.initial_epoch, extent.epochs):
            with scope():
                model.reset_metrics()
            callback_list.on_epoch_begin(epoch)
            model._jax_state_synced, state = True, ()
            for step in range(extent.steps_per_epoch):
                callback_list.on_train_batch_begin(step)
                with scope():
                    state = _begun_state(model) if model._jax_state_synced else state
                    logs, state = model.train_function(state, iter([batch]))
                    model._jax_state = dict(zip(_STATE, state, strict=True))
                batch = batches.next_during(logs)
                callback_list.on_train_batch_end(step, logs)
            model.jax_state_sync()
            with scope():
                logs = dict(model._get_metrics_result_or_logs(logs))
            callback_list.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
    finally:
        model.jax_state_sync()
        model._jax_state = None
    callback_list.on_train_end()


def _begun_state(model: keras.Model) -> tuple:
    """Takes the state out of the model's variables, in which a callback has read it and may have changed it."""
    model._jax_state_synced = False
    return model._get_jax_state(**dict.fromkeys(_STATE, True), purge_model_variables=True)
