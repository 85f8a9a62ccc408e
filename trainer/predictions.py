"""Runs the members of a trained ensemble on spikes."""

from __future__ import annotations

import dataclasses
import json
import os

import keras
import numpy as np

from trainer import model_info
from trainer.checkpoints import ModelError, load_model
from trainer.ensemble import join_members
from trainer.input_pipeline import dataset_errors, evaluation_batches
from trainer.run_keeper import MEMBERS_FOLDER
from trainer.stored_dataset import StoredSplit

_BATCH = 1024


@dataclasses.dataclass(frozen=True)
class TrainedEnsemble:
    """A trained ensemble.

    Attributes
    ----------
    model : from (n, 160) float32 in pA to {member: (n, 2) scores of SER and NSER}.
    info : the content of ``model_info.json``.
    """

    model: keras.Model
    info: dict


@dataclasses.dataclass(frozen=True)
class SpikeScores:
    """What the members say of n spikes.

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


def load_ensemble(workdir: str) -> TrainedEnsemble:
    """Loads the best weights of each member that ``sero-train`` has saved.

    Raises
    ------
    ModelError
        If the folder holds no trained model, or a damaged one.
    """
    path = os.path.join(workdir, model_info.FILE_NAME)
    try:
        with open(path, encoding='utf-8') as file:
            info = json.load(file)
    except FileNotFoundError:
        raise ModelError(f'{path}: no such file; sero-train makes it') from None
    except (OSError, ValueError) as error:
        raise ModelError(f'{path}: {error}') from None
    members = [
        load_model(os.path.join(workdir, MEMBERS_FOLDER, f'{name}.keras'), compile=False) for name in info['members']
    ]
    return TrainedEnsemble(join_members(members), info)


@dataset_errors()
def score_split(ensemble: TrainedEnsemble, split: StoredSplit) -> SpikeScores:
    """Runs all members on every spike of a split; DatasetError if a shard has changed since it was opened."""
    parts = []
    for batch in evaluation_batches(split, _BATCH).as_numpy_iterator():
        outputs = ensemble.model.predict_on_batch(batch['waveform'])
        scores = np.stack([np.asarray(outputs[name]) for name in ensemble.model.output_names], axis=1)
        valid = batch['valid']
        parts.append(SpikeScores(scores[valid], *(batch[name][valid] for name in ('waveform', 'label', 'cell'))))
    return SpikeScores(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(SpikeScores))
    )
