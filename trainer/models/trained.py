"""Trained ensembles on disk: the folder of a run, or a folder of the authors' models."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import keras

from trainer.models import model_info
from trainer.models.ensemble import join_members
from trainer.models.files import load_model
from trainer.models.model_info import ModelInfo
from trainer.models.published import describe_files, find_files, load_published_member

MEMBERS_FOLDER = 'members'


@dataclasses.dataclass(frozen=True)
class TrainedEnsemble:
    """A trained ensemble.

    Attributes
    ----------
    model : from (n, 160) float32 in pA to {member: (n, 2) scores of SER and NSER}.
    info : what it was trained on.
    """

    model: keras.Model
    info: ModelInfo

    @property
    def title(self) -> str:
        if self.info.train_cells is None:
            return f"authors' models, trained on {self.info.trained_on}"
        return f'trained on {self.info.trained_on}'


def load_ensemble(workdir: str) -> TrainedEnsemble:
    """Loads the best weights of each member that ``sero-train`` has saved.

    Raises
    ------
    ModelError
        If the folder holds no trained model, or a damaged one.
    """
    info = model_info.read(workdir)
    return TrainedEnsemble(join_members(load_members(workdir, info.members)), info)


def load_members(workdir: str, names: Sequence[str]) -> list[keras.Model]:
    """Loads the best weights of a run's members; ModelError if one is missing or damaged."""
    return [load_model(os.path.join(workdir, MEMBERS_FOLDER, f'{name}.keras'), compile=False) for name in names]


def load_published_ensemble(folder: str) -> TrainedEnsemble:
    """Loads all of the authors' models that a folder holds; see ``published_models`` for which.

    Their training data is not recorded: unknown values in ``info`` are unset, None or say so.

    Raises
    ------
    ModelError
        If there is none, or one is damaged or a different network.
    """
    paths = find_files(folder)
    members = [load_published_member(path, kernel_size) for kernel_size, path in paths.items()]
    info = ModelInfo(
        source='unknown',
        protocol='unknown',
        trained_on='data unknown here',
        architecture='published',
        kernel_sizes=tuple(paths),
        members=tuple(member.name for member in members),
        examples_seen=None,
        train_cells=None,
        files=describe_files(paths),
    )
    return TrainedEnsemble(join_members(members), info)
