"""The commands on ``gs://`` paths give the bytes that they give on local ones."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.simulation.upload import simulate_into
from beam_pipelines.storage import files
from tests.support.commands import error_line, run_command
from tests.support.folders import files_of
from tests.support.recordings import NUM_MASKS, TINY_PROFILE_SEED, tiny_profile

pytestmark = pytest.mark.gcs


def _objects_of(folder: str) -> dict[str, bytes]:
    """Returns the bytes of each object below a folder by its path in it."""
    return {path[len(folder) + 1 :]: files.read_bytes(path) for path in files.list_files(folder)}


def _upload(folder: Path, url: str) -> None:
    for name in files_of(folder):
        files.upload(str(folder / name), f'{url}/{name}')


def test_simulated_recordings_are_those_of_a_local_run_and_one_that_was_broken_off_is_completed(
    recordings_root, bucket
):
    root = f'{bucket}/recordings'
    expected = files_of(recordings_root)
    for name in sorted(expected)[-3:]:
        files.write_bytes(f'{root}/{name}', expected[name])
    files.write_bytes(f'{root}/{name}.tmp-{"0" * 32}', b'half')
    assert simulate_into(f'{root}/', tiny_profile(), TINY_PROFILE_SEED) == root
    assert _objects_of(root) == expected
    with pytest.raises(UserError, match='already'):
        simulate_into(root, tiny_profile(), TINY_PROFILE_SEED)
    files.write_bytes(f'{bucket}/mine/original/SER/A1#1.abf', b'1')
    with pytest.raises(UserError, match=r'A1#1\.abf; nothing was written'):
        simulate_into(f'{bucket}/mine', tiny_profile(), TINY_PROFILE_SEED)
    assert list(files.list_files(f'{bucket}/mine')) == [f'{bucket}/mine/original/SER/A1#1.abf']


@pytest.mark.slow
def test_a_build_from_bucket_to_bucket_gives_the_bytes_of_a_local_one(recordings_root, data_dir, bucket):
    recordings, built = f'{bucket}/rec [1]*', f'{bucket}/data'
    _upload(recordings_root, recordings)
    options = [f'--recordings={recordings}', f'--data_dir={built}', f'--num_masks={NUM_MASKS}']
    result = run_command('sero-build', *options, '--configs=original')
    assert result.returncode == 0, result.stderr
    assert 'exists and is kept' in error_line(run_command('sero-build', *options, '--configs=original'))
    files.write_bytes(f'{recordings}/non_homogeneous/SER/A1#1.abf', b'no recording')
    result = run_command('sero-build', *options, '--configs=non_homogeneous,original', '--overwrite')
    assert result.returncode == 1 and f'see {built}/sero_spikes/rejected.jsonl' in result.stderr
    assert f'{recordings}/non_homogeneous/SER/A1#1.abf'.encode() in files.read_bytes(
        f'{built}/sero_spikes/rejected.jsonl'
    )
    objects = _objects_of(built)
    expected = {name: data for name, data in files_of(data_dir).items() if 'synthetic' not in name}
    assert objects.keys() == expected.keys()
    # Which file was rejected stands in them.
    told = {
        f'sero_spikes/non_homogeneous/1.1.0/{name}' for name in ('checksums.json', 'metadata.json', 'rejected.jsonl')
    }
    told.add('sero_spikes/rejected.jsonl')
    assert {name for name in expected if objects[name] != expected[name]} <= told
    result = run_command('sero-verify', f'{built}/sero_spikes')
    assert result.returncode == 0 and result.stderr == ''
    shard = next(path for path in files.list_files(f'{built}/sero_spikes/original') if '.tfrecord-' in path)
    files.write_bytes(shard, files.read_bytes(shard)[:-1])
    result = run_command('sero-verify', built)
    assert result.returncode == 1 and f'{shard} record' in result.stderr


@pytest.mark.slow
def test_a_build_that_is_killed_at_any_stage_and_started_again_ends_in_the_same_bytes(
    recordings_root, bucket, tmp_path
):
    def command(data_dir):
        return [
            'sero-build', f'--recordings={recordings_root}', f'--data_dir={data_dir}', '--configs=synthetic',
            '--synthetic_examples=3000,3000', '--max_shard_size_mb=1', f'--num_masks={NUM_MASKS}', '--overwrite',
        ]  # fmt: skip

    assert run_command(*command(tmp_path / 'data')).returncode == 0
    expected = files_of(tmp_path / 'data')
    dataset = f'{bucket}/data/sero_spikes/synthetic/1.1.0'
    # The spikes are staged; a shard is whole; the first file has been moved to its place; the plan is gone.
    for seen in (f'{bucket}/data/sero_spikes/.staging', f'{dataset}.building', dataset, f'{dataset}/dataset_info.json'):
        files.remove(dataset)
        name, *arguments = command(f'{bucket}/data')
        process = subprocess.Popen(
            [Path(sys.executable).parent / name, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not files.exists(seen) and process.poll() is None:
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        result = run_command(*command(f'{bucket}/data'))
        assert result.returncode == 0, (seen, result.stderr)
        assert _objects_of(f'{bucket}/data') == expected, seen


@pytest.mark.parametrize(
    'command, part',
    [
        (['sero-build', '--recordings=gs://no-such-bucket/rec', '--data_dir={bucket}/data'], 'no-such-bucket/rec: '),
        (['sero-build', '--recordings={bucket}/none', '--data_dir={bucket}/data'], 'none/original/SER: no recordings'),
        (['sero-verify', '{bucket}/none'], 'no dataset there'),
        (['sero-simulate', '--output_dir=gs://no-such-bucket/x'], 'no-such-bucket/x: '),
    ],
)
def test_a_wrong_place_is_one_line(bucket, command, part):
    assert part in error_line(run_command(*(word.format(bucket=bucket) for word in command)))
    assert files.list_files(bucket) == {}


def test_a_folder_of_another_name_in_a_bucket_is_one_line(bucket):
    files.write_bytes(f'{bucket}/rec/original/ser/A1.abf', b'')
    line = error_line(run_command('sero-build', f'--recordings={bucket}/rec', f'--data_dir={bucket}/data'))
    assert line == f"sero-build: {bucket}/rec/original: its folder 'ser' must be named 'SER'"
