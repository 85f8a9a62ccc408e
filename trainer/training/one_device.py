"""The devices of a run where there is one: what every strategy has to do."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from beam_pipelines.cli.signals import StopRequests
from trainer.training.agreement import SharedStopRequests
from trainer.training.distributed_fit import Extent
from trainer.training.input_wait import InputWait

# What ``feed`` gives ``fit``: a dataset, a distributed one, or batches that are on the devices already.
Batches: TypeAlias = Any
Callbacks: TypeAlias = Sequence[keras.callbacks.Callback]
# From (b, 160) float32 in pA to {member name: (b, 2) scores of SER and NSER}.
Score: TypeAlias = Callable[[Any], Any]


class OneDevice:
    """Keras's default device.

    Attributes
    ----------
    replicas : how many devices share a batch, those of other processes included.
    is_chief : whether this process writes the files of the run.
    can_scale_loss : whether mixed_float16 is safe. Where each replica checks only its own gradients, as Keras 3.15
        does within ``tf.distribute``, the overflow of one would spoil the weights of all.
    """

    replicas = 1
    is_chief = True
    can_scale_loss = True

    def scope(self) -> contextlib.AbstractContextManager:
        """Returns the context in which models are built, loaded and compiled."""
        return contextlib.nullcontext()

    def share(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Returns this process's part of global batches, one element for each of its devices and step."""
        return batches

    def feed(self, parts: tf.data.Dataset, input_wait: InputWait) -> Batches:
        """Returns what ``fit`` takes for the elements of ``share``; the clock runs while the devices wait for one."""
        return input_wait.measure(parts)

    def fit(self, model: keras.Model, batches: Batches, extent: Extent, callbacks: Callbacks) -> None:
        """Trains on what ``feed`` has returned."""
        model.fit(
            batches,
            shuffle=False,  # they are shuffled already
            verbose=0,
            callbacks=list(callbacks),
            **dataclasses.asdict(extent),
        )

    def score(self, ensemble: keras.Model) -> Score:
        """Returns a function that runs the ensemble on whole batches between two epochs."""
        if keras.backend.backend() != 'tensorflow':
            return ensemble.predict_on_batch
        # Unlike Keras's predict it is the same on one device and within a tf.distribute strategy.
        return tf.function(functools.partial(ensemble, training=False))

    def listen(self, stop_requests: StopRequests) -> StopRequests | SharedStopRequests:
        """Returns the requests to stop of all processes."""
        return stop_requests

    def agree(self, values: Sequence[float]) -> Sequence[float]:
        """Returns the values that all processes use, given those that each has computed."""
        return values

    def check_same(self, **seen: object) -> None:
        """Checks that all processes see the same; UserError names what differs."""


ONE_DEVICE = OneDevice()


def rows_of_process(batches: tf.data.Dataset, process: int, processes: int) -> tf.data.Dataset:
    """Returns the rows of global batches that one of several processes trains on, so that steps depend on neither."""
    rows = batch_rows(batches) // processes
    first = process * rows

    def take(*batch: Any) -> Any:
        return tf.nest.map_structure(lambda column: column[first : first + rows], batch)

    return batches.map(take)


def batch_rows(batches: tf.data.Dataset) -> int:
    """Returns how many rows each batch has."""
    return tf.nest.flatten(batches.element_spec)[0].shape[0]
