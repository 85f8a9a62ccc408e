"""The job on Beam's PortableRunner: a job service, and a pool of workers that both are processes of their own."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.support.commands import run_installed
from tests.support.folders import shards_of
from tests.support.places import ROOT
from tests.support.ports import free_ports
from tests.support.recordings import NUM_MASKS

pytestmark = pytest.mark.slow

_CONFIGS = ('original', 'non_homogeneous', 'synthetic_small')
_STARTS_A_WORKER = 'Starting worker with command'


@pytest.fixture
def start(tmp_path):
    """Starts modules in processes of their own, which write to a log and end with the test."""
    processes = []

    def start_module(module, *arguments) -> pathlib.Path:
        log = tmp_path / f'{module}.log'
        # The pool starts its workers as "python".
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ['PATH']])
        with open(log, 'w', encoding='utf-8') as output:
            process = subprocess.Popen(
                [sys.executable, '-m', module, *arguments],
                stdout=output, stderr=output, cwd=ROOT, env=os.environ | {'PATH': path},
            )  # fmt: skip
        processes.append(process)
        return log

    yield start_module
    for process in processes:
        process.terminate()
        process.wait()


@pytest.mark.parametrize(
    'job_service, workers',
    [
        ('apache_beam.runners.portability.local_job_service_main', 1),
        ('tests.support.job_service_of_several_workers', 3),
    ],
    ids=['as Beam has it', 'with three workers'],
)
def test_workers_of_a_pool_write_the_same_bytes_as_one_process(
    start, job_service, workers, recordings_root, data_dir, tmp_path
):
    job_port, pool_port = free_ports(2)
    pool_log = start('apache_beam.runners.worker.worker_pool_main', f'--service_port={pool_port}')
    start(job_service, f'--port={job_port}')
    result = run_installed(
        'sero-build', '--recordings', recordings_root, '--data_dir', tmp_path / 'data', '--num_masks', NUM_MASKS, '--',
        '--runner=PortableRunner', f'--job_endpoint=localhost:{job_port}', '--environment_type=EXTERNAL',
        f'--environment_config=localhost:{pool_port}', f'--direct_num_workers={workers}',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    for config in _CONFIGS:
        folder = f'sero_spikes/{config}/1.1.0'
        assert shards_of(tmp_path / 'data' / folder) == shards_of(data_dir / folder), config
    assert pool_log.read_text().count(_STARTS_A_WORKER) == workers
