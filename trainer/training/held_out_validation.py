"""Scores each member on the cells of the days that it is not trained on, and the consensus of such members."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from beam_pipelines.datasets import record_layout
from trainer.data.shards import read_records
from trainer.data.stored_dataset import StoredSplit
from trainer.models.scoring import SPLIT_BATCH, SpikeScores
from trainer.training.held_out_days import HeldOutDays
from trainer.training.validation import CONSENSUS, Validation

# Of each cell: enough for its mean, and few enough that all cells take no longer than the usual validation.
_SPIKES_PER_CELL = 48


class HeldOutValidation(Validation):
    """Adds the same to an epoch's logs, of each member on the cells of the days that it has not seen.

    A loss is the mean over cells of their spikes' mean, because a verdict is on a cell. The consensus of a cell is that
    of the members which have not seen its day.

    Parameters
    ----------
    ensemble : from (n, 160) float32 in pA to {member name: (n, 2) scores of SER and NSER}.
    splits : of one dataset, which hold the cells.
    held_out : which member has seen which cells.
    agree : see ``Validation``.
    """

    def __init__(
        self,
        ensemble: keras.Model,
        splits: Sequence[StoredSplit],
        held_out: HeldOutDays,
        agree: Callable[[Sequence[float]], Sequence[float]] = lambda values: values,
    ):
        self._splits = splits
        super().__init__(ensemble, splits[0], agree)
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

    def _mean(self, losses: np.ndarray, cell: np.ndarray) -> float:
        spikes = np.bincount(cell)
        of_cells = np.bincount(cell, losses)[spikes > 0] / spikes[spikes > 0]
        return float(of_cells.mean())


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
