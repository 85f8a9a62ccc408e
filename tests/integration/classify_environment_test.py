"""``sero-classify`` where only requirements/classify.txt is installed: a PC at a rig, without TensorFlow and Beam."""

import csv
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.support.commands import run_command
from tests.support.finished_run import copy_finished_run
from tests.support.places import ROOT

pytestmark = pytest.mark.slow

_MOST_BYTES = 400e6
_PACKAGED = ('beam_pipelines', 'tfds_sero', 'trainer', 'setup.py', 'README.md')
_UV = pathlib.Path(sys.executable).parent / 'uv'


def _uv(*arguments: object) -> None:
    result = subprocess.run([_UV, *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def _install(python: pathlib.Path, *what: object) -> None:
    """Installs packages from uv's cache, which `make` has filled, or from the network."""
    _uv('pip', 'install', '--quiet', '--python', python, *what)


@pytest.fixture(scope='module')
def environment(tmp_path_factory) -> pathlib.Path:
    """A new environment, made as docs/classify.md says."""
    folder = tmp_path_factory.mktemp('rig')
    source = folder / 'source'
    source.mkdir()
    for name in _PACKAGED:  # a copy, because setuptools builds where the source is
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    python = folder / 'venv' / 'bin' / 'python'
    _uv('venv', '--quiet', '--python', sys.executable, folder / 'venv')
    _install(python, '--constraint', ROOT / 'constraints.txt', '--requirement', ROOT / 'requirements' / 'classify.txt')
    _install(python, '--no-deps', source)
    return folder / 'venv'


@pytest.fixture(scope='module')
def model(tmp_path_factory) -> pathlib.Path:
    """A finished run."""
    return copy_finished_run(tmp_path_factory.mktemp('model') / 'run')


def _rows(path: pathlib.Path) -> list[dict]:
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def test_it_is_small_and_without_what_trains(environment):
    files = [path for path in environment.rglob('*') if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < _MOST_BYTES
    program = 'import importlib.util as u; print([n for n in ("tensorflow", "keras", "apache_beam") if u.find_spec(n)])'
    result = subprocess.run([environment / 'bin' / 'python', '-c', program], capture_output=True, text=True)
    assert result.stdout == '[]\n', result.stderr


def test_verdicts_there_are_those_of_keras(environment, model, recordings_root, tmp_path, monkeypatch):
    recordings = recordings_root / 'non_homogeneous'
    variables = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    arguments = ['--model', model, '--output_dir']
    result = subprocess.run(
        [environment / 'bin' / 'sero-classify', *arguments, tmp_path / 'rig', recordings],
        capture_output=True, text=True, timeout=300, env=variables, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0 and result.stderr == '', result.stderr
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    assert run_command('sero-classify', *arguments, tmp_path / 'keras', recordings).returncode == 0
    rows, expected = _rows(tmp_path / 'rig' / 'cells.csv'), _rows(tmp_path / 'keras' / 'cells.csv')
    assert len(rows) == len(expected) == 8
    for row, wanted in zip(rows, expected, strict=True):
        for column, value in wanted.items():
            if column.startswith('p_ser'):
                assert float(row[column]) == pytest.approx(float(value), abs=1.01e-4), (
                    column
                )  # written with four digits
            else:
                assert row[column] == value
    assert (tmp_path / 'rig' / 'report.html').stat().st_size > 10_000


@pytest.mark.parametrize(
    ('arguments', 'missing'),
    [
        (['sero-build', '--recordings', '.', '--data_dir', 'data'], 'apache_beam'),
        (['sero-verify', '.'], 'google_crc32c'),
        (['sero-train'], 'google_crc32c'),
        (['sero-evaluate'], 'google_crc32c'),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else '',
)
def test_what_trains_says_in_one_line_that_it_needs_more(environment, tmp_path, arguments, missing):
    name, *others = arguments
    result = subprocess.run([environment / 'bin' / name, *others], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        f'{name}: {missing} is not installed, and this command needs the whole installation:'
        ' pip install -c constraints.txt . (see docs/install.md)\n'
    )


def test_what_needs_keras_is_one_line_there(environment, model, recordings_root, tmp_path):
    older = shutil.copytree(model, tmp_path / 'older')
    (older / 'consensus.onnx').unlink()
    recording = next(recordings_root.rglob('*.abf'))
    result = subprocess.run(
        [environment / 'bin' / 'sero-classify', '--model', older, '--output_dir', tmp_path / 'out', recording],
        capture_output=True, text=True, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr == (
        f'sero-classify: {older}: holds no consensus.onnx (sero-train writes it when it is given the same command'
        ' again), and keras is not installed either\n'
    )
