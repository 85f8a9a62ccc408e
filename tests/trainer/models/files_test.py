"""Models in files that this Keras cannot read."""

import json
import pathlib
import zipfile

import keras
import pytest

from trainer.errors import ModelError
from trainer.models.files import load_model, save_whole


@pytest.fixture
def path(tmp_path) -> pathlib.Path:
    file = tmp_path / 'model.keras'
    save_whole(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), str(file))
    return file


def _change(path: pathlib.Path, name: str, change) -> None:
    with zipfile.ZipFile(path) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    contents[name] = json.dumps(change(json.loads(contents[name]))).encode()
    with zipfile.ZipFile(path, 'w') as file:
        for member, content in contents.items():
            file.writestr(member, content)


def _with_unknown_argument(config: dict) -> dict:
    config['config']['layers'][1]['config']['of_a_later_version'] = {'class_name': 'Later', 'module': 'keras.later'}
    return config


@pytest.mark.parametrize('version', ['99.0.0', '99.1', '99.0.0rc1'])
def test_a_model_of_a_newer_keras_is_refused_with_both_versions(path, version):
    _change(path, 'metadata.json', lambda metadata: metadata | {'keras_version': version})
    _change(path, 'config.json', _with_unknown_argument)
    with pytest.raises(ModelError) as raised:
        load_model(str(path), compile=False)
    message = str(raised.value)
    assert message.startswith(f'{path}: was written by Keras {version}; this is Keras {keras.__version__}, so pip')


@pytest.mark.parametrize('damage', [_with_unknown_argument, lambda config: [], lambda config: {'class_name': 7}])
def test_a_model_that_cannot_be_read_is_one_line(path, damage):
    _change(path, 'config.json', damage)
    with pytest.raises(ModelError) as raised:
        load_model(str(path), compile=False)
    assert str(raised.value).startswith(f'{path}: ') and '\n' not in str(raised.value)
