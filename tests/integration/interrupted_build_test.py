"""Builds that are killed at any moment, and a disk that runs full."""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from tests.support.commands import error_line, run_command
from tests.support.folders import files_of
from tests.support.recordings import NUM_MASKS
from tests.support.started_commands import start_command

_KILLS = 8  # tests/faults/kills.py does more


def _command(recordings, data_dir) -> list:
    return [
        'sero-build', f'--recordings={recordings}', f'--data_dir={data_dir}', '--configs=original,synthetic_small',
        f'--num_masks={NUM_MASKS}', '--max_shard_size_mb=4',
    ]  # fmt: skip


@pytest.mark.slow
def test_killed_at_random_moments_and_started_again_ends_in_the_bytes_of_an_undisturbed_run(recordings_root, tmp_path):
    start_command('sero-verify', tmp_path).join()  # what loads the libraries once would count
    started = time.monotonic()
    undisturbed = start_command(*_command(recordings_root, tmp_path / 'undisturbed'))
    undisturbed.join()
    assert undisturbed.exitcode == 0
    duration = time.monotonic() - started
    expected = files_of(tmp_path / 'undisturbed')
    killed = 0
    for number, moment in enumerate(np.random.default_rng().uniform(0.2, 1, _KILLS) * duration):
        data_dir = tmp_path / str(number)
        process = start_command(*_command(recordings_root, data_dir))
        time.sleep(moment)
        killed += process.is_alive()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        ended_well = process.exitcode == 0
        if not ended_well:
            result = run_command(*_command(recordings_root, data_dir))
            # A build that was killed when it had done everything but exit is a build that is there.
            assert result.returncode == 0 or 'exists and is kept' in error_line(result), (moment, result.stderr)
        assert files_of(data_dir) == expected, moment
        shutil.rmtree(data_dir)
    assert killed >= _KILLS // 2


@pytest.fixture
def small_disk(tmp_path):
    """A disk on which synthetic_small fits by its size alone, but not with all that a build writes beside it."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=93900k', 'tmpfs', folder], capture_output=True).returncode:
        pytest.skip('no right to mount a disk')
    yield folder
    subprocess.run(['umount', folder], check=True)


def _build_small(recordings, data_dir):
    return run_command(
        'sero-build', '--recordings', recordings, '--data_dir', data_dir, '--configs=synthetic_small',
        '--num_masks', NUM_MASKS, '--max_shard_size_mb=8',
    )  # fmt: skip


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_nothing_half_written(recordings_root, data_dir, small_disk, tmp_path):
    line = error_line(_build_small(recordings_root, small_disk))
    assert 'No space left on device' in line
    assert not (small_disk / 'sero_spikes' / 'synthetic_small' / '1.1.0').exists()
    assert not [path for path in small_disk.rglob('*') if '.tmp-' in path.name]
    subprocess.run(['mount', '-o', 'remount,size=200m', small_disk], check=True)
    assert _build_small(recordings_root, small_disk).returncode == 0
    assert _build_small(recordings_root, tmp_path / 'undisturbed').returncode == 0
    assert files_of(small_disk) == files_of(tmp_path / 'undisturbed')
