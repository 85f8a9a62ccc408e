"""Checkpoints of a run: a model with its optimizer and the state of the run, whole or not there at all."""

from __future__ import annotations

import json
import os
import re
import shutil

import keras

_FOLDER = re.compile(r'epoch_(\d+)')
_MODEL_FILE = 'ensemble.keras'
_STATE_FILE = 'state.json'
_KEPT = 2


def save_whole(model: keras.Model, path: str) -> None:
    """Saves a model as a ``.keras`` file that appears whole or not at all."""
    temporary = f'{path}.tmp.keras'
    model.save(temporary)
    os.replace(temporary, path)


def save_checkpoint(folder: str, epoch: int, model: keras.Model, state: dict) -> None:
    """Saves a checkpoint after an epoch and removes all but the last two.

    Parameters
    ----------
    folder : the run's folder of checkpoints.
    epoch : how many epochs have ended.
    model : the compiled ensemble; its optimizer is saved with it.
    state : what else the run needs to go on, as JSON.
    """
    target = os.path.join(folder, f'epoch_{epoch:04d}')
    temporary = f'{target}.tmp'
    shutil.rmtree(temporary, ignore_errors=True)
    os.makedirs(temporary)
    model.save(os.path.join(temporary, _MODEL_FILE))
    with open(os.path.join(temporary, _STATE_FILE), 'w', encoding='utf-8') as file:
        json.dump(state, file)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)
    for old in _epochs(folder)[:-_KEPT]:
        shutil.rmtree(os.path.join(folder, f'epoch_{old:04d}'))


def load_newest(folder: str) -> tuple[keras.Model, dict] | None:
    """Loads the newest checkpoint: the compiled ensemble and the state; None if there is none."""
    epochs = _epochs(folder)
    if not epochs:
        return None
    newest = os.path.join(folder, f'epoch_{epochs[-1]:04d}')
    with open(os.path.join(newest, _STATE_FILE), encoding='utf-8') as file:
        state = json.load(file)
    return keras.saving.load_model(os.path.join(newest, _MODEL_FILE), safe_mode=True), state


def _epochs(folder: str) -> list[int]:
    if not os.path.isdir(folder):
        return []
    matches = map(_FOLDER.fullmatch, os.listdir(folder))
    return sorted(int(match[1]) for match in matches if match)
