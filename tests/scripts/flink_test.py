"""The job on a Flink cluster of two task managers on this machine."""

import json
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from beam_pipelines.storage import files
from scripts.flink_cluster import FlinkCluster
from scripts.flink_jars import get_jars
from tests.support.folders import shards_of
from tests.support.places import ROOT
from tests.support.recordings import NUM_MASKS

pytestmark = [pytest.mark.flink, pytest.mark.slow]

_JARS = ROOT / '.tools/flink'
_SERO_BUILD = pathlib.Path(sys.executable).with_name('sero-build')
_TIMEOUT_S = 300


@pytest.fixture(scope='module')
def jars():
    _JARS.mkdir(parents=True, exist_ok=True)
    if not (shutil.which('java') and shutil.which('mvn')):
        pytest.skip('Java and Maven are not here')
    return get_jars(_JARS)


@pytest.fixture(scope='module')
def cluster(jars, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # The Java here lives for a minute or two, of which compiling for longer lives would take the most.
        patch.setenv('JDK_JAVA_OPTIONS', '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC')
        with FlinkCluster(jars, tmp_path_factory.mktemp('cluster')) as cluster:
            yield cluster


@pytest.fixture(scope='module')
def command(recordings_root):
    """Gives the command of a build with many shards."""

    def of(data_dir, beam_options):
        return [
            _SERO_BUILD, '--recordings', recordings_root, '--data_dir', data_dir, '--configs=original,synthetic',
            f'--num_masks={NUM_MASKS}', '--synthetic_examples=200000,200000', '--max_shard_size_mb=8',
            '--', *beam_options,
        ]  # fmt: skip

    return of


@pytest.fixture(scope='module')
def expected(command, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp('local')
    subprocess.run(command(data_dir, []), check=True, capture_output=True, timeout=_TIMEOUT_S)
    return _shards(data_dir)


def _shards(data_dir):
    return {config: shards_of(data_dir / 'sero_spikes' / config / '1.1.0') for config in ('original', 'synthetic')}


def test_a_worker_that_dies_behind_a_written_shard_leaves_it_to_be_found_by_the_next(cluster, tmp_path):
    def run(name, marker, beam_options):
        job = [sys.executable, '-m', 'tests.support.dying_worker', tmp_path / name, marker, *beam_options]
        result = subprocess.run(job, capture_output=True, text=True, timeout=_TIMEOUT_S, cwd=ROOT)
        assert result.returncode == 0, result.stderr
        (work,) = (tmp_path / name / 'sero_spikes/synthetic/1.1.0.building').iterdir()
        whole = {path.name: path.read_bytes() for path in work.iterdir() if not files.is_temporary(path.name)}
        return json.loads(result.stdout.splitlines()[-1]), whole

    died = tmp_path / 'died'
    counters, shards = run('flink', died, cluster.beam_options)
    assert died.exists()
    assert counters['reused'] >= 1
    # Where the mark is there already, none dies.
    assert run('local', died, ['--runner=FnApiRunner']) == ({'loaded': 1, 'written': len(shards)}, shards)


def test_a_disk_that_fails_for_a_while_is_tried_again(cluster, tmp_path):
    work = tmp_path / 'sero_spikes/synthetic/1.1.0.building'
    work.parent.mkdir(parents=True)
    work.touch()  # so that no shard can be written
    marker = tmp_path / 'marker'
    marker.touch()  # so that no worker dies
    job = [sys.executable, '-m', 'tests.support.dying_worker', tmp_path, marker, *cluster.beam_options]
    log, restarts = cluster.folder / 'job_manager.log', 'switched from state RUNNING to RESTARTING'
    before = log.read_text().count(restarts)
    with subprocess.Popen(job, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as running:
        while log.read_text().count(restarts) == before:
            assert running.poll() is None, running.communicate()
            time.sleep(0.1)
        work.unlink()
        output, errors = running.communicate(timeout=_TIMEOUT_S)
    assert running.returncode == 0, errors
    (staged,) = work.iterdir()
    assert json.loads(output.splitlines()[-1])['written'] == len(list(staged.iterdir()))


# The last: it leaves a cluster of one.
def test_two_task_managers_write_the_bytes_of_one_process_though_one_dies_in_the_middle(
    cluster, command, expected, tmp_path
):
    build = command(tmp_path / 'data', cluster.beam_options)
    work = tmp_path / 'data/sero_spikes/synthetic/1.1.0.building'
    with subprocess.Popen(build, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while not (written := list(work.glob('*/*.tfrecord-*-of-00037'))):
            assert running.poll() is None, running.communicate()
            time.sleep(0.01)
        job = cluster.jobs()[-1]
        read = {stage.name: stage.read for stage in cluster.stages(job)}
        cluster.kill_task_manager(0)
        assert len(written) < len(expected['synthetic']) == 37
        _, errors = running.communicate(timeout=_TIMEOUT_S)
    assert running.returncode == 0, errors
    assert _shards(tmp_path / 'data') == expected
    recordings_read = read['Ingest/{Recordings, AllFiles, CountFiles}']
    assert len(recordings_read) == 2 and all(recordings_read) and sum(recordings_read) == 8
    assert len(read['Build_synthetic/WriteShards/WriteShard']) == 2
    assert cluster.jobs()[-1]['state'] == 'FINISHED'
    assert cluster.overview()['taskmanagers'] == 1
    assert 'switched from state RESTARTING to RUNNING' in (cluster.folder / 'job_manager.log').read_text()
