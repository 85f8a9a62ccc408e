"""Checkpoints of a run: folders with a model and its optimizer, and with the state of the run.

The state is written last and removed first: a checkpoint that has it is whole.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated

import keras
import msgspec
import numpy as np

from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import remove_folder, remove_left_behind, staged_folder
from beam_pipelines.storage.typed_json import read_typed
from trainer.errors import ModelError
from trainer.models.files import load_model

_STEP_FOLDER = re.compile(r'step_(\d+)')
_MODEL_FILE = 'ensemble.keras'
_STATE_FILE = 'state.json'
_DROPOUT = 'dropout_seeds'

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _SavedState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of ``state.json``: ``Run.state`` and the state of the layers' random numbers."""

    step: _Count
    epoch: _Count
    best: Mapping[str, float]
    best_epoch: Mapping[str, _Count]
    dataset_fingerprint: str
    dropout_seeds: tuple[tuple[Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)], ...], ...]
    init_from: Mapping[str, Mapping[str, str]] | None = None
    fingerprints: Mapping[str, str] = {}


def save_checkpoint(folder: str, step: int, model: keras.Model, state: dict, kept: int) -> None:
    """Saves a checkpoint, which is there whole or not at all, and removes the oldest and later ones.

    Parameters
    ----------
    folder : the run's folder of checkpoints.
    step : how many steps have been made.
    model : the compiled ensemble; its optimizer is saved with it.
    state : what else the run needs to resume, as JSON.
    kept : how many checkpoints are kept.
    """
    os.makedirs(folder, exist_ok=True)
    remove_unfinished(folder)
    with staged_folder(_path(folder, step), _STATE_FILE) as temporary:
        model.save(os.path.join(temporary, _MODEL_FILE))
        with open(os.path.join(temporary, _STATE_FILE), 'w', encoding='utf-8') as file:
            json.dump(state | {_DROPOUT: [np.asarray(seed).tolist() for seed in _dropout_seeds(model)]}, file)
    steps = list_steps(folder)
    # Later ones are damaged: the run has gone on from one before them.
    kept_steps = [earlier for earlier in steps if earlier <= step][-kept:]
    for other in set(steps) - set(kept_steps):
        remove_folder(_path(folder, other), _STATE_FILE)


def remove_unfinished(folder: str) -> None:
    """Removes what a killed process was writing or removing in a run's folder of checkpoints, which may be missing."""
    if os.path.isdir(folder):
        remove_left_behind(folder)
    for step in set(_find_steps(folder)) - set(list_steps(folder)):
        print(f'{_path(folder, step)}: removed; a killed process has left it without {_STATE_FILE}', file=sys.stderr)
        remove_folder(_path(folder, step), _STATE_FILE)


def load_newest(folder: str) -> tuple[keras.Model, dict] | None:
    """Loads the newest intact checkpoint: the compiled ensemble and the state; None if there are no checkpoints.

    If one is damaged, a warning is printed and the one before is loaded.

    Raises
    ------
    ModelError
        If there are checkpoints and all of them are damaged.
    """
    errors = []
    for step in reversed(list_steps(folder)):
        try:
            loaded = _load(_path(folder, step))
        except ModelError as error:
            errors.append(error)
            continue
        for damage in errors:
            print(f'WARNING: {damage}; going on from step {step:,} instead', file=sys.stderr)
        return loaded
    if errors:
        raise errors[0]
    return None


def list_steps(folder: str) -> list[int]:
    """Returns the steps that have whole checkpoints, oldest first."""
    return [step for step in _find_steps(folder) if _is_whole(_path(folder, step))]


def _is_whole(path: str) -> bool:
    """Tells whether a checkpoint has its state; OSError if the disk does not say, so that none is taken for half."""
    try:
        os.stat(os.path.join(path, _STATE_FILE))
    except FileNotFoundError:
        return False
    return True


def _find_steps(folder: str) -> list[int]:
    """Returns the steps that have folders; of one that was being written or removed, the state is missing."""
    if not os.path.isdir(folder):
        return []
    matches = map(_STEP_FOLDER.fullmatch, os.listdir(folder))
    return sorted(int(match[1]) for match in matches if match)


def _load(path: str) -> tuple[keras.Model, dict]:
    state_path = os.path.join(path, _STATE_FILE)
    try:
        saved = read_typed(state_path, _SavedState)
    except OSError as error:
        raise ModelError(f'{state_path}: {error.strerror}') from None
    except UserError as error:
        raise ModelError(str(error)) from None
    model_path = os.path.join(path, _MODEL_FILE)
    model = load_model(model_path, compile=True)
    for problem in _problems(model, saved):
        raise ModelError(f'{model_path}: {problem}')
    for seed, value in zip(_dropout_seeds(model), saved.dropout_seeds, strict=True):
        seed.assign(np.array(value, seed.dtype))
    state = msgspec.to_builtins(saved)
    del state[_DROPOUT]
    return model, state


def _problems(model: keras.Model, saved: _SavedState) -> Iterator[str]:
    members = sorted(getattr(model, 'output_names', ()))
    for field, of_members in (('best', saved.best), ('best_epoch', saved.best_epoch)):
        if sorted(of_members) != members:
            yield f'has the members {members}, {_STATE_FILE} has in {field} {sorted(of_members)}'
    seeds = _dropout_seeds(model)
    if [seed.shape for seed in seeds] != [np.shape(value) for value in saved.dropout_seeds]:
        yield f'has {len(seeds)} layers with random numbers, {_STATE_FILE} has {_DROPOUT} of other shapes'
    for name, variables in (('weights', model.weights), ('moments', model.optimizer.variables)):
        if not all(np.isfinite(keras.ops.convert_to_numpy(variable)).all() for variable in variables):
            yield f'has {name} that are not finite'


def _dropout_seeds(model: keras.Model) -> list[keras.Variable]:
    """Returns the state of the layers' random numbers, which Keras does not save with a model."""
    return [variable for variable in model.non_trainable_variables if variable.path.endswith('seed_generator_state')]


def _path(folder: str, step: int) -> str:
    return os.path.join(folder, f'step_{step:09d}')
