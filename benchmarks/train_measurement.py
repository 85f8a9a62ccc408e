"""One measurement of ``train_throughput``: the rate of one way of training, in this process."""

from __future__ import annotations

import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from beam_pipelines import domain
from trainer.data.batches import training_batches
from trainer.data.stored_dataset import StoredSplit
from trainer.models.architectures import build_member
from trainer.models.ensemble import AddTimeColumn, build_ensemble
from trainer.training.input_wait import InputWait
from trainer.training.optimization import compile_ensemble

_WARM_UP_STEPS = 5
_PUBLISHED_BATCH_SIZE = 64
_SPIKES_IN_MEMORY = 16_384
_LEARNING_RATE = 1e-3


def measure_ensemble(
    split: StoredSplit, kernel_sizes: Sequence[int], precision: str, batch_size: int, seconds: float
) -> dict:
    """Trains the ensemble as sero-train does, for ``seconds``.

    Returns
    -------
    Dict of ``rate`` (examples per second through all members) and ``input_wait`` (0..1, share of the time).
    """
    ensemble = build_ensemble('cnn', kernel_sizes, seed=0, precision=precision)
    compile_ensemble(ensemble, precision, _LEARNING_RATE)

    def add_targets(waveform: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        return waveform, dict.fromkeys(ensemble.output_names, tf.one_hot(label, len(domain.LABEL_NAMES)))

    input_wait = InputWait()
    batches = training_batches(split, batch_size, seed=0).map(add_targets, num_parallel_calls=1).prefetch(8)
    clock = _Clock(seconds, input_wait)
    ensemble.fit(input_wait.measure(batches), steps_per_epoch=1 << 31, callbacks=[clock], verbose=0)
    return {'rate': clock.steps * batch_size / clock.seconds, 'input_wait': clock.waited_seconds / clock.seconds}


def measure_separate(split: StoredSplit, architecture: str, kernel_sizes: Sequence[int], seconds: float) -> dict:
    """Trains one member after the other for ``seconds`` in all, from NumPy arrays, as in Keras's guides.

    Returns
    -------
    Dict of ``rate``: examples per second through all members.
    """
    # Of a dataset that is smaller than a batch, some spikes come twice.
    batches = max(min(_SPIKES_IN_MEMORY, split.examples) // _PUBLISHED_BATCH_SIZE, 1)
    spikes = batches * _PUBLISHED_BATCH_SIZE
    waveform, label = (np.asarray(part) for part in next(iter(training_batches(split, spikes, seed=0))))
    if architecture == 'published':
        waveform = np.asarray(AddTimeColumn()(waveform))
    target = np.eye(len(domain.LABEL_NAMES), dtype=np.float32)[label]
    seconds_an_example = 0.0
    for kernel_size in kernel_sizes:
        member = build_member(architecture, kernel_size)
        # Without XLA, which Keras would pick and which is half as fast on a CPU: the peer at its best.
        member.compile(keras.optimizers.Adam(_LEARNING_RATE), 'binary_crossentropy', jit_compile=False)
        clock = _Clock(seconds / len(kernel_sizes))
        while not clock.finished:
            member.fit(waveform, target, batch_size=_PUBLISHED_BATCH_SIZE, callbacks=[clock], verbose=0)
        seconds_an_example += clock.seconds / (clock.steps * _PUBLISHED_BATCH_SIZE)
    return {'rate': 1 / seconds_an_example}


class _Clock(keras.callbacks.Callback):
    """Counts steps and seconds after the warm-up steps, and stops training when the time is over."""

    def __init__(self, seconds: float, input_wait: InputWait | None = None):
        super().__init__()
        self._longest = seconds
        self._input_wait = input_wait
        self._warm_up = _WARM_UP_STEPS
        self.steps = 0
        self.seconds = 0.0
        self.waited_seconds = 0.0

    @property
    def finished(self) -> bool:
        return self.seconds >= self._longest

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        now = time.perf_counter()
        if self._warm_up:
            self._warm_up -= 1
            self._began, self._waited_before = now, self._waited()
            return
        self.steps += 1
        self.seconds = now - self._began
        self.waited_seconds = self._waited() - self._waited_before
        self.model.stop_training = self.finished

    def _waited(self) -> float:
        return self._input_wait.seconds if self._input_wait else 0.0
