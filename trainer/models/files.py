"""Models as ``.keras`` files: saved atomically, loaded without running any code in them."""

from __future__ import annotations

import json
import os
import re
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
    except Exception as error:  # Of any kind: Keras reads what it does not expect.
        raise ModelError(f'{path}: {_newer_keras(path) or " ".join(str(error).split())}') from None


def _newer_keras(path: str) -> str | None:
    """Says that a newer Keras has written a file; None if that is not so or not known."""
    try:
        with zipfile.ZipFile(path) as file:
            written = str(json.loads(file.read('metadata.json'))['keras_version'])
        if _numbers(written) <= _numbers(keras.__version__):
            return None
    except (KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile):
        return None
    return f"was written by Keras {written}; this is Keras {keras.__version__}, so pip install 'keras>={written}'"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r'\d+', version)[:3])
