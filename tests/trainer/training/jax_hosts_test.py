"""Several JAX hosts learn the curve of one device; one that is lost ends the others, and the run goes on."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from beam_pipelines.errors import UserError
from tests.support.ports import free_ports
from tests.support.same_curves import SHARED_BATCHES as CONFIG
from tests.support.same_curves import assert_same_curves
from tests.support.training_runs import train_arguments
from tests.trainer.training.loop_test import last_checkpoint
from tests.trainer.training.strategies_test import SERO_TRAIN
from trainer.training.jax_hosts import hosts_of_environment

_LOST = (
    'sero-train: another host has ended or cannot be reached; the same command on all of them goes on from the last'
    ' checkpoint'
)


def start_hosts(arguments: list[str], count: int = 2, devices: int = 2) -> list[subprocess.Popen]:
    (port,) = free_ports(1)
    environment = os.environ | {
        'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}',
        'JAX_COORDINATOR_ADDRESS': f'localhost:{port}',
        'JAX_NUM_PROCESSES': str(count),
    }
    return [
        subprocess.Popen(
            [SERO_TRAIN, *arguments, '--backend=jax'],
            env=environment | {'JAX_PROCESS_ID': str(number)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]


def ended(hosts: list[subprocess.Popen]) -> list[list[str]]:
    try:
        return [host.communicate(timeout=200)[1].splitlines() for host in hosts]
    finally:
        for host in hosts:
            host.kill()


def said_of_start(hosts: list[subprocess.Popen]) -> str:
    """Returns the line that says what is trained on which devices."""
    assert hosts[0].stderr.readline() == 'waiting until all 2 hosts are there\n'
    return hosts[0].stderr.readline()


@pytest.mark.slow
def test_hosts_end_when_the_first_is_killed_and_go_on_to_the_curve_of_one_device(
    untrained, on_one_device, data_dir, tmp_path
):
    workdir = tmp_path / 'run'
    shutil.copytree(untrained, workdir)
    arguments = train_arguments(CONFIG | {'epochs': 10_000}, data_dir, workdir)
    hosts = start_hosts(arguments)
    try:
        assert said_of_start(hosts).endswith('jax on cpu:0, cpu:1, cpu:2048, cpu:2049\n')
        assert [hosts[0].stderr.readline()[:8] for _ in range(3)] == ['epoch 1/', 'epoch 2/', 'epoch 3/']
    finally:
        hosts[0].kill()
    _, said = ended(hosts)
    assert hosts[1].returncode not in (0, 2)
    assert said[-1] == _LOST
    assert_same_curves(workdir, on_one_device)
    step = last_checkpoint(workdir)[1]['step']

    hosts = start_hosts(arguments, devices=1)
    try:
        assert said_of_start(hosts).startswith(f'going on from step {step} ')
        hosts[0].stderr.readline()
        hosts[1].send_signal(signal.SIGTERM)
        stopped = 'sero-train: stopped by SIGTERM and saved; the same command goes on'
        while hosts[1].stderr.readline() not in (f'{stopped}\n', ''):
            pass
        # The first, which the others are connected to, waits for one that is slow to end.
        hosts[1].send_signal(signal.SIGSTOP)
        time.sleep(4)
        hosts[1].send_signal(signal.SIGCONT)
    finally:
        said = ended(hosts)
    assert [host.returncode for host in hosts] == [143, 143], said
    assert said[0][-1] == stopped and said[1] == []


@pytest.mark.slow
def test_the_first_host_ends_in_one_line_when_another_is_killed(untrained, data_dir, tmp_path):
    shutil.copytree(untrained, tmp_path / 'run')
    hosts = start_hosts(train_arguments(CONFIG | {'epochs': 10_000}, data_dir, tmp_path / 'run'), devices=1)
    try:
        said_of_start(hosts)
        hosts[0].stderr.readline()
    finally:
        hosts[1].kill()
    said, _ = ended(hosts)
    assert hosts[0].returncode == 1
    assert [line for line in said if not line.startswith('epoch')] == [_LOST]


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ({'JAX_PROCESS_ID': '0'}, '^JAX_COORDINATOR_ADDRESS=: expected such as '),
        ({'JAX_COORDINATOR_ADDRESS': 'host'}, '^JAX_COORDINATOR_ADDRESS=host: expected such as '),
        ({'JAX_COORDINATOR_ADDRESS': 'h:1', 'JAX_NUM_PROCESSES': 'two'}, '^JAX_NUM_PROCESSES=two: expected such as '),
        (
            {'JAX_COORDINATOR_ADDRESS': 'h:1', 'JAX_NUM_PROCESSES': '2', 'JAX_PROCESS_ID': '2'},
            '^JAX_PROCESS_ID=2: expected 0 to 1, another on each host$',
        ),
    ],
)
def test_hosts_that_cannot_be_are_named(given, message):
    with pytest.raises(UserError, match=message):
        hosts_of_environment(given)


def test_no_host_is_named_by_an_environment_without_the_variables():
    assert hosts_of_environment({'PATH': '/bin'}) is None
