"""Checkpoints of a run: a model with its optimizer and the state of the run, written atomically."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys

import keras
import numpy as np

from beam_pipelines.storage.atomic_files import remove_left_behind, staged
from trainer.errors import ModelError
from trainer.models.files import load_model

_CHECKPOINTS_FOLDER = 'checkpoints'
_STEP_FOLDER = re.compile(r'step_(\d+)')
_MODEL_FILE = 'ensemble.keras'
_STATE_FILE = 'state.json'
_DROPOUT = 'dropout_seeds'


def folder_in(workdir: str) -> str:
    """Returns the folder of a run's checkpoints."""
    return os.path.join(workdir, _CHECKPOINTS_FOLDER)


def save_checkpoint(folder: str, step: int, model: keras.Model, state: dict, kept: int) -> None:
    """Saves a checkpoint atomically, and removes the oldest.

    Parameters
    ----------
    folder : the run's folder of checkpoints.
    step : how many steps have been made.
    model : the compiled ensemble; its optimizer is saved with it.
    state : what else the run needs to resume, as JSON.
    kept : how many checkpoints are kept.
    """
    target = _path(folder, step)
    os.makedirs(folder, exist_ok=True)
    remove_left_behind(folder)
    with staged(target) as temporary:
        os.mkdir(temporary)
        model.save(os.path.join(temporary, _MODEL_FILE))
        with open(os.path.join(temporary, _STATE_FILE), 'w', encoding='utf-8') as file:
            json.dump(state | {_DROPOUT: [np.asarray(seed).tolist() for seed in _dropout_seeds(model)]}, file)
        shutil.rmtree(target, ignore_errors=True)
    for old in list_steps(folder)[:-kept]:
        shutil.rmtree(_path(folder, old))


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
    """Returns the steps that have checkpoints, oldest first."""
    if not os.path.isdir(folder):
        return []
    matches = map(_STEP_FOLDER.fullmatch, os.listdir(folder))
    return sorted(int(match[1]) for match in matches if match)


def _load(path: str) -> tuple[keras.Model, dict]:
    state_path = os.path.join(path, _STATE_FILE)
    try:
        with open(state_path, encoding='utf-8') as file:
            state = json.load(file)
    except (OSError, ValueError) as error:
        raise ModelError(f'{state_path}: {error}') from None
    model = load_model(os.path.join(path, _MODEL_FILE), compile=True)
    for seed, value in zip(_dropout_seeds(model), state.pop(_DROPOUT), strict=True):
        seed.assign(np.array(value, seed.dtype))
    return model, state


def _dropout_seeds(model: keras.Model) -> list[keras.Variable]:
    """Returns the state of the layers' random numbers, which Keras does not save with a model."""
    return [variable for variable in model.non_trainable_variables if variable.path.endswith('seed_generator_state')]


def _path(folder: str, step: int) -> str:
    return os.path.join(folder, f'step_{step:09d}')
