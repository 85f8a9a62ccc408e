"""A Flink cluster on this machine: a job manager, task managers, and a pool of Python workers for each of them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from beam_pipelines.errors import UserError
from scripts.flink_jars import BEAM_FLINK, FlinkJars

_POOL_HOST = 'worker-pool'
_SECONDS_TO_START = 90

# Two slots per task manager, though a job takes one: the other is for the work of a task manager that dies. The network
# memory is for a job of about thirty stages, which Flink deploys all at once.
_CONFIGURATION = """
jobmanager.rpc.address: localhost
jobmanager.rpc.port: {rpc_port}
jobmanager.memory.process.size: 1024m
rest.address: localhost
rest.bind-address: localhost
jobmanager.bind-host: localhost
taskmanager.host: localhost
taskmanager.bind-host: localhost
io.tmp.dirs: {temporary}
rest.port: {rest_port}
cluster.evenly-spread-out-slots: true
heartbeat.interval: 1000
heartbeat.timeout: 8000
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 5
restart-strategy.fixed-delay.delay: 1 s
taskmanager.numberOfTaskSlots: 2
taskmanager.cpu.cores: 2.0
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.task.heap.size: 384m
taskmanager.memory.task.off-heap.size: 128m
taskmanager.memory.network.min: 256m
taskmanager.memory.network.max: 256m
taskmanager.memory.managed.size: 128m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 128m
taskmanager.memory.jvm-overhead.max: 128m
taskmanager.network.sort-shuffle.min-buffers: 16
"""

# As in Flink's own start scripts for Java 17.
_OPENED = (
    'java.base/java.lang',
    'java.base/java.net',
    'java.base/java.io',
    'java.base/java.nio',
    'java.base/sun.nio.ch',
    'java.base/java.lang.reflect',
    'java.base/java.text',
    'java.base/java.time',
    'java.base/java.util',
    'java.base/java.util.concurrent',
    'java.base/java.util.concurrent.atomic',
    'java.base/java.util.concurrent.locks',
)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of a job.

    Attributes
    ----------
    name : the steps of the pipeline that Flink has fused.
    seconds : how long it took.
    read : how many elements each task manager read.
    """

    name: str
    seconds: float
    read: tuple[int, ...]


class FlinkCluster(contextlib.AbstractContextManager):
    """Runs a Flink cluster while the block runs.

    Parameters
    ----------
    jars : what it is started from.
    folder : for its configuration and its logs; must exist.
    task_managers : how many to start.

    Attributes
    ----------
    folder : as given.

    Raises
    ------
    UserError
        On entering the block, if a process ends or does not become ready.
    """

    def __init__(self, jars: FlinkJars, folder: pathlib.Path, task_managers: int = 2):
        self.folder = folder
        self._jars = jars
        self._count = task_managers
        self._rest_port, self._rpc_port, self._pool_port = _free_ports(3)
        self._task_managers: dict[int, subprocess.Popen] = {}
        self._exit_stack = contextlib.ExitStack()

    def __enter__(self) -> FlinkCluster:
        with contextlib.ExitStack() as stack:
            self._exit_stack = stack
            self._start()
            self._exit_stack = stack.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._exit_stack.close()

    @property
    def beam_options(self) -> list[str]:
        """Beam's options for a job that runs here."""
        return [
            '--runner=FlinkRunner',
            f'--flink_master=localhost:{self._rest_port}',
            f'--flink_version={BEAM_FLINK}',
            f'--flink_job_server_jar={self._jars.job_server}',
            '--environment_type=EXTERNAL',
            f'--environment_config={_POOL_HOST}:{self._pool_port}',
            # Without it, each stage of the job starts new workers.
            '--environment_cache_millis=60000',
            f'--parallelism={self._count}',
        ]

    def overview(self) -> dict:
        """Returns the job manager's overview of its task managers and jobs."""
        return self._ask('overview')

    def jobs(self) -> list[dict]:
        """Returns the job manager's description of each job, oldest first."""
        jobs = [self._ask(f'jobs/{job["id"]}') for job in self._ask('jobs')['jobs']]
        return sorted(jobs, key=lambda job: job['start-time'])

    def stages(self, job: dict) -> list[Stage]:
        """Returns the stages of a job in which Python ran."""
        stages = []
        for vertex in job['vertices']:
            name = re.search(r'MapPartition at \[\d+\](.*?)\)( ->|$)', vertex['name'])
            if name:
                answer = self._ask(f'jobs/{job["jid"]}/vertices/{vertex["id"]}/taskmanagers')
                read = tuple(one['metrics']['read-records'] for one in answer['taskmanagers'])
                stages.append(Stage(name[1], vertex['duration'] / 1000, read))
        return stages

    def kill_task_manager(self, number: int) -> None:
        """Kills a task manager (SIGKILL); its Python workers end by themselves."""
        self._task_managers[number].send_signal(signal.SIGKILL)
        self._task_managers[number].wait()

    def _start(self) -> None:
        configuration = _CONFIGURATION.format(
            rest_port=self._rest_port, rpc_port=self._rpc_port, temporary=self.folder / 'temporary'
        )
        (self.folder / 'flink-conf.yaml').write_text(configuration)
        job_manager = self._start_java(
            'org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint', 'job_manager', '-Xmx512m'
        )
        for number in range(self._count):
            self._start_worker_pool(number)
            self._task_managers[number] = self._start_java(
                'org.apache.flink.runtime.taskexecutor.TaskManagerRunner',
                f'task_manager_{number}',
                '-Xmx512m',
                '-XX:MaxDirectMemorySize=512m',
                f'-Djdk.net.hosts.file={self._write_hosts(number)}',
            )
        self._wait_until_ready([job_manager, *self._task_managers.values()])

    def _wait_until_ready(self, processes: list[subprocess.Popen]) -> None:
        started = time.monotonic()
        while time.monotonic() - started < _SECONDS_TO_START:
            if any(process.poll() is not None for process in processes):
                raise UserError(f'{self.folder}: a process of the cluster has ended, see the logs there')
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                if self.overview()['taskmanagers'] == self._count:
                    return
            time.sleep(0.2)
        raise UserError(f'{self.folder}: the cluster was not ready after {_SECONDS_TO_START} s, see the logs there')

    def _ask(self, path: str) -> dict:
        with urllib.request.urlopen(f'http://localhost:{self._rest_port}/{path}', timeout=10) as answer:
            return json.load(answer)

    def _start_java(self, main_class: str, name: str, *options: str) -> subprocess.Popen:
        opened = [f'--add-opens={package}=ALL-UNNAMED' for package in _OPENED]
        logging = ['-Dorg.slf4j.simpleLogger.showDateTime=true', '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS']
        program = ['-cp', self._jars.cluster, main_class, '--configDir', str(self.folder)]
        command = ['java', *opened, *logging, *options, *program]
        return self._start_process(command, name)

    def _start_worker_pool(self, number: int) -> None:
        """Starts the worker pool of a task manager, at its own address.

        Task managers on separate hosts each have a pool at the same ``localhost:PORT``. Here they would share one and
        stop each other's workers: a pool knows a worker by its number, and each task manager counts from 1. So each has
        its own address, to which its Java resolves the host ``worker-pool``. Beam's pool listens on a port of all
        addresses, and connections to the address are forwarded to it.
        """
        (port,) = _free_ports(1)
        pool = [sys.executable, '-m', 'apache_beam.runners.worker.worker_pool_main', f'--service_port={port}']
        # It starts its workers as "python".
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ['PATH']])
        self._start_process(pool, f'worker_pool_{number}', os.environ | {'PATH': path})
        passing = [sys.executable, '-m', 'scripts.port_forwarder', _address(number), str(self._pool_port), str(port)]
        self._start_process(passing, f'port_forwarder_{number}')

    def _write_hosts(self, number: int) -> pathlib.Path:
        path = self.folder / f'hosts_{number}'
        path.write_text(f'127.0.0.1 localhost {socket.gethostname()}\n{_address(number)} {_POOL_HOST}\n')
        return path

    def _start_process(
        self, command: list[str], name: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen:
        log = self._exit_stack.enter_context(open(self.folder / f'{name}.log', 'w', encoding='utf-8'))
        # A separate process group, so that its children end with it and Ctrl-C reaches only this process.
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        self._exit_stack.callback(_end, process)
        return process


def _address(number: int) -> str:
    return f'127.0.0.{number + 2}'


def _end(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(('', 0))
        return [one.getsockname()[1] for one in sockets]
