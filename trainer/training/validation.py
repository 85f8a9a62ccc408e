"""Scores the members and their consensus on the validation spikes."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from trainer.data.batches import evaluation_batches
from trainer.data.stored_dataset import StoredSplit
from trainer.evaluation.metrics import binary_metrics
from trainer.evaluation.verdicts import spike_p_ser
from trainer.models.scoring import SPLIT_BATCH, SpikeScores, score_batches
from trainer.training.one_device import ONE_DEVICE, OneDevice

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
    devices : run the ensemble, and agree on what it scores.
    """

    def __init__(self, ensemble: keras.Model, split: StoredSplit, devices: OneDevice = ONE_DEVICE):
        super().__init__()
        self._names = ensemble.output_names
        self._batches = self._open_batches(split)
        self._agree = devices.agree
        self._score = devices.score(ensemble)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        spikes = score_batches(self._score, self._names, self._batches)
        found = {}
        for name, scores, rows in self._parts(spikes):
            label = spikes.label[rows]
            metrics = binary_metrics(spike_p_ser(scores[:, np.newaxis]), label)
            found[f'val_{name}_loss'] = self._loss(scores, label, spikes.cell[rows])
            found[f'val_{name}_accuracy'] = metrics['accuracy']
            found[f'val_{name}_auc'] = metrics['auc']
        # They decide which members are saved and stopped: processes that differ in a last digit would diverge.
        logs.update(zip(found, self._agree(list(found.values())), strict=True))
        logs['val_loss'] = sum(logs[f'val_{name}_loss'] for name in self._names)

    def _open_batches(self, split: StoredSplit) -> tf.data.Dataset:
        return evaluation_batches(split, SPLIT_BATCH)

    def _parts(self, spikes: SpikeScores) -> Iterator[tuple[str, np.ndarray, slice | np.ndarray]]:
        """Yields the name and the (k, 2) scores of each member and of their consensus, and of which rows they are."""
        for number, name in enumerate(self._names):
            yield name, spikes.scores[:, number], slice(None)
        yield CONSENSUS, spikes.scores.mean(axis=1), slice(None)

    def _loss(self, scores: np.ndarray, label: np.ndarray, cell: np.ndarray) -> float:
        """Returns the binary cross-entropy of (k, 2) scores of spikes, the mean over both outputs as in Keras."""
        del cell  # All spikes weigh the same.
        of_truth = np.where(label[:, np.newaxis] == np.arange(scores.shape[1]), scores, 1 - scores.astype(np.float64))
        return float(-np.log(np.clip(of_truth, keras.config.epsilon(), 1)).mean())
