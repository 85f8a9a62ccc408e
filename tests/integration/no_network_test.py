"""Nothing opens a connection unasked: build, training, evaluation and classification without a network."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.support.commands import MODULES
from tests.support.places import ROOT
from tests.support.recordings import NUM_MASKS
from tests.support.training_runs import TINY_RUN, train_arguments

pytestmark = pytest.mark.slow

_FOLDER = ROOT / 'tests' / 'support' / 'without_network'


@pytest.fixture
def run(tmp_path):
    """Returns a function that runs Python, or a command, without a network."""
    environment = os.environ | {
        'PYTHONPATH': os.pathsep.join([str(_FOLDER), str(ROOT)]),
        'SERO_CONNECTIONS': str(tmp_path / 'connections'),
        'MPLBACKEND': 'nonsense',  # Keras imports matplotlib, which would end with it.
    }

    def run(*arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True, text=True, timeout=300, env=environment, cwd=tmp_path,
        )  # fmt: skip

    return run


def _attempts(folder: pathlib.Path) -> str:
    path = folder / 'connections'
    return path.read_text() if path.exists() else ''


def test_an_attempt_is_refused_and_seen(run, tmp_path):
    result = run('-c', 'import socket; socket.create_connection(("example.com", 80), 1)')
    assert result.returncode == 1 and 'example.com' in _attempts(tmp_path)


def test_no_command_opens_a_connection(run, tmp_path, recordings_root):
    config = TINY_RUN | {'examples_per_epoch': 64, 'epochs': 1}
    data, model = tmp_path / 'data', tmp_path / 'run'
    recording = next(recordings_root.rglob('*.abf'))
    commands = {
        'sero-build': ['--recordings', recordings_root, '--data_dir', data, '--num_masks', NUM_MASKS],
        'sero-verify': [data],
        'sero-train': train_arguments(config, data, model),
        'sero-evaluate': ['--workdir', model, '--data_dir', data],
        'sero-classify': ['--model', model, '--output_dir', tmp_path / 'out', recording],
    }
    for name, arguments in commands.items():
        result = run('-m', MODULES[name], *arguments)
        assert result.returncode == 0, (name, result.stderr)
    assert _attempts(tmp_path) == ''
