"""Beam's workers on this machine, on a machine that does not make it easy for them."""

import json
import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# Two steps with a fusion break between them. The second one may kill its worker, and says what listens where.
_JOB = """
import contextlib, json, os, pathlib, signal, sys
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from beam_pipelines.cli.command import run_main
from beam_pipelines.launch.runners import default_runner, run_pipeline

def step(number, kills):
    import random  # the library's, not the one in the current folder
    random.random()
    if kills:
        os.kill(os.getpid(), signal.SIGKILL)
    return number

def listening():
    own = set()
    for descriptor in os.listdir('/proc/self/fd'):
        with contextlib.suppress(FileNotFoundError):
            own.add(os.readlink(f'/proc/self/fd/{descriptor}'))
    addresses = set()
    for table in ('tcp', 'tcp6'):
        for line in pathlib.Path(f'/proc/self/net/{table}').read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == '0A' and f'socket:[{fields[9]}]' in own:
                addresses.add(fields[1].partition(':')[0])
    return sorted(addresses)

def main(argv):
    sys.executable = argv[2] if len(argv) > 2 else sys.executable
    options = PipelineOptions(['--direct_running_mode=multi_processing', '--direct_num_workers=2'])
    default_runner(options)
    pipeline = beam.Pipeline(options=options)
    pipeline | beam.Create([1, 2]) | beam.Reshuffle() | beam.Map(step, argv[1] == 'kill')
    from apache_beam.runners.portability.fn_api_runner import worker_handlers
    closes, seen = worker_handlers.GrpcServer.close, []
    def close(server):
        seen.extend(listening())
        closes(server)
    worker_handlers.GrpcServer.close = close
    run_pipeline(pipeline, options)
    print(json.dumps(seen))
    return 0

if __name__ == '__main__':
    sys.exit(run_main(main, sys.argv))
"""

_LOOPBACK = {'0100007F', '0' * 24 + '01000000', '0000000000000000FFFF00000100007F'}


@pytest.fixture
def job(tmp_path):
    """Returns a function that runs the job in a folder with a foreign ``random.py``, behind a proxy."""
    (tmp_path / 'job.py').write_text(_JOB)
    current = tmp_path / 'current'
    current.mkdir()
    (current / 'random.py').write_text('raise SystemExit("not the library")')

    def run(*arguments: str) -> subprocess.CompletedProcess:
        proxies = dict.fromkeys(('http_proxy', 'https_proxy', 'grpc_proxy'), 'http://127.0.0.1:9')
        return subprocess.run(
            [sys.executable, tmp_path / 'job.py', *arguments],
            capture_output=True, text=True, timeout=200, cwd=current,
            env=os.environ | proxies | {'PYTHONPATH': os.getcwd()},
        )  # fmt: skip

    return run


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
def test_workers_start_from_a_path_with_a_space_behind_a_proxy_and_listen_on_loopback_only(job, tmp_path):
    python = tmp_path / "a b's" / 'python'
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    result = job('work', str(python))
    assert result.returncode == 0, result.stderr
    addresses = set(json.loads(result.stdout.splitlines()[-1]))
    assert addresses and addresses <= _LOOPBACK


def test_a_worker_that_is_killed_ends_the_job_with_a_line_that_says_so(job):
    result = job('kill')
    assert result.returncode == 1
    assert f'a worker process was killed by signal {signal.SIGKILL:d}' in result.stderr.splitlines()[-1]


def test_a_worker_that_cannot_start_ends_the_job_instead_of_keeping_it_waiting(job, tmp_path):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\nexit 3\n')
    python.chmod(0o755)
    result = job('work', str(python))
    assert result.returncode == 1
    assert 'a worker process ended with status 3' in result.stderr.splitlines()[-1]
