"""Scores each member on the cells of the days that it is not trained on, and the consensus of such members."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy.optimize import minimize_scalar
from scipy.special import logit

from beam_pipelines.datasets import record_layout
from trainer.data.shards import read_records
from trainer.data.stored_dataset import StoredSplit
from trainer.evaluation.verdicts import spike_p_ser
from trainer.models.scoring import SPLIT_BATCH, SpikeScores
from trainer.training.held_out_days import HeldOutDays
from trainer.training.one_device import ONE_DEVICE, OneDevice
from trainer.training.validation import CONSENSUS, Validation

_LOG_TEMPERATURES = (-math.log(10), math.log(100))

# Of each cell: enough for its mean, and few enough that all cells take no longer than the usual validation.
_SPIKES_PER_CELL = 48


class HeldOutValidation(Validation):
    """Adds the same to an epoch's logs, of each member on the cells of the days that it has not seen.

    A loss is that of the spikes' probabilities after the temperature that suits them best, the mean over cells of their
    spikes' mean. A temperature is fitted to the finished consensus anyway, so an epoch should be chosen by how well it
    tells the classes apart, and not by how sure it is: otherwise a single atypical cell favours the first epoch, which
    is the least sure. Source: Berta et al. 2025, Rethinking early stopping: refine, then calibrate, arXiv 2501.19195.
    The consensus of a cell is that of the members which have not seen its day.

    Parameters
    ----------
    ensemble : from (n, 160) float32 in pA to {member name: (n, 2) scores of SER and NSER}.
    splits : of one dataset, which hold the cells.
    held_out : which member has seen which cells.
    devices : see ``Validation``.
    """

    def __init__(
        self,
        ensemble: keras.Model,
        splits: Sequence[StoredSplit],
        held_out: HeldOutDays,
        devices: OneDevice = ONE_DEVICE,
    ):
        self._splits = splits
        super().__init__(ensemble, splits[0], devices)
        self._sees = held_out.sees(splits[0].cell_names)

    def _open_batches(self, split: StoredSplit) -> tf.data.Dataset:
        return _few_spikes_of_each_cell(self._splits)

    def _parts(self, spikes: SpikeScores) -> Iterator[tuple[str, np.ndarray, slice | np.ndarray]]:
        tests = ~self._sees[:, spikes.cell].T  # (n, m)
        for number, name in enumerate(self._names):
            rows = tests[:, number]
            yield name, spikes.scores[rows, number], rows
        tested: np.ndarray = np.any(tests, axis=1)
        weights = tests[tested, :, np.newaxis]
        yield CONSENSUS, (spikes.scores[tested] * weights).sum(axis=1) / weights.sum(axis=1), tested

    def _loss(self, scores: np.ndarray, label: np.ndarray, cell: np.ndarray) -> float:
        _, cell, spikes = np.unique(cell, return_inverse=True, return_counts=True)
        return refined_loss(spike_p_ser(scores[:, np.newaxis]), label, 1 / (len(spikes) * spikes[cell]))


def refined_loss(p_ser: np.ndarray, label: np.ndarray, weight: np.ndarray) -> float:
    """Returns the cross-entropy after the best temperature.

    Parameters
    ----------
    p_ser : (n,) float, probability of SER.
    label : (n,) int, 0 SER or 1 NSER.
    weight : (n,) float, of each in the mean; their sum is 1.
    """
    epsilon = keras.config.epsilon()
    log_odds = np.where(label == 0, 1, -1) * logit(np.clip(p_ser.astype(np.float64), epsilon, 1 - epsilon))

    def loss(log_temperature: float) -> float:
        return float(weight @ np.logaddexp(0, -log_odds / math.exp(log_temperature)))

    return float(minimize_scalar(loss, bounds=_LOG_TEMPERATURES).fun)


def _few_spikes_of_each_cell(splits: Sequence[StoredSplit]) -> tf.data.Dataset:
    """Returns batches as ``evaluation_batches`` does; the stored order is random, so the first spikes will do."""
    records = np.concatenate([read_records(split.shards) for split in splits])
    label, cell = (record_layout.decode_varints(records[field]) for field in ('label', 'cell'))
    rows = np.concatenate([np.flatnonzero(cell == number)[:_SPIKES_PER_CELL] for number in np.unique(cell)])
    filling = -len(rows) % SPLIT_BATCH
    columns = {'waveform': records['waveform'][rows], 'label': label[rows], 'cell': cell[rows]}
    columns['valid'] = np.ones(len(rows), bool)
    padded = {
        name: np.pad(values, ((0, filling), *(((0, 0),) * (values.ndim - 1)))) for name, values in columns.items()
    }
    return tf.data.Dataset.from_tensor_slices(padded).batch(SPLIT_BATCH)
