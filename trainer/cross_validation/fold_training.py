"""Trains an ensemble on spikes in memory: a fold of a cross-validation has few."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from ml_collections import FrozenConfigDict

from beam_pipelines import domain
from beam_pipelines.errors import UserError
from beam_pipelines.synthesis.synthesizer import Synthesizer
from trainer.data.augmentation_draws import add_draws
from trainer.models.ensemble import build_ensemble, members_of
from trainer.models.training_model import TrainingModel
from trainer.training.optimization import compile_ensemble, learning_rate_over_run, member_losses

Spikes = tuple[np.ndarray, np.ndarray]  # (n, 160) float32 in pA, (n,) labels


def recorded_epochs(waveform: np.ndarray, label: np.ndarray, count: int, seed: int) -> Iterator[Spikes]:
    """Yields epochs of ``count`` recorded spikes, endlessly: every spike once before any repeats."""
    rng = np.random.default_rng(seed)
    left: np.ndarray = np.empty(0, np.int64)
    while True:
        while len(left) < count:
            left = np.concatenate([left, rng.permutation(len(label))])
        rows, left = left[:count], left[count:]
        yield waveform[rows], label[rows]


def synthetic_epochs(synthesizer: Synthesizer, count: int) -> Iterator[Spikes]:
    """Yields epochs of ``count`` synthetic spikes, endlessly."""
    first = 0
    while True:
        draws = synthesizer.draw(np.arange(first, first + count) % sum(synthesizer.examples))
        yield synthesizer.make(draws), draws.label
        first += count


def train_in_memory(config: FrozenConfigDict, epochs: Iterator[Spikes], validation: Spikes) -> keras.Model:
    """Trains an ensemble as ``sero-train`` does: each member keeps the weights of its best epoch on validation.

    Parameters
    ----------
    config : of the run, see ``trainer/configs/default.py``.
    epochs : yields the spikes of each epoch.
    validation : the spikes that select the best epoch.

    Raises
    ------
    UserError
        If the loss is not finite.
    """
    ensemble = build_ensemble(config.architecture, config.kernel_sizes, config.seed, config.precision)
    compile_ensemble(ensemble, config.precision, learning_rate_over_run(config))
    model = TrainingModel(ensemble, augmentations=config.augment)
    model.compile(optimizer=ensemble.optimizer, loss=member_losses(ensemble), jit_compile=ensemble.jit_compile)
    members = members_of(ensemble)
    best = {member.name: (math.inf, 0, member.get_weights()) for member in members}
    for epoch, (waveform, label) in zip(range(1, config.epochs + 1), epochs, strict=False):
        batches = _batches(config, ensemble, waveform, label, epoch)
        logs = model.fit(
            batches,
            shuffle=False,  # already in random order
            validation_data=(validation[0], _targets(ensemble, validation[1])),
            verbose=0,
        ).history
        if not math.isfinite(logs['loss'][0]):
            raise UserError(f'loss is {logs["loss"][0]} in epoch {epoch}; try a lower learning_rate')
        for member in members:
            # With one output Keras reports the total alone.
            [loss] = logs.get(f'val_{member.name}_loss', logs['val_loss'])
            best_loss, best_epoch, _ = best[member.name]
            if loss < best_loss and epoch - best_epoch <= config.patience:
                best[member.name] = (loss, epoch, member.get_weights())
        if all(epoch - best_epoch >= config.patience for _, best_epoch, _ in best.values()):
            break
    for member in members:
        member.set_weights(best[member.name][2])
    return ensemble


def _batches(
    config: FrozenConfigDict, ensemble: keras.Model, waveform: np.ndarray, label: np.ndarray, epoch: int
) -> tf.data.Dataset:
    """Returns the batches of an epoch, which come in random order, with what the augmentation takes."""
    spikes = tf.data.Dataset.from_tensor_slices((waveform, _targets(ensemble, label)))
    batches = spikes.batch(config.batch_size, drop_remainder=True)
    if config.augment:
        batches = add_draws(batches, config.seed, (epoch - 1) * len(batches))
    return batches.prefetch(2)


def _targets(ensemble: keras.Model, label: np.ndarray) -> dict[str, np.ndarray]:
    one_hot = np.eye(len(domain.LABEL_NAMES), dtype=np.float32)[label]
    return dict.fromkeys(ensemble.output_names, one_hot)
