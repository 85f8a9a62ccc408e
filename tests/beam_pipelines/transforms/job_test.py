"""What becomes of faults: raised where the runner tries the work again, one line where it does not."""

import errno
from pathlib import Path

import apache_beam as beam
import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.storage import files
from beam_pipelines.transforms.build_datasets import build_pipeline
from beam_pipelines.transforms.job import HERE, Job
from beam_pipelines.transforms.paths import BuildPaths
from tests.support.folders import shards_of
from tests.support.recordings import NUM_MASKS

_ON_CLUSTER = Job(repeats_faults=True)


def _build(recordings_root, data_dir, job, **changes) -> BuildPaths:
    options = BuildOptions(str(recordings_root), str(data_dir), ('original',), **{'num_masks': NUM_MASKS, **changes})
    with beam.Pipeline('FnApiRunner') as pipeline:
        build_pipeline(pipeline, options, job)
    return BuildPaths(str(data_dir))


@pytest.mark.parametrize('blocked', ['.staging', 'original/1.1.0', 'rejected.jsonl/x'])
def test_a_cluster_gets_each_fault_to_repeat_and_goes_on_when_it_is_gone(recordings_root, data_dir, tmp_path, blocked):
    # The spikes cannot be staged; the dataset not be published; the list of rejected files not be written.
    fault = tmp_path / 'sero_spikes' / blocked
    fault.parent.mkdir(parents=True)
    fault.touch()
    with pytest.raises(Exception, match=rf'Error: \[Errno \d+\] .*{tmp_path}/sero_spikes/{Path(blocked).parts[0]}'):
        _build(recordings_root, tmp_path, _ON_CLUSTER)
    fault.unlink()
    if fault.parent.name == 'rejected.jsonl':
        fault.parent.rmdir()
    paths = _build(recordings_root, tmp_path, _ON_CLUSTER)
    folder = 'sero_spikes/original/1.1.0'
    assert shards_of(tmp_path / folder) == shards_of(data_dir / folder)
    assert not files.exists(paths.failure('original'))


def test_a_mistake_in_the_options_is_not_repeated(recordings_root, tmp_path):
    (tmp_path / 'none').mkdir()
    paths = _build(tmp_path / 'none', tmp_path / 'data', _ON_CLUSTER)
    assert 'no recordings; expected CELL.abf' in files.read_json(paths.failure('original'))['error']


def test_on_one_machine_a_fault_is_one_line_and_on_a_cluster_names_its_file():
    full = OSError(errno.ENOSPC, 'No space left on device')
    assert HERE.reason(full, '/d/shard') == '/d/shard: No space left on device'
    with pytest.raises(OSError, match='No space left') as raised:
        _ON_CLUSTER.reason(full, '/d/shard')
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, '/d/shard')


def test_the_fault_behind_a_line_is_a_fault_and_a_mistake_is_none():
    line = UserError('/d: Input/output error')
    line.__cause__ = OSError(errno.EIO, 'Input/output error', '/d')
    with pytest.raises(OSError, match='Input/output error'):
        _ON_CLUSTER.reason(line, '')
    for job in (HERE, _ON_CLUSTER):
        assert job.reason(UserError('too few cells'), 'original') == 'too few cells'
