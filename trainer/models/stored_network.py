"""Weights of networks in ``.keras`` files, read into networks that we build ourselves.

Nothing in a file is deserialized or run, and nothing that it asks for is allocated: what its ``config.json`` describes
is compared, layer by layer, with the network that is expected, and each of its weights with the shape it must have.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import zipfile
import zlib
from typing import Any

import h5py
import keras
import numpy as np

from beam_pipelines.errors import UserError
from beam_pipelines.storage.bounds import read_bounded
from trainer.errors import ModelError

# With the optimizer's state they have about 1 MB; a much larger file is not one of them.
_MOST_BYTES = 64 << 20
_MOST_BYTES_OF_CONFIG = 1 << 20

_OF_CONVOLUTION = (
    'filters',
    'kernel_size',
    'strides',
    'padding',
    'data_format',
    'dilation_rate',
    'groups',
    'activation',
    'use_bias',
)
_OF_POOLING = ('pool_size', 'strides', 'padding', 'data_format')
# What decides what a layer computes. The dropout rate does not: it only acts in training, where we use our own.
_COMPARED = {
    'InputLayer': ('batch_input_shape',),
    'LayerNormalization': ('axis', 'epsilon', 'center', 'scale'),
    'Reshape': ('target_shape',),
    'Conv1D': _OF_CONVOLUTION,
    'Conv2D': _OF_CONVOLUTION,
    'MaxPooling1D': _OF_POOLING,
    'MaxPooling2D': _OF_POOLING,
    'Flatten': ('data_format',),
    'Dropout': (),
    'Dense': ('units', 'activation', 'use_bias'),
}

# Where Keras puts the weights: Keras 3 and Keras 2 up to 2.13, and later versions of Keras 2.
_WEIGHTS_ROOTS = ('layers', '_layer_checkpoint_dependencies')
_WEIGHTS_NAMES = {
    'LayerNormalization': 'layer_normalization',
    'Conv1D': 'conv1d',
    'Conv2D': 'conv2d',
    'Dense': 'dense',
}


@dataclasses.dataclass(frozen=True)
class StoredNetwork:
    """What a ``.keras`` file describes and holds; none of it has been compared with anything.

    Attributes
    ----------
    path : of the file.
    layers : (class, fields) of each, in which each feeds the next.
    weights : the bytes of ``model.weights.h5``.
    """

    path: str
    layers: list[tuple[str, dict]]
    weights: bytes


def read_keras_file(path: str) -> bytes:
    """Returns the content of a ``.keras`` file; ModelError if it is missing or far too large."""
    try:
        return read_bounded(path, _MOST_BYTES)
    except FileNotFoundError:
        raise ModelError(f'{path}: no such file') from None
    except OSError as error:
        raise ModelError(f'{path}: {error.strerror}') from None
    except UserError as error:
        raise ModelError(str(error)) from None


def read_network(path: str) -> StoredNetwork:
    """Reads a ``.keras`` file of a network in which each layer feeds the next.

    Raises
    ------
    ModelError
        If it is missing, damaged, too large, or of another kind.
    """
    contents = []
    try:
        with zipfile.ZipFile(io.BytesIO(read_keras_file(path))) as archive:
            for name, most_bytes in (('config.json', _MOST_BYTES_OF_CONFIG), ('model.weights.h5', _MOST_BYTES)):
                if archive.getinfo(name).file_size > most_bytes:
                    raise ModelError(f'{path}: {name} is too large for a network of this kind')
                contents.append(archive.read(name))
        config = json.loads(contents[0])
    # RuntimeError: encrypted, unknown compression, or JSON nested too deeply.
    except (EOFError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f'{path}: is not a whole .keras file: {" ".join(str(error).split())}') from None
    try:
        return StoredNetwork(path, _layers_in_order(path, config), contents[1])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ModelError(f'{path}: config.json does not describe a Keras model') from None


def fill_member(member: keras.Model, stored: StoredNetwork, whose: str) -> None:
    """Gives a member the weights of a stored network, if that is the same network.

    Parameters
    ----------
    member : from ``build_member``.
    stored : of a file.
    whose : which network is expected, for errors.

    Raises
    ------
    ModelError
        If the file holds another network, or weights that are damaged or not finite.
    """
    _check_architecture(stored, member, whose)
    try:
        with h5py.File(io.BytesIO(stored.weights), 'r') as file:
            _read_weights(stored.path, file, member, whose)
    except ModelError:
        raise
    except Exception as error:  # Of any kind: HDF5 reads what it does not expect.
        raise ModelError(f'{stored.path}: model.weights.h5: {" ".join(str(error).split())}') from None


def _check_architecture(stored: StoredNetwork, member: keras.Model, whose: str) -> None:
    input_layer = ('InputLayer', {'batch_input_shape': [None, *member.input_shape[1:]]})
    expected = [input_layer, *((type(layer).__name__, layer.get_config()) for layer in member.layers)]
    missing: tuple[str, dict] = ('missing', {})
    for number, (found, wanted) in enumerate(itertools.zip_longest(stored.layers, expected, fillvalue=missing)):
        name, fields = found
        if name != wanted[0]:
            raise ModelError(f'{stored.path}: layer {number} is {name}, in {whose} it is {wanted[0]}')
        for field in _COMPARED[name]:
            value, wanted_value = (_as_list(values.get(field)) for values in (fields, wanted[1]))
            if value != wanted_value:
                raise ModelError(
                    f'{stored.path}: layer {number} ({name}) has {field} {value}, in {whose} it is {wanted_value}'
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
    described = [(layer['class_name'], dict(layer['config'])) for layer in layers]
    for _, fields in described:
        if 'batch_shape' in fields:  # Keras 3's name
            fields['batch_input_shape'] = fields['batch_shape']
    return described


def _as_list(value: object) -> Any:
    """Returns a config's value as JSON has it; a single axis may be a number or a list."""
    return [value] if isinstance(value, int) and not isinstance(value, bool) else json.loads(json.dumps(value))


def _read_weights(path: str, file: h5py.File, member: keras.Model, whose: str) -> None:
    root = next((name for name in _WEIGHTS_ROOTS if name in file), _WEIGHTS_ROOTS[0])
    counts: dict[str, int] = {}
    for number, layer in enumerate(member.layers, 1):
        # Keras names a layer's weights by its class and how many of the class came before.
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
                    f'{path}: layer {number} ({type(layer).__name__}) has weights of shape {shape}, in {whose} it is'
                    f' {tuple(variable.shape)}'
                )
            if dataset.dtype.kind != 'f':
                raise ModelError(f'{path}: layer {number} ({type(layer).__name__}) has weights of {dataset.dtype}')
            # Either would be read from another file; a link cannot lead out of one in memory.
            if dataset.external or dataset.is_virtual:
                raise ModelError(f'{path}: layer {number} ({type(layer).__name__}) has its weights outside of the file')
            values.append(dataset[...].astype(np.float32))
            if not np.isfinite(values[-1]).all():
                raise ModelError(f'{path}: layer {number} ({type(layer).__name__}) has weights that are not finite')
        layer.set_weights(values)
