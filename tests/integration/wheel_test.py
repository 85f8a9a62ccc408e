"""What `make dist` makes works in an empty environment, away from the repository: from recordings to a verdict."""

import csv
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import beam_pipelines
from tests.support.places import ROOT

pytestmark = pytest.mark.slow

_SOURCES = (
    *('beam_pipelines', 'tfds_sero', 'trainer', 'benchmarks', 'scripts', 'tests', 'requirements', 'setup.py'),
    *('MANIFEST.in', 'README.md', 'LICENSE', 'CHANGELOG.md', 'CITATION.cff', 'constraints.txt'),
)
_BIN = pathlib.Path(sys.executable).parent


def _checked(*command: object, cwd: pathlib.Path) -> str:
    """Runs a program that finds neither this repository nor this environment; returns its output."""
    environment = {key: value for key, value in os.environ.items() if key not in ('PYTHONPATH', 'VIRTUAL_ENV')}
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=cwd, env=environment, timeout=600)
    assert result.returncode == 0, (result.stdout, result.stderr)
    return result.stdout


@pytest.fixture(scope='module')
def dist(tmp_path_factory) -> pathlib.Path:
    """A folder with the source distribution and the wheel that was made from it."""
    source = tmp_path_factory.mktemp('source')
    for name in _SOURCES:  # a copy, because setuptools builds where the source is
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    folder = source.parent / 'dist'
    _checked(_BIN / 'python', '-m', 'build', '--installer', 'uv', '--outdir', folder, cwd=source)
    return folder


@pytest.fixture(scope='module')
def wheel(dist) -> pathlib.Path:
    return dist / f'sero_spikes-{beam_pipelines.__version__}-py3-none-any.whl'


def test_the_wheel_has_three_packages_and_the_source_what_it_is_built_and_cited_with(dist, wheel):
    with zipfile.ZipFile(wheel) as file:
        tops = {name.partition('/')[0] for name in file.namelist()}
        held = set(file.namelist())
    info = f'sero_spikes-{beam_pipelines.__version__}.dist-info'
    assert tops == {'beam_pipelines', 'tfds_sero', 'trainer', info}
    tree = {
        path.relative_to(ROOT).as_posix()
        for package in ('beam_pipelines', 'tfds_sero', 'trainer')
        for path in (ROOT / package).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }
    assert {name for name in held if not name.startswith(info)} == tree
    with tarfile.open(dist / f'sero_spikes-{beam_pipelines.__version__}.tar.gz') as file:
        files = {name.partition('/')[2] for name in file.getnames()}
    assert {'LICENSE', 'CITATION.cff', 'constraints.txt', 'requirements/classify.txt', 'README.md'} <= files
    assert not [name for name in files if name.startswith(('benchmarks', 'scripts', 'tests'))]


@pytest.fixture(scope='module')
def environment(wheel) -> pathlib.Path:
    """The programs of an empty environment with the wheel and what it requires, out of uv's cache."""
    folder = wheel.parent.parent / 'installed'
    _checked(_BIN / 'uv', 'venv', '--quiet', '--python', sys.executable, folder, cwd=wheel.parent)
    install = ('pip', 'install', '--quiet', '--link-mode', 'symlink', '--constraint', ROOT / 'constraints.txt')
    _checked(_BIN / 'uv', *install, '--python', folder / 'bin' / 'python', wheel, cwd=wheel.parent)
    return folder / 'bin'


def test_from_recordings_to_a_verdict(environment, tmp_path):
    _checked(environment / 'sero-simulate', '--output_dir', 'recordings', cwd=tmp_path)
    build = ('build', 'sero_spikes', '--imports', 'tfds_sero', '--config', 'original')
    _checked(environment / 'tfds', *build, '--data_dir', 'data', '--manual_dir', tmp_path / 'recordings', cwd=tmp_path)
    fields = {
        'train_on': 'original', 'kernel_sizes': '(5,)', 'batch_size': 32, 'examples_per_epoch': 32, 'epochs': 1,
        'held_out_days': 0,
    }  # fmt: skip
    (config,) = environment.parent.glob('lib/python*/site-packages/trainer/configs/fast.py')
    train = [f'--config.{field}={value}' for field, value in fields.items()]
    _checked(environment / 'sero-train', '--config', config, *train, '--data_dir=data', '--workdir=run', cwd=tmp_path)
    recording = next(tmp_path.glob('recordings/non_homogeneous/SER/*.abf'))
    _checked(environment / 'sero-classify', '--model=run', '--output_dir=verdicts', recording, cwd=tmp_path)
    with open(tmp_path / 'verdicts' / 'cells.csv', newline='') as file:
        (row,) = csv.DictReader(file)
    assert row['cell'] == recording.stem and row['verdict'] in ('SER', 'NSER', 'undecided')
