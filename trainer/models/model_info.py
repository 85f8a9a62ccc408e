"""``model_info.json``: what a model was trained on, by which version, with which parameters."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from beam_pipelines.errors import UserError
from beam_pipelines.recordings.folder_names import did_you_mean
from beam_pipelines.recordings.reading_options import PUBLISHED_CUTTING, SpikeCutting
from beam_pipelines.storage.atomic_files import write_json
from beam_pipelines.storage.typed_json import read_typed
from trainer.config import check_member
from trainer.errors import ModelError

FILE_NAME = 'model_info.json'

_Count = Annotated[int, msgspec.Meta(ge=0)]


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``model_info.json``, or what is known of the authors' models.

    Attributes
    ----------
    source, protocol : of the dataset that the model was trained on, see ``DatasetMetadata``.
    trained_on : that dataset's config.
    architecture, kernel_sizes : of the members.
    members : their names.
    examples_seen : how many training examples went through, also after the epochs that were kept; None if unknown.
    train_cells : the cells that the model was trained on; None if they are unknown.
    cutting : how the spikes were found and cut that the model was trained on; new recordings are cut the same way.
    finished : False if the training was interrupted.
    epochs, best_epoch : how many epochs have ended, and the one that each member's weights are of.
    validation_loss : the best of each member.
    validation : accuracy and AUC of the predictions for validation spikes, of each member and of the consensus; only of
        a finished training.
    init_from : the files that the members started from, see ``published.describe_files``; None: from scratch.
    files : the files of the authors' models, as in ``init_from``; only for those.
    dataset_fingerprint : of the dataset that the model was trained on.
    config : the run's config.
    versions : name -> version of the libraries that trained the model.
    created : when the file was written, ISO 8601.
    """

    source: str
    protocol: str
    trained_on: str
    architecture: str
    kernel_sizes: tuple[int, ...]
    members: tuple[str, ...]
    examples_seen: _Count | None
    train_cells: tuple[str, ...] | None
    cutting: SpikeCutting = PUBLISHED_CUTTING
    finished: bool = True
    epochs: _Count = 0
    best_epoch: Mapping[str, _Count] = {}
    validation_loss: Mapping[str, float] = {}
    validation: Mapping[str, Mapping[str, float | None]] | UnsetType = UNSET
    init_from: Mapping[str, Mapping[str, str]] | None | UnsetType = UNSET
    files: Mapping[str, Mapping[str, str]] | UnsetType = UNSET
    dataset_fingerprint: str | UnsetType = UNSET
    config: Mapping[str, Any] | UnsetType = UNSET
    versions: Mapping[str, str] | UnsetType = UNSET
    created: str | UnsetType = UNSET

    @property
    def title(self) -> str:
        if self.train_cells is None:
            return f"authors' models, trained on {self.trained_on}"
        return f'trained on {self.trained_on}'

    @property
    def examples_of_kept_epochs(self) -> int | None:
        """How many training examples the kept weights have seen: those up to the latest of the members' best epochs.

        None if that is unknown.
        """
        if not self.best_epoch or self.config is UNSET:
            return self.examples_seen
        batch = self.config['batch_size']
        return max(self.best_epoch.values()) * (self.config['examples_per_epoch'] // batch) * batch

    def to_json(self) -> dict[str, Any]:
        """Returns the content of the file; what is unset is left out."""
        return msgspec.to_builtins(self)


def read(workdir: str) -> ModelInfo:
    """Returns the content of ``model_info.json``; ModelError if it is missing or damaged."""
    path = os.path.join(workdir, FILE_NAME)
    try:
        info = read_typed(path, ModelInfo)
    except FileNotFoundError:
        if not os.path.isdir(workdir):
            raise ModelError(f'{workdir}: no such folder{did_you_mean(workdir)}') from None
        raise ModelError(f'{path}: no such file; sero-train makes it') from None
    except UserError as error:
        raise ModelError(str(error)) from None
    except OSError as error:
        raise ModelError(f'{path}: {error.strerror}') from None
    for problem in _problems(info):
        raise ModelError(f'{path}: {problem}')
    return info


def _problems(info: ModelInfo) -> Iterator[str]:
    """Yields what cannot be so, although each field has its type."""
    for kernel_size in info.kernel_sizes:
        try:
            check_member(info.architecture, kernel_size)
        except UserError as error:
            yield str(error)
    expected = [f'k{kernel_size}' for kernel_size in info.kernel_sizes]
    if not expected or sorted(info.members) != sorted(expected) or len(set(expected)) != len(expected):
        yield f'members {list(info.members)!r}: expected {expected!r}, one for each of kernel_sizes, each once'
    for field in ('best_epoch', 'validation_loss'):
        if unknown := sorted({*getattr(info, field)} - {*info.members}):
            yield f'{field} {unknown[0]!r}: is no member'
    if info.config is not UNSET:
        for field in ('batch_size', 'examples_per_epoch'):
            value = info.config.get(field)
            if type(value) is not int or value < 1:
                yield f'config: {field} {value!r}: expected a whole number from 1 on'


def write(workdir: str, info: ModelInfo) -> None:
    write_json(os.path.join(workdir, FILE_NAME), info.to_json())
