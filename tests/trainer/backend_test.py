import json
import os
import subprocess
import sys

import pytest

from tests.support.commands import error_line, run_command
from tests.support.places import ROOT
from tests.support.training_runs import CONFIG_FILE


@pytest.mark.slow
def test_keras_starts_on_tensorflow_without_a_word():
    program = 'from trainer.backend import describe_device, start_keras; start_keras(); print(describe_device())'
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=120)
    assert result.stderr == ''
    assert result.stdout.startswith('tensorflow on ')


@pytest.mark.slow
def test_import_that_fails_shows_what_it_wrote(tmp_path):
    (tmp_path / 'tensorflow.py').write_text(
        'import sys\nprint("libfoo is missing", file=sys.stderr)\nraise ImportError("no foo")\n'
    )
    program = (
        f'import sys; sys.path.insert(0, {str(tmp_path)!r}); from trainer.backend import start_keras; start_keras()'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=120)
    assert 'libfoo is missing' in result.stderr
    assert 'ImportError: no foo' in result.stderr


@pytest.mark.slow
def test_a_flag_that_tensorflow_does_not_know_is_named(monkeypatch):
    monkeypatch.setenv('TF_XLA_FLAGS', '--nonsense')
    program = 'from trainer.backend import start_keras; start_keras()'
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=300)
    assert result.returncode != 0 and 'Unknown flag in TF_XLA_FLAGS: --nonsense' in result.stderr


@pytest.mark.parametrize('command', ['sero-train', 'sero-evaluate'])
def test_backend_that_cannot_be_is_one_line(command, monkeypatch, tmp_path):
    monkeypatch.setenv('KERAS_BACKEND', 'torch')
    arguments = {'sero-train': ['--config', CONFIG_FILE], 'sero-evaluate': []}[command]
    result = run_command(command, *arguments, '--data_dir', tmp_path, '--workdir', tmp_path)
    assert error_line(result) == f"{command}: KERAS_BACKEND 'torch': expected tensorflow or jax"


def test_backend_that_cannot_be_is_one_line_of_sero_classify_too(monkeypatch, tmp_path):
    monkeypatch.setenv('KERAS_BACKEND', 'torch')
    (tmp_path / 'cell.abf').touch()
    model = ROOT / 'tests' / 'integration' / 'frozen' / 'finished'
    result = run_command('sero-classify', '--model', model, '--output_dir', tmp_path / 'out', tmp_path / 'cell.abf')
    assert error_line(result) == "sero-classify: KERAS_BACKEND 'torch': expected tensorflow or jax"


@pytest.mark.slow
@pytest.mark.parametrize('floatx', ['float64', 'float80'])  # Keras itself does not start with the second
def test_settings_of_the_user_change_nothing(tmp_path, floatx):
    settings = {'floatx': floatx, 'image_data_format': 'channels_first', 'epsilon': 0.1, 'backend': 'torch'}
    (tmp_path / '.keras').mkdir()
    (tmp_path / '.keras' / 'keras.json').write_text(json.dumps(settings))
    environment = {
        'HOME': str(tmp_path),
        'KERAS_HOME': str(tmp_path / '.keras'),
        'KERAS_MAX_EPOCHS': '1',
        'KERAS_MAX_STEPS_PER_EPOCH': '1',
    }
    program = (
        'from trainer.backend import start_keras; start_keras(); import keras; c = keras.config;'
        ' print(c.floatx(), c.image_data_format(), c.epsilon(), c.backend(), c.max_epochs(), c.max_steps_per_epoch())'
    )
    result = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, timeout=120, env=os.environ | environment
    )
    assert (result.stdout, result.stderr) == ('float32 channels_last 1e-07 tensorflow None None\n', '')
    assert json.loads((tmp_path / '.keras' / 'keras.json').read_text()) == settings
