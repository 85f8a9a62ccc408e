"""The authors' own models: ``ModConvBinNormN{k}.keras`` and ``ModConvBinNormN{k}-v{chunk}.keras``, written by Keras 2.

Their weights are read into our own ``published`` members after the architecture has been compared layer by layer.
Nothing in a file is deserialized or run: not by Keras, which also loads only some of what Keras 2 wrote.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import h5py
import keras
import numpy as np

from beam_pipelines.errors import UserError
from trainer.errors import ModelError
from trainer.models.architectures import build_member
from trainer.published.model_files import FILE, FILE_NAMES

# With the optimizer's state they have about 1 MB; a much larger file is not one of them.
_MOST_BYTES = 64 << 20

# What decides what a layer computes. The dropout rate does not: it only acts in training, where we use our own.
_COMPARED = {
    'InputLayer': ('batch_input_shape',),
    'LayerNormalization': ('axis', 'epsilon', 'center', 'scale'),
    'Conv2D': (
        'filters',
        'kernel_size',
        'strides',
        'padding',
        'data_format',
        'dilation_rate',
        'groups',
        'activation',
        'use_bias',
    ),
    'MaxPooling2D': ('pool_size', 'strides', 'padding', 'data_format'),
    'Flatten': ('data_format',),
    'Dropout': (),
    'Dense': ('units', 'activation', 'use_bias'),
}

# Where Keras 2 puts the weights: up to 2.13, and later.
_WEIGHTS_ROOTS = ('layers', '_layer_checkpoint_dependencies')
_WEIGHTS_NAMES = {'LayerNormalization': 'layer_normalization', 'Conv2D': 'conv2d', 'Dense': 'dense'}


def find_files(folder: str, kernel_sizes: Sequence[int] | None = None) -> dict[int, str]:
    """Finds the authors' files; for each kernel size the one of the highest chunk.

    Parameters
    ----------
    folder : holds the files.
    kernel_sizes : those wanted; None: all that exist.

    Returns
    -------
    {kernel size: path}, in the order of ``kernel_sizes``, or ascending.

    Raises
    ------
    ModelError
        If the folder cannot be read, holds no such file, or lacks one that is wanted.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise ModelError(f'{folder}: {error.strerror}') from None
    # A file without a chunk sorts before the first chunk.
    found = sorted((int(match[1]), int(match[2] or -1), match[0]) for match in map(FILE.fullmatch, names) if match)
    if not found:
        raise ModelError(f'{folder}: holds no file {FILE_NAMES}')
    paths = {kernel_size: os.path.join(folder, name) for kernel_size, _, name in found}
    if kernel_sizes is None:
        return paths
    for kernel_size in kernel_sizes:
        if kernel_size not in paths:
            raise ModelError(f'{folder}: holds no file {FILE_NAMES.format(k=kernel_size, chunk="{chunk}")}')
    return {kernel_size: paths[kernel_size] for kernel_size in kernel_sizes}


def describe_files(paths: dict[int, str]) -> dict[str, dict[str, str]]:
    """Returns {member: {'file': its name, 'sha256': of its content}}, as in ``model_info.json``."""
    return {
        f'k{kernel_size}': {
            'file': os.path.basename(path),
            'sha256': hashlib.sha256(_read_file(path)).hexdigest(),
        }
        for kernel_size, path in paths.items()
    }


def load_published_member(path: str, kernel_size: int, precision: str = 'float32') -> keras.Model:
    """Builds a ``published`` member with the weights of one of the authors' files.

    Parameters
    ----------
    path : the file.
    kernel_size, precision : see ``models.build_member``.

    Raises
    ------
    ModelError
        If the file is damaged, or holds a network other than the published one of this kernel size.
    """
    try:
        member = build_member('published', kernel_size, precision)
    except UserError as error:
        raise ModelError(f'{path}: {error}') from None
    config, weights_file = _unpack(path)
    _check_architecture(path, config, member)
    try:
        with h5py.File(io.BytesIO(weights_file), 'r') as file:
            _read_weights(path, file, member)
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f'{path}: model.weights.h5: {" ".join(str(error).split())}') from None
    return member


def _read_file(path: str) -> bytes:
    try:
        if os.path.getsize(path) > _MOST_BYTES:
            raise ModelError(f'{path}: {os.path.getsize(path):,} bytes are too many for a published model')
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise ModelError(f'{path}: {error.strerror}') from None


def _unpack(path: str) -> tuple[dict, bytes]:
    """Returns the content of ``config.json`` and of ``model.weights.h5``."""
    contents = []
    try:
        with zipfile.ZipFile(io.BytesIO(_read_file(path))) as archive:
            for name in ('config.json', 'model.weights.h5'):
                if archive.getinfo(name).file_size > _MOST_BYTES:
                    raise ModelError(f'{path}: {name} is too large for a published model')
                contents.append(archive.read(name))
        return json.loads(contents[0]), contents[1]
    # RuntimeError: encrypted, unknown compression, or JSON nested too deeply.
    except (EOFError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f'{path}: is not a whole .keras file: {" ".join(str(error).split())}') from None


def _check_architecture(path: str, config: dict, member: keras.Model) -> None:
    try:
        layers = _layers_in_order(path, config)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ModelError(f'{path}: config.json does not describe a Keras 2 model') from None
    input_layer = ('InputLayer', {'batch_input_shape': [None, *member.input_shape[1:]]})
    expected = [input_layer, *((type(layer).__name__, layer.get_config()) for layer in member.layers)]
    missing: tuple[str, dict] = ('missing', {})
    for number, (found, wanted) in enumerate(itertools.zip_longest(layers, expected, fillvalue=missing)):
        name, fields = found
        if name != wanted[0]:
            raise ModelError(f'{path}: layer {number} is {name}, in the published network {wanted[0]}')
        for field in _COMPARED[name]:
            value, wanted_value = (_as_list(values.get(field)) for values in (fields, wanted[1]))
            if value != wanted_value:
                raise ModelError(
                    f'{path}: layer {number} ({name}) has {field} {value}, in the published network with kernel size'
                    f' {member.name[1:]} it is {wanted_value}'
                )


def _layers_in_order(path: str, config: dict) -> list[tuple[str, dict]]:
    """Returns (class, fields) of each layer of a model in which each layer feeds the next."""
    layers = config['config']['layers']
    if config['class_name'] not in ('Sequential', 'Functional'):
        raise ModelError(f'{path}: is a {config["class_name"]}, not a Sequential or Functional model')
    if config['class_name'] == 'Functional':
        for before, layer in itertools.pairwise(layers):
            if layer['inbound_nodes'] != [[[before['config']['name'], 0, 0, {}]]]:
                raise ModelError(f'{path}: layer {layer["config"]["name"]} is not fed by the layer before it alone')
        if config['config']['output_layers'] != [[layers[-1]['config']['name'], 0, 0]]:
            raise ModelError(f'{path}: its output is not that of its last layer')
    return [(layer['class_name'], dict(layer['config'])) for layer in layers]


def _as_list(value: object) -> Any:
    """Returns a config's value as JSON has it; a single axis may be a number or a list."""
    return [value] if isinstance(value, int) and not isinstance(value, bool) else json.loads(json.dumps(value))


def _read_weights(path: str, file: h5py.File, member: keras.Model) -> None:
    root = next((name for name in _WEIGHTS_ROOTS if name in file), _WEIGHTS_ROOTS[0])
    counts: dict[str, int] = {}
    for number, layer in enumerate(member.layers, 1):
        # Keras 2 names a layer's weights by its class and how many of the class came before.
        name = _WEIGHTS_NAMES.get(type(layer).__name__)
        if name is None:
            continue
        count = counts[name] = counts.get(name, -1) + 1
        values = []
        for index, variable in enumerate(layer.weights):
            dataset = file[f'{root}/{name}{f"_{count}" if count else ""}/vars/{index}']
            shape = getattr(dataset, 'shape', None)
            if shape != tuple(variable.shape):
                raise ModelError(
                    f'{path}: layer {number} ({type(layer).__name__}) has weights of shape {shape}, in the published'
                    f' network with kernel size {member.name[1:]} it is {tuple(variable.shape)}'
                )
            # Either would be read from another file; a link cannot lead out of one in memory.
            if dataset.external or dataset.is_virtual:
                raise ModelError(f'{path}: layer {number} ({type(layer).__name__}) has its weights outside of the file')
            values.append(dataset[...].astype(np.float32))
            if not np.isfinite(values[-1]).all():
                raise ModelError(f'{path}: layer {number} ({type(layer).__name__}) has weights that are not finite')
        layer.set_weights(values)
