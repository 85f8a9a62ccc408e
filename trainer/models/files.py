"""Models as ``.keras`` files: saved atomically, loaded without running any code in them."""

from __future__ import annotations

import json
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator

import keras

from beam_pipelines.storage.atomic_files import staged
from trainer.errors import ModelError

_CONFIG = 'config.json'

# A checkpoint of the published eight members has some 10 MB.
_MOST_BYTES = 1 << 30
_MOST_BYTES_OF_CONFIG = 4 << 20

# What the members, their ensemble and its optimizer are made of.
_CLASSES = {
    *('Sequential', 'Functional', 'InputLayer', 'Reshape', 'LayerNormalization', 'Conv1D', 'Conv2D', 'MaxPooling1D'),
    *('MaxPooling2D', 'Flatten', 'Dropout', 'Dense', 'AddTimeColumn', 'DTypePolicy', 'GlorotUniform', 'Zeros', 'Ones'),
    *('Adam', 'LossScaleOptimizer', 'CosineDecay', '__keras_tensor__'),
}
_REGISTERED = {'sero_spikes>AddTimeColumn'}
# Of the members: 160 samples, 64 filters, 2 units.
_SHAPE = 160 * 64
_LARGEST = {
    **{'units': 64, 'filters': 64, 'kernel_size': 160},
    **dict.fromkeys(('target_shape', 'batch_shape', 'input_shape', 'build_input_shape', 'shape'), _SHAPE),
}


def save_whole(model: keras.Model, path: str) -> None:
    """Saves a model as a ``.keras`` file, atomically."""
    with staged(path) as temporary:
        model.save(temporary)


def load_model(path: str, compile: bool) -> keras.Model:
    """Loads a ``.keras`` file without running any code in it.

    Raises
    ------
    ModelError
        If the file is missing, damaged or far too large, or names a class that our models have not.
    """
    if not os.path.isfile(path):
        raise ModelError(f'{path}: no such file')
    # Keras reports a truncated file as missing.
    if not zipfile.is_zipfile(path):
        raise ModelError(f'{path}: is not a whole .keras file')
    _check_before_keras(path)
    try:
        with warnings.catch_warnings():
            # Otherwise an optimizer whose state is missing would begin anew.
            warnings.filterwarnings('error', message='Skipping variable loading')
            return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except Exception as error:  # Of any kind: Keras reads what it does not expect.
        raise ModelError(f'{path}: {_newer_keras(path) or " ".join(str(error).split())}') from None


def _check_before_keras(path: str) -> None:
    """Raises ModelError for what Keras would import, or allocate, only because the file says so."""
    try:
        with zipfile.ZipFile(path) as archive:
            # zipfile reserves memory for what is packed too, whatever the file holds.
            if (total := sum(max(entry.file_size, entry.compress_size) for entry in archive.infolist())) > _MOST_BYTES:
                raise ModelError(f'{path}: {total:,} bytes unpacked are more than {_MOST_BYTES:,}')
            if (size := archive.getinfo(_CONFIG).file_size) > _MOST_BYTES_OF_CONFIG:
                raise ModelError(f'{path}: {_CONFIG} has {size:,} bytes, more than {_MOST_BYTES_OF_CONFIG:,}')
            config = json.loads(archive.read(_CONFIG))
        for problem in _foreign(config):
            raise ModelError(f'{path}: {_newer_keras(path) or f"{_CONFIG}: {problem}"}')
    # RuntimeError: encrypted, unknown compression, or JSON nested too deeply.
    except (EOFError, KeyError, OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f'{path}: is not a whole .keras file: {" ".join(str(error).split())}') from None


def _foreign(config: object) -> Iterator[str]:
    """Yields what a ``config.json``, or a part of it, names or asks for that our models do not."""
    if isinstance(config, list):
        for item in config:
            yield from _foreign(item)
    if not isinstance(config, dict):
        return
    for field, known in (('class_name', _CLASSES), ('registered_name', {*_CLASSES, *_REGISTERED})):
        name = config.get(field)
        if name is not None and (not isinstance(name, str) or name not in known):
            yield f'{field} {name!r} is not of our models'
    for field, largest in _LARGEST.items():
        sizes = config.get(field)
        for size in sizes if isinstance(sizes, list) else [sizes]:
            if isinstance(size, (int, float)) and size > largest:
                yield f'{field} {size} is more than {largest:,}'
    for value in config.values():
        yield from _foreign(value)


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
