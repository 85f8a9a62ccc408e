r"""Runs sero-build on a Flink cluster that it starts on this machine: a job manager and two task managers.

    python -m scripts.flink_local -- --recordings=demo/recordings --data_dir=demo/flink

The arguments after -- go to sero-build, followed by Beam's options for the cluster. Flink and Beam's job server come
from Maven Central; Java and Maven must be installed. The cluster's logs are in FOLDER/cluster.
"""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys

from absl import flags

from beam_pipelines.cli.command import run_command
from scripts.flink_cluster import FlinkCluster
from scripts.flink_jars import get_jars

_FOLDER = flags.DEFINE_string('folder', '.tools/flink', 'Folder for the jars and for the logs of the cluster.')
_TASK_MANAGERS = flags.DEFINE_integer('task_managers', 2, 'Task managers to start.', lower_bound=1)

_SECONDS_TO_END = 30


def main(argv: list[str]) -> int:
    """Starts a cluster, runs sero-build on it and shows Flink's jobs; returns sero-build's exit status."""
    # The processes that this command starts end with it, however it ends.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    folder = pathlib.Path(_FOLDER.value).resolve()
    logs = folder / 'cluster'
    logs.mkdir(parents=True, exist_ok=True)
    jars = get_jars(folder)
    print(f'job server: {jars.job_server_is}', file=sys.stderr)
    with FlinkCluster(jars, logs, _TASK_MANAGERS.value) as cluster:
        overview = cluster.overview()
        print(f'Flink {overview["flink-version"]}, {overview["taskmanagers"]} task managers', file=sys.stderr)
        status = _build(argv[1:], cluster)
        _show_jobs(cluster)
    return status


def _build(arguments: list[str], cluster: FlinkCluster) -> int:
    sero_build = pathlib.Path(sys.executable).with_name('sero-build')
    with subprocess.Popen([sero_build, *arguments, '--', *cluster.beam_options]) as build:
        try:
            return build.wait()
        except KeyboardInterrupt:
            build.wait(_SECONDS_TO_END)  # Ctrl-C has reached it too; it reports the job's state.
            raise


def _show_jobs(cluster: FlinkCluster) -> None:
    for job in cluster.jobs():
        for stage in cluster.stages(job):
            read = ' + '.join(map(str, stage.read))
            print(f'{stage.seconds:6.1f} s  {read:>9} elements  {stage.name}', file=sys.stderr)
        print(f'Flink job {job["state"]} after {job["duration"] / 1000:.1f} s', file=sys.stderr)


if __name__ == '__main__':
    run_command('flink_local', __name__)
