"""Shared by all tests: tiny simulated recordings, a dataset and a run of them, made once a session; a bucket."""

import importlib.util
import os

# Before anything imports JAX, which would set a lower one for all commands that tests start.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import json
import pathlib
import subprocess

import pytest

from tests.support.commands import run_installed
from tests.support.made_once import made_once
from tests.support.recordings import NUM_MASKS, TINY_PROFILE_SEED, tiny_profile
from tests.support.training_runs import TINY_RUN, train_arguments


@pytest.fixture(scope='session')
def recordings_root(tmp_path_factory, worker_id) -> pathlib.Path:
    """A recordings root of simulated cells: four of each class and set, 5 s each. Not to be changed: copy it."""
    from beam_pipelines.simulation.recordings import simulate

    def make(folder: pathlib.Path) -> None:
        simulate(folder / 'recordings', tiny_profile(), TINY_PROFILE_SEED)

    return made_once(tmp_path_factory, worker_id, 'simulated', make) / 'recordings'


@pytest.fixture(scope='session')
def data_dir(recordings_root, tmp_path_factory, worker_id) -> pathlib.Path:
    """A data directory with `original`, `non_homogeneous` and `synthetic_small` of `recordings_root`. Read only."""

    def make(folder: pathlib.Path) -> None:
        result = run_installed(
            'sero-build',
            '--recordings', recordings_root,
            '--data_dir', folder / 'data',
            '--configs', 'original,non_homogeneous,synthetic_small',
            '--num_masks', NUM_MASKS,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr

    return made_once(tmp_path_factory, worker_id, 'built', make) / 'data'


@pytest.fixture(scope='session')
def synthetic_run(data_dir, tmp_path_factory, worker_id) -> tuple[pathlib.Path, subprocess.CompletedProcess]:
    """A finished, undisturbed run on `synthetic_small`: its folder and what sero-train said. Copy it to change it."""

    def make(folder: pathlib.Path) -> None:
        result = run_installed('sero-train', *train_arguments(TINY_RUN, data_dir, folder / 'run'))
        assert result.returncode == 0, result.stderr
        (folder / 'said.json').write_text(json.dumps([result.args, result.returncode, result.stdout, result.stderr]))

    folder = made_once(tmp_path_factory, worker_id, 'synthetic', make)
    return folder / 'run', subprocess.CompletedProcess(*json.loads((folder / 'said.json').read_text()))


@pytest.fixture(scope='session')
def gcs_environment(tmp_path_factory) -> dict[str, str]:
    """A stand-in for Google Cloud Storage that runs for the session; the environment by which clients find it."""
    from tests.support import gcs_stand_in

    program = gcs_stand_in.find_server()
    if program is None:
        pytest.skip('fake-gcs-server is neither on the path nor in .tools/bin')
    if importlib.util.find_spec('google.cloud.storage') is None:
        pytest.skip('the extra gcp is not installed')
    with gcs_stand_in.running(program, tmp_path_factory.mktemp('gcs')) as environment:
        yield environment


@pytest.fixture
def bucket(gcs_environment, monkeypatch) -> str:
    """A new bucket of the stand-in, such as ``gs://b1``; this process and the commands it starts find it."""
    from tests.support import gcs_stand_in

    for name, value in gcs_environment.items():
        monkeypatch.setenv(name, value)
    return gcs_stand_in.make_bucket(gcs_environment)


@pytest.fixture(scope='session')
def s3_stand_in():
    """A stand-in for S3 that runs for the session."""
    from tests.support import s3_stand_in

    with s3_stand_in.running() as stand_in:
        yield stand_in


@pytest.fixture
def s3_bucket(s3_stand_in, monkeypatch) -> str:
    """A new bucket of the stand-in for S3, such as ``s3://b1``; this process and the commands it starts find it."""
    from tests.support.s3_stand_in import make_bucket

    for name, value in s3_stand_in.environment.items():
        monkeypatch.setenv(name, value)
    return make_bucket(s3_stand_in.environment)


# What is here runs Beam, builds networks or draws all figures of a report, and so do the tests with these fixtures.
_ROOMS_OF_RUNS = [
    pathlib.Path(__file__).parent / path
    for path in (
        'beam_pipelines/build_test.py',
        'beam_pipelines/launch',
        'beam_pipelines/transforms',
        'benchmarks',
        'cloud/dataflow_test.py',
        'examples',
        'fuzz/targets_test.py',
        'integration',
        'scripts',
        'tfds_sero',
        'trainer/classify/saliency_test.py',
        'trainer/cross_validation',
        'trainer/data/batches_test.py',
        'trainer/data/online_batches_test.py',
        'trainer/models',
        'trainer/reports/evaluation_report_test.py',
        'trainer/reports/screens_test.py',
        'trainer/training',
    )
]
_FIXTURES_OF_RUNS = {'data_dir', 'synthetic_run', 'original_run', 'authors_files', 'gcs_environment'}


def _is_in_room_of_runs(path: pathlib.Path) -> bool:
    return any(path.is_relative_to(room) for room in _ROOMS_OF_RUNS)


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    """Leaves out files with no selected tests: importing them takes longer than all quick tests."""
    return 'not runs' in config.option.markexpr and _is_in_room_of_runs(collection_path) or None


@pytest.hookimpl(tryfirst=True)  # before the marks are looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need runs, and puts files with slow tests first, so that no worker waits for another."""
    for item in items:
        if _is_in_room_of_runs(item.path) or not _FIXTURES_OF_RUNS.isdisjoint(item.fixturenames):
            item.add_marker('runs')
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)
