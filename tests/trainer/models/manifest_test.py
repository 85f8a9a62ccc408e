"""Folders of runs from elsewhere: what does not belong together ends in one line that names the file."""

import json
import os
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

from beam_pipelines.errors import UserError
from tests.support.places import ROOT
from trainer.classify.classifier import load_classifier
from trainer.models import manifest
from trainer.models.files import save_whole

FROZEN = ROOT / 'tests' / 'integration' / 'frozen' / 'finished'


@pytest.fixture
def early(tmp_path):
    """A run of an early version, without a manifest."""
    shutil.copytree(FROZEN, tmp_path / 'run')
    return tmp_path / 'run'


@pytest.fixture
def run(early):
    manifest.write(str(early))
    return early


def error_of(folder) -> str:
    with pytest.raises(UserError) as raised:
        load_classifier(str(folder))
    message = str(raised.value)
    assert '\n' not in message
    return message


def change_json(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def change_weights(path, change):
    """Rewrites the arrays of a member's file, by name."""
    with zipfile.ZipFile(path) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    (path.parent / 'weights.h5').write_bytes(contents['model.weights.h5'])
    with h5py.File(path.parent / 'weights.h5', 'r+') as weights:
        change(weights)
    contents['model.weights.h5'] = (path.parent / 'weights.h5').read_bytes()
    (path.parent / 'weights.h5').unlink()
    with zipfile.ZipFile(path, 'w') as file:
        for name, content in contents.items():
            file.writestr(name, content)


def test_runs_with_and_without_a_manifest_are_loaded(early):
    assert load_classifier(str(early)).info.members == ('k4', 'k6')
    manifest.write(str(early))
    assert load_classifier(str(early)).info.members == ('k4', 'k6')
    (early / 'consensus.keras').unlink()  # whoever does not need it may remove it
    load_classifier(str(early))


@pytest.mark.parametrize(
    'name', ['members/k4.keras', 'members/k6.keras', 'calibration.json', 'training_range.npz', 'model_info.json']
)
def test_a_file_that_is_missing_or_of_another_run_is_named(name, run):
    content = (run / name).read_bytes()
    (run / name).write_bytes(content + b' ')
    assert error_of(run).startswith(f'{run}/{name}: is not the file that this run ended with')
    (run / name).unlink()
    assert error_of(run).startswith(f'{run}/{name}: {"no such file" if name == "model_info.json" else "is missing"}')


@pytest.mark.parametrize('name', ['/dev/zero', '//etc/passwd', '/'])
def test_a_manifest_names_files_of_its_folder_alone(name, run):
    promised = json.loads((run / 'manifest.json').read_text())['sha256']
    change_json(run / 'manifest.json', sha256=promised | {name: 'a'})
    assert error_of(run).startswith(f'{run}/')


def test_a_member_or_a_consensus_too_many_is_named(run):
    shutil.copy(run / 'members' / 'k4.keras', run / 'members' / 'k21.keras')
    assert error_of(run).startswith(f'{run}/members/k21.keras: is not the file')
    (run / 'members' / 'k21.keras').unlink()
    (run / 'consensus.keras').write_bytes(b'another')
    assert error_of(run).startswith(f'{run}/consensus.keras: is not the file')


@pytest.mark.parametrize(
    'content',
    [
        '',
        '[]',
        '{}',
        '{"sha256": []}',
        '{"sha256": {"members/k4.keras": 1}}',
        '[' * 100_000,
        '{"sha256": {"../x": "a"}}',
    ],
)
def test_a_damaged_manifest_is_named(content, run):
    (run / 'manifest.json').write_text(content)
    assert str(run) in error_of(run)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(run):
    os.remove(run / 'manifest.json')
    os.mkfifo(run / 'manifest.json')
    assert error_of(run) == f'{run}/manifest.json: is a pipe, and no regular file'


@pytest.mark.parametrize(
    ('fields', 'said'),
    [
        ({'members': ['k4', 'k4']}, "expected ['k4', 'k6']"),
        ({'members': ['k4']}, "expected ['k4', 'k6']"),
        ({'members': ['k4', '../../members/k6']}, "expected ['k4', 'k6']"),
        ({'members': [], 'kernel_sizes': []}, 'expected []'),
        ({'kernel_sizes': [4, 10**9]}, '1000000000'),
        ({'kernel_sizes': [4, -1]}, '-1'),
        ({'architecture': 'other'}, "'other'"),
        ({'config': {}}, 'config: batch_size None'),
        ({'config': []}, 'config'),
        ({'best_epoch': {'k9': 1}}, "best_epoch 'k9'"),
        ({'epochs': -1}, 'epochs'),
        ({'cutting': 7}, 'cutting'),
        ({'train_cells': [1]}, 'train_cells'),
    ],
)
def test_what_model_info_cannot_hold_is_named(fields, said, early):
    change_json(early / 'model_info.json', **fields)
    message = error_of(early)
    assert message.startswith(f'{early}/model_info.json: ') and said in message


def test_networks_that_are_not_the_named_ones_are_refused_without_a_manifest(early):
    shutil.copy(early / 'members' / 'k4.keras', early / 'members' / 'k6.keras')
    message = error_of(early)
    assert message.startswith(f'{early}/members/k6.keras: layer 3 (Conv1D) has kernel_size [4]') and '[6]' in message


def test_weights_that_are_no_numbers_or_of_other_shapes_are_refused(early):
    path = early / 'members' / 'k4.keras'
    whole = path.read_bytes()

    def with_nan(weights):
        weights['layers/dense/vars/1'][...] = np.nan

    def with_other_shape(weights):
        del weights['layers/dense/vars/1']
        weights['layers/dense/vars/1'] = np.zeros(3, np.float32)

    def with_text(weights):
        del weights['layers/dense/vars/1']
        weights['layers/dense/vars/1'] = ['a', 'b']

    def without(weights):
        del weights['layers/dense/vars/1']

    for change, said in (
        (with_nan, 'layer 9 (Dense) has weights that are not finite'),
        (with_other_shape, 'layer 9 (Dense) has weights of shape (3,)'),
        (with_text, 'layer 9 (Dense) has weights of object'),
        (without, 'model.weights.h5: '),
    ):
        path.write_bytes(whole)
        change_weights(path, change)
        message = error_of(early)
        assert message.startswith(f'{path}: ') and said in message


def test_a_network_is_neither_built_nor_run_as_its_file_says(early):
    path = early / 'members' / 'k4.keras'
    waveform = keras.Input((160,))
    save_whole(keras.Sequential([waveform, keras.layers.Lambda(lambda value: value[:, :2])], name='k4'), str(path))
    assert error_of(early).startswith(f'{path}: layer 1 is Lambda')
    shutil.copy(FROZEN / 'members' / 'k4.keras', path)
    with zipfile.ZipFile(path) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    large = contents['config.json'].replace(b'"units": 2', b'"units": 1000000000')
    for config, said in ((large, 'has units [1000000000]'), (b'[]', 'does not describe'), (b'[' * 100_000, 'whole')):
        with zipfile.ZipFile(path, 'w') as file:
            for name, content in (contents | {'config.json': config}).items():
                file.writestr(name, content)
        message = error_of(early)
        assert message.startswith(f'{path}: ') and said in message
