"""Runs the members of a trained ensemble on spikes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import keras
import numpy as np

from beam_pipelines.datasets import record_layout
from trainer.data.batches import dataset_errors, evaluation_batches
from trainer.data.shards import read_records
from trainer.data.stored_dataset import StoredSplit
from trainer.models import model_info
from trainer.models.ensemble import join_members
from trainer.models.published import describe_files, find_files, load_published_member
from trainer.training.checkpoints import load_model
from trainer.training.run_keeper import MEMBERS_FOLDER

_BATCH = 1024


@dataclasses.dataclass(frozen=True)
class TrainedEnsemble:
    """A trained ensemble.

    Attributes
    ----------
    model : from (n, 160) float32 in pA to {member: (n, 2) scores of SER and NSER}.
    info : the content of ``model_info.json``, or for the authors' models what stands in its place.
    """

    model: keras.Model
    info: dict

    @property
    def title(self) -> str:
        if self.info['train_cells'] is None:
            return f"authors' models, trained on {self.info['trained_on']}"
        return f'trained on {self.info["trained_on"]}'


@dataclasses.dataclass(frozen=True)
class SpikeScores:
    """What the members say of n spikes.

    Attributes
    ----------
    scores : (n, m, 2) float32, of each member the scores of SER and NSER, 0..1.
    waveform : (n, 160) float32, pA.
    label, cell, trigger : (n,) int64; the trigger is a sample index in the recording.
    """

    scores: np.ndarray
    waveform: np.ndarray
    label: np.ndarray
    cell: np.ndarray
    trigger: np.ndarray


def load_ensemble(workdir: str) -> TrainedEnsemble:
    """Loads the best weights of each member that ``sero-train`` has saved.

    Raises
    ------
    ModelError
        If the folder holds no trained model, or a damaged one.
    """
    info = model_info.read(workdir)
    return TrainedEnsemble(join_members(load_members(workdir, info['members'])), info)


def load_members(workdir: str, names: Sequence[str]) -> list[keras.Model]:
    """Loads the best weights of a run's members; ModelError if one is missing or damaged."""
    return [load_model(os.path.join(workdir, MEMBERS_FOLDER, f'{name}.keras'), compile=False) for name in names]


def load_published_ensemble(folder: str) -> TrainedEnsemble:
    """Loads all of the authors' models that a folder holds; see ``published_models`` for which.

    Nothing says what they were trained on: what ``info`` does not know is None or says so.

    Raises
    ------
    ModelError
        If there is none, or one is damaged or another network.
    """
    paths = find_files(folder)
    members = [load_published_member(path, kernel_size) for kernel_size, path in paths.items()]
    info = {
        'source': 'unknown',
        'protocol': 'unknown',
        'trained_on': 'data unknown here',
        'architecture': 'published',
        'kernel_sizes': list(paths),
        'members': [member.name for member in members],
        'examples_seen': None,
        'train_cells': None,
        'files': describe_files(paths),
    }
    return TrainedEnsemble(join_members(members), info)


@dataset_errors()
def score_split(ensemble: TrainedEnsemble, split: StoredSplit) -> SpikeScores:
    """Runs all members on every spike of a split; UserError if a shard has changed since it was opened."""
    parts = []
    for batch in evaluation_batches(split, _BATCH).as_numpy_iterator():
        outputs = ensemble.model.predict_on_batch(batch['waveform'])
        scores = np.stack([np.asarray(outputs[name]) for name in ensemble.model.output_names], axis=1)
        valid = batch['valid']
        parts.append([scores[valid], *(batch[name][valid] for name in ('waveform', 'label', 'cell'))])
    trigger = record_layout.decode_varints(read_records(split.shards)['trigger'])
    return SpikeScores(*map(np.concatenate, zip(*parts, strict=True)), trigger)
