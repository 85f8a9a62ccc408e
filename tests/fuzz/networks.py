"""Networks: the members of a run, their graph, the authors' files, and checkpoints, which alone are loaded by Keras."""

from __future__ import annotations

import io
import json
import pathlib
import random

import h5py
import keras
import numpy as np

from tests.fuzz.json_mutation import mutate_json
from tests.fuzz.mutation import mutate
from tests.fuzz.target import Execute, Target, files_in, outcome_of, write_files
from tests.fuzz.zip_mutation import mutate_zip
from tests.integration.frozen_files import FROZEN
from tests.support.spikes import make_spikes
from trainer.models import model_info, onnx_ensemble
from trainer.models.architectures import build_member
from trainer.models.onnx_export import write_onnx
from trainer.models.stored_network import fill_member, read_network
from trainer.models.trained import load_members
from trainer.training import checkpoints

_RUN = FROZEN / 'finished'
AUTHORS_FILE = pathlib.Path(__file__).parent / 'corpus' / 'ModConvBinNormN4.keras'
_CLASSES = ('Lambda', 'TFOpLambda', 'Functional', 'Dense', 'sero_spikes>AddTimeColumn', 'builtins>eval', 'Conv3D')
_MODULES = ('os', 'builtins', 'keras.layers', 'trainer.models', None)
_LAMBDA = {'class_name': '__lambda__', 'config': {'code': '4wEAAAAAAAAA', 'defaults': None, 'closure': None}}
_SHAPES: tuple = ((), (0,), (1,), (2**31,), (2**40, 2**20), (4, 1, 32))


def _change_entry(name: str, content: bytes, chance: random.Random) -> bytes:
    if name.endswith('.h5'):
        return _change_weights(content, chance) if chance.random() < 1 / 3 else mutate(content, chance)
    if chance.random() < 1 / 4:
        return _with_foreign_class(content, chance)
    return mutate_json(content, chance)


def _with_foreign_class(content: bytes, chance: random.Random) -> bytes:
    """Returns a config in which a layer is another, or its activation is code."""
    config = json.loads(content)
    layers = config.get('config', {}).get('layers', [])
    if layers:
        layer = chance.choice(layers)
        kind = chance.randrange(3)
        if kind == 0:
            layer['class_name'] = chance.choice(_CLASSES)
        elif kind == 1:
            layer['module'], layer['registered_name'] = chance.choice(_MODULES), chance.choice(_CLASSES)
        else:
            layer['config'][chance.choice(('activation', 'function', 'kernel_initializer', 'name'))] = _LAMBDA
    return json.dumps(config).encode()


def _change_weights(content: bytes, chance: random.Random) -> bytes:
    """Returns HDF5 of which one dataset is of another kind or shape, leads elsewhere, or holds what is no weight."""
    buffer = io.BytesIO(content)
    with h5py.File(buffer, 'r+') as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = chance.choice(names)
        values, kind = file[name][...], chance.randrange(8)
        if kind == 0 and values.size:
            values.flat[0] = chance.choice((np.nan, np.inf, 3e38, -0.0))
            file[name][...] = values
            return _closed(file, buffer)
        del file[name]
        if kind == 1:
            file[name] = chance.choice((h5py.ExternalLink('../outside', name), h5py.SoftLink(name), h5py.SoftLink('/')))
        elif kind == 2:
            shape = chance.choice(_SHAPES)
            file.create_dataset(name, shape, 'f4', chunks=True if shape and chance.random() < 1 / 2 else None)
        elif kind == 3:
            file[name] = values.astype(chance.choice(('f8', 'f2', '>f4', 'i4', 'S4', '?', 'c8')))
        elif kind == 4:
            file.create_dataset(name, values.shape, h5py.string_dtype())
        elif kind == 5:
            file.create_group(name)
        elif kind == 6:
            file.create_dataset(name, values.shape, 'f4', external=[('../outside', 0, values.nbytes)])
        else:
            layout = h5py.VirtualLayout(values.shape, 'f4')
            layout[...] = h5py.VirtualSource('../outside', 'data', values.shape)
            file.create_virtual_dataset(name, layout)
        return _closed(file, buffer)


def _closed(file: h5py.File, buffer: io.BytesIO) -> bytes:
    file.close()
    return buffer.getvalue()


def _change_network(content: bytes, chance: random.Random) -> bytes:
    return mutate_zip(content, _change_entry, chance)


def _target(name: str, source: pathlib.Path, architecture: str) -> Target:
    def prepare(folder: pathlib.Path) -> Execute:
        original = source.read_bytes()
        member = build_member(architecture, 4, 'float32')
        path = folder / name
        path.write_bytes(original)
        _fill(path, member)

        def execute(chance: random.Random) -> str:
            path.write_bytes(_change_network(original, chance))
            outcome = outcome_of(lambda: _fill(path, member), folder)
            assert all(np.isfinite(weights).all() for weights in member.get_weights())
            return outcome

        return execute

    return Target(name, prepare)


def _fill(path: pathlib.Path, member: keras.Model) -> None:
    fill_member(member, read_network(str(path)), 'the network of the test')


def _prepare_checkpoint(folder: pathlib.Path) -> Execute:
    original = files_in(_RUN / 'checkpoints')
    changes = {'state.json': mutate_json, 'ensemble.keras': _change_network}
    write_files(folder, original)

    def execute(chance: random.Random) -> str:
        changing = chance.choice(list(original))
        write_files(folder, original | {changing: changes[changing.rpartition('/')[2]](original[changing], chance)})
        return outcome_of(lambda: checkpoints.load_newest(str(folder)), folder)

    return execute


def _prepare_graph(folder: pathlib.Path) -> Execute:
    info = model_info.read(str(_RUN))
    write_onnx(str(folder), load_members(str(_RUN), info))
    path = folder / onnx_ensemble.FILE_NAME
    original, spikes = path.read_bytes(), make_spikes(3)[0]

    def load() -> None:
        scores = onnx_ensemble.load_onnx_ensemble(str(folder), info).score(spikes)
        assert scores.shape == (3, len(info.members), 2)

    def execute(chance: random.Random) -> str:
        # The nodes come first, then the weights, then inputs and outputs: none of the three is to be left alone.
        place = chance.choice((0, original.index(b'k4/scale'), len(original) - chance.randrange(1, 400)))
        path.write_bytes(original[:place] + mutate(original[place:], chance))
        return outcome_of(load, folder)

    return execute


TARGETS = (
    _target('k4.keras', _RUN / 'members' / 'k4.keras', 'cnn'),
    _target('ModConvBinNormN4.keras', AUTHORS_FILE, 'published'),
    Target('consensus.onnx', _prepare_graph),
    Target('checkpoint', _prepare_checkpoint),
)
