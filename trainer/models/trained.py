"""Trained ensembles on disk: the folder of a run, or a folder of the authors' models."""

from __future__ import annotations

import dataclasses
import os

import keras

from trainer.models import manifest, model_info
from trainer.models.architectures import build_member
from trainer.models.ensemble import join_members
from trainer.models.model_info import ModelInfo
from trainer.models.published import describe_files, find_files, load_published_member
from trainer.models.stored_network import fill_member, read_network

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
        return self.info.title


def load_ensemble(workdir: str) -> TrainedEnsemble:
    """Loads the best weights of each member that ``sero-train`` has saved.

    Raises
    ------
    ModelError
        If the folder holds no trained model, or a damaged one.
    """
    manifest.check_files(workdir)
    info = model_info.read(workdir)
    return TrainedEnsemble(join_members(load_members(workdir, info)), info)


def load_members(workdir: str, info: ModelInfo) -> list[keras.Model]:
    """Loads the best weights of a run's members, in the order of ``info.members``.

    They compute in float32, whatever they were trained in: half precision would give other scores on each kind of
    processor, and on most of them later.

    Raises
    ------
    ModelError
        If one is missing, damaged, or another network than ``info`` says.
    """
    members = []
    for name in info.members:
        stored = read_network(os.path.join(workdir, MEMBERS_FOLDER, f'{name}.keras'))
        member = build_member(info.architecture, int(name[1:]))
        fill_member(member, stored, f'the network {name} of {model_info.FILE_NAME}')
        members.append(member)
    return members


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
