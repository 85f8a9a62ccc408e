"""``model_info.json``: what a model was trained on, by which version, with which parameters."""

from __future__ import annotations

import datetime
import json
import os
import platform

import keras
import numpy as np
import tensorflow as tf
from ml_collections import FrozenConfigDict

import beam_pipelines
from beam_pipelines.storage.atomic_files import write_json
from trainer.data.stored_dataset import StoredSplit
from trainer.errors import ModelError

FILE_NAME = 'model_info.json'


def describe(
    config: FrozenConfigDict,
    train: StoredSplit,
    examples_seen: int,
    validation_loss: dict[str, float],
    init_from: dict[str, dict[str, str]] | None,
) -> dict:
    """Returns the content of ``model_info.json``.

    Parameters
    ----------
    config : the run's config.
    train : the split that it was trained on.
    examples_seen : how many training examples went through.
    validation_loss : the best validation loss of each member.
    init_from : the files that the members started from, see ``published_models.describe_files``; None: from scratch.
    """
    return {
        'source': train.metadata['source'],
        'protocol': train.metadata['protocol'],
        'trained_on': config.train_on,
        'architecture': config.architecture,
        'kernel_sizes': list(config.kernel_sizes),
        'members': sorted(validation_loss),
        'examples_seen': examples_seen,
        'validation_loss': validation_loss,
        'init_from': init_from,
        'train_cells': sorted(train.train_cells),
        'dataset_fingerprint': train.metadata['fingerprint'],
        'config': config.to_dict(),
        'versions': {
            'sero_spikes': beam_pipelines.__version__,
            'keras': keras.__version__,
            'backend': keras.backend.backend(),
            'tensorflow': tf.__version__,
            'numpy': np.__version__,
            'python': platform.python_version(),
        },
        'created': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
    }


def read(workdir: str) -> dict:
    """Returns the content of ``model_info.json``; ModelError if it is missing or damaged."""
    path = os.path.join(workdir, FILE_NAME)
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except FileNotFoundError:
        raise ModelError(f'{path}: no such file; sero-train makes it') from None
    except (OSError, ValueError) as error:
        raise ModelError(f'{path}: {error}') from None


def write(workdir: str, info: dict) -> None:
    write_json(os.path.join(workdir, FILE_NAME), info)
