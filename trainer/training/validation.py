"""Scores the members and their consensus on the validation spikes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from trainer.data.batches import evaluation_batches
from trainer.data.stored_dataset import StoredSplit
from trainer.evaluation.metrics import binary_metrics
from trainer.evaluation.verdicts import spike_p_ser
from trainer.models.scoring import SPLIT_BATCH, score_batches

CONSENSUS = 'consensus'


class Validation(keras.callbacks.Callback):
    """Adds validation metrics to an epoch's logs, in one pass; must come before callbacks that use the logs.

    ``val_NAME_loss``, ``val_NAME_accuracy`` and ``val_NAME_auc`` of each member and of the ``consensus``, the mean of
    the members' outputs; ``val_loss`` is the sum of the members' losses, like the training loss. Accuracy and
    AUC are those of ``sero-evaluate``. Keras's own validation gives neither the scores that an exact AUC needs
    nor the consensus.

    Parameters
    ----------
    ensemble : from (n, 160) float32 in pA to {member name: (n, 2) scores of SER and NSER}.
    split : the validation split.
    agree : returns the values that all processes use, see ``strategies.OneDevice.agree``.
    """

    def __init__(
        self,
        ensemble: keras.Model,
        split: StoredSplit,
        agree: Callable[[Sequence[float]], Sequence[float]] = lambda values: values,
    ):
        super().__init__()
        self._names = ensemble.output_names
        self._batches = evaluation_batches(split, SPLIT_BATCH)
        self._agree = agree
        self._score = scorer(ensemble)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        spikes = score_batches(self._score, self._names, self._batches)
        scores, label = spikes.scores, spikes.label
        of_members = {name: scores[:, [number]] for number, name in enumerate(self._names)}
        found = {}
        for name, part in (of_members | {CONSENSUS: scores}).items():
            metrics = binary_metrics(spike_p_ser(part), label)
            found[f'val_{name}_loss'] = float(spike_losses(part.mean(axis=1), label).mean())
            found[f'val_{name}_accuracy'] = metrics['accuracy']
            found[f'val_{name}_auc'] = metrics['auc']
        # They decide which members are saved and stopped: processes that differ in a last digit would diverge.
        logs.update(zip(found, self._agree(list(found.values())), strict=True))
        logs['val_loss'] = sum(logs[f'val_{name}_loss'] for name in self._names)


def scorer(ensemble: keras.Model) -> Callable[[np.ndarray], Mapping[str, object]]:
    """Returns the ensemble as a function from (b, 160) float32 in pA to {member: (b, 2) scores}."""
    if keras.backend.backend() == 'tensorflow':
        # Unlike Keras's predict it is the same on one device and within a tf.distribute strategy.
        return tf.function(functools.partial(ensemble, training=False))
    return ensemble.predict_on_batch


def spike_losses(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Returns the binary cross-entropy of (n, 2) scores, the mean over both outputs as in Keras: (n,) float64."""
    of_truth = np.where(label[:, np.newaxis] == np.arange(scores.shape[1]), scores, 1 - scores.astype(np.float64))
    return -np.log(np.clip(of_truth, keras.config.epsilon(), 1)).mean(axis=1)
