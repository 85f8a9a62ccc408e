"""Models as ``.keras`` files: saved atomically, loaded without running any code in them."""

from __future__ import annotations

import os
import zipfile

import keras

from beam_pipelines.storage.atomic_files import staged
from trainer.errors import ModelError


def save_whole(model: keras.Model, path: str) -> None:
    """Saves a model as a ``.keras`` file, atomically."""
    with staged(path) as temporary:
        model.save(temporary)


def load_model(path: str, compile: bool) -> keras.Model:
    """Loads a ``.keras`` file without running any code in it.

    Raises
    ------
    ModelError
        If the file is missing or damaged.
    """
    if not os.path.isfile(path):
        raise ModelError(f'{path}: no such file')
    # Keras reports a truncated file as missing.
    if not zipfile.is_zipfile(path):
        raise ModelError(f'{path}: is not a whole .keras file')
    try:
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f'{path}: {" ".join(str(error).split())}') from None
