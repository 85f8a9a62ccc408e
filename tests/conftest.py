"""Shared by all tests: tiny simulated recordings and a dataset built of them, made once a session; paths of shared/."""

import importlib.util
import os

# Before JAX is imported by whatever comes first: it would set a lower one, for all commands that tests start.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import contextlib
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SHARED = ROOT.parent / 'shared'

# Few, so that a few seconds of silence in each tiny recording are enough.
NUM_MASKS = 50
TINY_PROFILE_SEED = 1

needs_gcp = pytest.mark.skipif(
    not importlib.util.find_spec('google.oauth2') or not importlib.util.find_spec('google.cloud.dataflow_v1beta3'),
    reason="Google's libraries are not here: pip install '.[gcp]'",
)
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason='../shared is not here')


def run_command(name: str, *arguments: object, timeout_s: float = 300) -> subprocess.CompletedProcess:
    """Runs one of the console commands as a user would, in a process of its own."""
    command = pathlib.Path(sys.executable).parent / name
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    return subprocess.run(
        [command, *map(str, arguments)], capture_output=True, text=True, timeout=timeout_s, env=environment
    )


def error_line(result: subprocess.CompletedProcess) -> str:
    """Returns the one line that a failed command has written, and fails the test if it is not one line."""
    assert result.returncode in (1, 2), (result.returncode, result.stdout, result.stderr)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def help_of(command: str) -> str:
    """Returns what ``--help`` of a console command shows, and fails the test if it takes 2 s or more.

    The best of three tries counts, because other tests may run beside this one.
    """
    seconds = []
    while not seconds or min(seconds) >= 2 and len(seconds) < 3:
        started = time.monotonic()
        result = run_command(command, '--help')
        seconds.append(time.monotonic() - started)
    assert result.returncode == 0
    assert min(seconds) < 2
    return result.stdout


def free_ports(count: int) -> list[int]:
    """Returns ports of this machine that nobody listens at."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(('', 0))
        return [one.getsockname()[1] for one in sockets]


def copy_without_stamp(recordings_root: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """Copies simulated recordings so that nothing says any more what they are."""
    shutil.copytree(recordings_root, target, ignore=shutil.ignore_patterns('SIMULATED.json'))
    for path in target.rglob('*.abf'):
        path.write_bytes(path.read_bytes().replace(b'SIMULATED by sero-spikes', bytes(24)))
    return target


def tiny_profile():
    """Returns the profile of ``recordings_root``."""
    # Imported late, so that tests of other parts need not load it.
    from beam_pipelines.simulation.recordings import Profile

    return Profile('tiny', {name: {'SER': 4, 'NSER': 4} for name in ('original', 'non_homogeneous')}, seconds=5.0)


@pytest.fixture(scope='session')
def recordings_root(tmp_path_factory) -> pathlib.Path:
    """A recordings root of simulated cells: four of each class and set, 5 s each. Not to be changed: copy it."""
    from beam_pipelines.simulation.recordings import simulate

    return simulate(tmp_path_factory.mktemp('simulated') / 'recordings', tiny_profile(), TINY_PROFILE_SEED)


@pytest.fixture(scope='session')
def data_dir(recordings_root, tmp_path_factory) -> pathlib.Path:
    """A data directory with `original`, `non_homogeneous` and `synthetic_small` of `recordings_root`. Read only."""
    folder = tmp_path_factory.mktemp('built') / 'data'
    result = run_command(
        'sero-build',
        '--recordings', recordings_root,
        '--data_dir', folder,
        '--configs', 'original,non_homogeneous,synthetic_small',
        '--num_masks', NUM_MASKS,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files with slow tests first, so that at the end of a run no worker waits long for another."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


def shards_of(folder: pathlib.Path) -> dict[str, bytes]:
    """Returns the bytes of each shard of a dataset by file name, and fails the test if there is none."""
    shards = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if '.tfrecord-' in path.name}
    assert shards, f'no shard in {folder}'
    return shards


def files_of(folder: pathlib.Path) -> dict[str, bytes]:
    """Returns the bytes of each file below a folder by its path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def write_spike_csv(folder: pathlib.Path, trigger: int, current_pa) -> pathlib.Path:
    """Writes one spike as the published spike files are; the folder is the cell's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{folder.name}_trigger_{trigger}.csv'
    rows = [f'{(trigger - 40 + row) / 40_000:.6f},{value:.4f}' for row, value in enumerate(current_pa)]
    path.write_text('\n'.join(['time_s,current_pa', *rows]) + '\n')
    return path
