"""Scores of spikes by the members of an ensemble, whether the spikes are in a dataset or in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from trainer.data.batches import dataset_errors, evaluation_batches
from trainer.data.stored_dataset import StoredSplit
from trainer.models.trained import TrainedEnsemble

SPLIT_BATCH = 1024

# All batches have this length: compiling for a new one takes longer than all spikes of a recording.
_RECORDING_BATCH = 128


@dataclasses.dataclass(frozen=True)
class SpikeScores:
    """The members' scores of n spikes.

    Attributes
    ----------
    scores : (n, m, 2) float32, of each member the scores of SER and NSER, 0..1.
    waveform : (n, 160) float32, pA.
    label, cell : (n,) int64.
    """

    scores: np.ndarray
    waveform: np.ndarray
    label: np.ndarray
    cell: np.ndarray


def score_spikes(model: keras.Model, waveform: np.ndarray) -> np.ndarray:
    """Runs all members of an ensemble on spikes in memory.

    Parameters
    ----------
    model : from (n, 160) float32 in pA to {member: (n, 2) scores of SER and NSER}.
    waveform : (n, 160) float32, pA; at least one.

    Returns
    -------
    (n, m, 2) float32, of each member the scores of SER and NSER, 0..1.
    """
    parts = []
    for start in range(0, len(waveform), _RECORDING_BATCH):
        batch = waveform[start : start + _RECORDING_BATCH]
        outputs = model.predict_on_batch(np.pad(batch, ((0, _RECORDING_BATCH - len(batch)), (0, 0))))
        parts.append(_stack(outputs, model.output_names)[: len(batch)])
    return np.concatenate(parts)


@dataset_errors()
def score_split(ensemble: TrainedEnsemble, split: StoredSplit) -> SpikeScores:
    """Runs all members on every spike of a split; UserError if a shard has changed since it was opened."""
    model = ensemble.model
    return score_batches(model.predict_on_batch, model.output_names, evaluation_batches(split, SPLIT_BATCH))


def score_batches(
    score: Callable[[np.ndarray], Mapping[str, object]], members: Sequence[str], batches: tf.data.Dataset
) -> SpikeScores:
    """Runs all members on every valid row of ``evaluation_batches``.

    Parameters
    ----------
    score : from (b, 160) float32 in pA to {member: (b, 2) scores of SER and NSER}.
    members : their names, in the order of the scores.
    batches : from ``evaluation_batches``.
    """
    parts = []
    for batch in batches.as_numpy_iterator():
        scores, valid = _stack(score(batch['waveform']), members), batch['valid']
        parts.append(SpikeScores(scores[valid], *(batch[name][valid] for name in ('waveform', 'label', 'cell'))))
    return join_scores(parts)


def join_scores(parts: Sequence[SpikeScores]) -> SpikeScores:
    """Returns the scores of several sets of spikes, one after the other."""
    return SpikeScores(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(SpikeScores))
    )


def _stack(outputs: Mapping[str, object], members: Sequence[str]) -> np.ndarray:
    """Returns (n, m, 2) float32 of the members' outputs, in the order of their names."""
    return np.stack([np.asarray(outputs[name]) for name in members], axis=1)
