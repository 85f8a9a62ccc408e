"""The cost of the job: that it is measured, and that no waveform goes through a shuffle or a side input."""

import json
import os
import subprocess
import sys

import pytest

from beam_pipelines.datasets import record_layout
from benchmarks.builds.job_flows import Flow
from tests.support.places import ROOT
from tests.support.recordings import NUM_MASKS

# A recorded spike has 640 bytes and a cell some dozens of them; paths and hashes are what elements may hold.
_MOST_BYTES_OF_AN_ELEMENT = 4096


def _run(module: str, *arguments: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, '-m', f'benchmarks.{module}', *map(str, arguments)]
    variables = os.environ | (environment or {})
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env=variables)
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope='module')
def measured(recordings_root, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp('measured')
    result = _run(
        'builds.measurement', f'--recordings={recordings_root}', f'--folder={folder}', '--examples=20000',
        '--shards=5', f'--num_masks={NUM_MASKS}',
    )  # fmt: skip
    assert not list(folder.iterdir())
    return json.loads(result.stdout.splitlines()[-1])


def test_no_waveform_is_shuffled_or_a_side_input(measured):
    flows = [Flow(**flow) for flow in measured['flows']]
    assert max(flow.largest_bytes for flow in flows) < _MOST_BYTES_OF_AN_ELEMENT
    assert 0 < measured['moved_bytes'] == sum(flow.moved_bytes for flow in flows) < measured['shard_bytes'] / 100


def test_what_goes_through_the_steps_is_counted(measured, recordings_root):
    flows = {flow['made_by']: Flow(**flow) for flow in measured['flows']}
    cells = len(list(recordings_root.glob('original/*/*.abf')))
    shards = measured['shards']
    assert flows['Ingest/Recordings/ReadRecording'].elements == cells
    assert flows['Build_synthetic/Plan'].elements == flows['Build_synthetic/WriteShards/WriteShard'].elements == shards
    # The reports on the recordings are read by the list of rejected files, the plan and the last step.
    assert flows['Ingest/CountFiles'].side_inputs == 3
    shuffled = {name: flow.elements for name, flow in flows.items() if flow.shuffled}
    assert sorted(shuffled.values()) == sorted([cells, shards])
    assert all('/Spread' in name for name in shuffled)
    assert measured['shard_bytes'] == 20_000 * record_layout.RECORD_BYTES
    assert (
        measured['peak_mb'] > measured['anonymous_mb'] > 50
        and measured['seconds'] > sum(measured['stages'].values()) > 0
    )


@pytest.mark.slow
def test_two_workers_write_into_the_store_that_throws_away(recordings_root, tmp_path):
    options = tmp_path / 'options.json'
    options.write_text('{"beam_plugins": ["benchmarks.builds.discarding_store"]}')
    result = _run(
        'builds.measurement', f'--recordings={recordings_root}', f'--folder={tmp_path}', '--examples=20000',
        f'--num_masks={NUM_MASKS}', '--workers=2', '--discard', environment={'PIPELINE_OPTIONS_FILE': str(options)},
    )  # fmt: skip
    measurement = json.loads(result.stdout.splitlines()[-1])
    assert measurement['discarded'] and measurement['shard_bytes'] == 20_000 * record_layout.RECORD_BYTES
    assert measurement['worker_peak_mb'] > 50
    assert list(tmp_path.iterdir()) == [options]


def test_of_a_shard_nothing_but_its_size_is_kept(tmp_path):
    program = (
        'from benchmarks.builds import discarding_store\n'
        'from beam_pipelines.storage import files, publishing\n'
        f'root = "discard://{tmp_path}/work"\n'
        'files.write_bytes(root + "/x.tfrecord-00000-of-00001", b"abc" * 1_000_000)\n'
        'files.write_bytes(root + "/info.json", b"{}")\n'
        f'publishing.copy_files(root, "discard://{tmp_path}/done", ["x.tfrecord-00000-of-00001"])\n'
        f'publishing.complete(root, "discard://{tmp_path}/done", last="info.json")\n'
        'files.remove(root)\n'
    )
    subprocess.run([sys.executable, '-c', program], cwd=ROOT, check=True, timeout=120)
    files = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob('*') if path.is_file()}
    assert set(files) == {'done/info.json', 'done/x.tfrecord-00000-of-00001'}
    assert files['done/info.json'].read_bytes() == b'{}'
    shard = files['done/x.tfrecord-00000-of-00001'].stat()
    assert shard.st_size == 3_000_000 and shard.st_blocks == 0


@pytest.mark.slow
def test_the_tables_are_printed_and_the_last_line_is_json(tmp_path):
    result = _run(
        'build_scale', '--examples=1000', '--most_written=1000', '--workers=1', '--recordings=10,14',
        '--shards=3', '--same_examples=1000', f'--folder={tmp_path}',
    )  # fmt: skip
    *lines, last = result.stdout.splitlines()
    summary = json.loads(last)
    assert [one['discarded'] for one in summary['spikes']] == [False, True]
    assert [one['recordings'] for one in summary['recordings']] == [10, 14]
    assert [one['shards'] for one in summary['shards']] == [3]
    titles = [line.split(' | ')[0] for line, below in zip(lines, lines[1:], strict=False) if below.startswith('| ---')]
    assert titles == ['| spikes', '| recordings', '| shards', '| comes out of', '| 10^10 spikes, 100 workers']
    assert any('| not written |' in line for line in lines)
    (publishing,) = (line for line in lines if line.startswith('| publishing in an object store, by all workers'))
    assert '| 7 s |' in publishing  # 2 x 56,327 requests of 0.1 s, 16 at a time on each of 100 workers
    assert not list(tmp_path.iterdir())
