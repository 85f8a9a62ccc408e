"""Every strategy learns the same curve from the same global batches, within rounding.

All runs go on from one untrained checkpoint whose members drop nothing: which spikes dropout drops depends on how the
devices share a batch.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from beam_pipelines.errors import UserError
from tests.support.commands import error_line, run_installed
from tests.support.places import ROOT
from tests.support.ports import free_ports
from tests.support.same_curves import SHARED_BATCHES as CONFIG
from tests.support.same_curves import assert_same_curves
from tests.support.training_runs import train, train_arguments
from tests.trainer.training.loop_test import last_checkpoint
from trainer.data.stored_dataset import open_split
from trainer.models.scoring import score_split
from trainer.models.trained import load_ensemble
from trainer.training.one_device import OneDevice
from trainer.training.strategies import open_strategy

SERO_TRAIN = pathlib.Path(sys.executable).parent / 'sero-train'


def run_program(program: str, arguments: list[str], **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-c', textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=ROOT,
        env=os.environ | environment,
    )


@pytest.mark.slow
def test_mirrored_devices_learn_what_one_does(untrained, on_one_device, data_dir, tmp_path):
    workdir = tmp_path / 'run'
    shutil.copytree(untrained, workdir)
    program = """
        from trainer.backend import start_keras
        start_keras()
        import tensorflow as tf
        [cpu] = tf.config.list_physical_devices('CPU')
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        from trainer import train
        train.run()
        """
    result = run_program(program, [*train_arguments(CONFIG, data_dir, workdir), '--strategy=mirrored'])
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[0].endswith('tensorflow on cpu:0, cpu:1')
    assert_same_curves(workdir, on_one_device)


def start_workers(arguments: list[str], count: int = 2) -> list[subprocess.Popen]:
    sockets = [socket.create_server(('localhost', 0)) for _ in range(count)]
    cluster = {'worker': [f'localhost:{server.getsockname()[1]}' for server in sockets]}
    for server in sockets:
        server.close()
    workers = []
    for index in range(count):
        config = json.dumps({'cluster': cluster, 'task': {'type': 'worker', 'index': index}})
        workers.append(
            subprocess.Popen(
                [SERO_TRAIN, *arguments], env=os.environ | {'TF_CONFIG': config}, stderr=subprocess.PIPE, text=True
            )
        )
    return workers


@pytest.mark.slow
def test_workers_learn_what_one_device_does_and_stop_together_when_one_is_asked_to(
    untrained, on_one_device, data_dir, tmp_path
):
    workdir = tmp_path / 'run'
    shutil.copytree(untrained, workdir)
    workers = start_workers(train_arguments(CONFIG | {'epochs': 10_000}, data_dir, workdir))
    try:
        chief = workers[0].stderr
        assert chief.readline() == 'waiting until all 2 workers are there\n'
        assert chief.readline().endswith('tensorflow on cpu:0 and 1 of other workers\n')
        assert [chief.readline()[:8] for _ in range(CONFIG['epochs'])] == ['epoch 1/', 'epoch 2/']
        workers[1].send_signal(signal.SIGTERM)
        said = [worker.communicate(timeout=120)[1].splitlines() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [143, 143], said
    assert {lines[-1] for lines in said} == {'sero-train: stopped by SIGTERM and saved; the same command goes on'}
    assert not any(line.startswith('epoch') for line in said[1]), 'only the chief shows the progress'
    assert last_checkpoint(workdir)[1]['step'] >= 20
    assert_same_curves(workdir, on_one_device)


@pytest.mark.slow
def test_workers_are_found_in_what_vertex_ai_adds_fields_to():
    program = """
        from trainer.backend import start_keras
        start_keras()
        from trainer.training.strategies import open_strategy
        strategy = open_strategy('auto')
        print(strategy.replicas, strategy.is_chief, *strategy.agree([2.0 if strategy.is_chief else 4.0]))
        """
    hosts = [f'localhost:{port}' for port in free_ports(2)]
    rest = {'environment': 'cloud', 'job': '{"worker_pool_specs": []}'}
    workers = []
    for kind in ('chief', 'worker'):
        task = {'type': kind, 'index': 0, 'trial': '1', 'cloud': 'c'}
        config = json.dumps({'cluster': {'chief': hosts[:1], 'worker': hosts[1:]}, 'task': task, **rest})
        command = [sys.executable, '-c', textwrap.dedent(program)]
        workers.append(
            subprocess.Popen(
                command, cwd=ROOT, env=os.environ | {'TF_CONFIG': config}, stdout=subprocess.PIPE, text=True
            )
        )
    try:
        said = [worker.communicate(timeout=120)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert said == ['2 True 3.0\n', '2 False 3.0\n']


@pytest.mark.slow
def test_jax_learns_from_spikes_made_on_two_devices_goes_on_with_one_and_is_evaluated_as_by_tensorflow(
    untrained, on_one_device, data_dir, tmp_path
):
    workdir = tmp_path / 'run'
    shutil.copytree(untrained, workdir)
    program = """
        import json, sys
        from trainer.backend import start_keras
        start_keras('jax')
        import numpy as np
        from trainer.models.scoring import score_split
        from trainer.models.trained import load_ensemble
        from trainer.data.stored_dataset import open_split
        from trainer.training.strategies import open_strategy
        from tests.support.training_runs import train
        config, data_dir, workdir = json.loads(sys.argv[1]), *sys.argv[2:]
        train(config | {'epochs': 1}, data_dir, workdir, strategy=open_strategy('auto'))
        train(config, data_dir, workdir, strategy=open_strategy('one'))
        split = open_split(data_dir, 'original', 'validation')
        np.save(workdir + '/scores.npy', score_split(load_ensemble(workdir), split).scores)
        """
    result = run_program(
        program,
        # The same spikes as the stored ones, made within the step.
        [json.dumps(CONFIG | {'input': 'online'}), str(data_dir), str(workdir)],
        XLA_FLAGS='--xla_force_host_platform_device_count=2',
    )
    assert result.returncode == 0, result.stderr
    first, then = (line for line in result.stderr.splitlines() if line.startswith(('training', 'going on')))
    assert first.endswith('jax on cpu:0, cpu:1')
    assert then.startswith('going on from step 10 with 2 members')
    assert then.endswith('jax on cpu:0')
    assert_same_curves(workdir, on_one_device)
    by_tensorflow = score_split(load_ensemble(str(workdir)), open_split(data_dir, 'original', 'validation'))
    np.testing.assert_allclose(np.load(workdir / 'scores.npy'), by_tensorflow.scores, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_strategy_that_jax_does_not_have_is_one_line(tmp_path):
    arguments = train_arguments(CONFIG, tmp_path, tmp_path / 'run')
    result = run_installed('sero-train', *arguments, '--backend=jax', '--strategy=mirrored')
    assert error_line(result) == (
        'sero-train: --strategy=mirrored: is of TensorFlow; with the backend jax there are auto and one'
    )


def test_batch_that_the_devices_cannot_share_evenly_is_refused(data_dir, tmp_path):
    strategy = OneDevice()
    strategy.replicas = 3
    with pytest.raises(UserError, match='^batch_size 8: cannot be shared evenly by 3 devices$'):
        train(CONFIG, str(data_dir), str(tmp_path / 'run'), strategy=strategy)
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'config',
    [
        '',
        '{}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
    ],
)
def test_cluster_that_cannot_be_is_shown(monkeypatch, config):
    monkeypatch.setenv('TF_CONFIG', config)
    with pytest.raises(UserError) as raised:
        open_strategy('multi_worker')
    assert str(raised.value).startswith(f'TF_CONFIG {config!r}: expected such as {{"cluster": ')


def test_a_single_machine_that_tf_config_names_waits_for_nobody(monkeypatch):
    monkeypatch.setenv('TF_CONFIG', '{"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}')
    assert type(open_strategy('auto')) is OneDevice


def test_machine_without_a_tpu_says_so():
    with pytest.raises(UserError, match='^--strategy=tpu: TPUs not found in the cluster$'):
        open_strategy('tpu')


def test_float16_is_refused_where_devices_would_not_see_each_others_overflow(data_dir, tmp_path):
    strategy = OneDevice()
    strategy.replicas, strategy.can_scale_loss = 2, False
    with pytest.raises(UserError, match='precision mixed_float16: not on 2 devices; use mixed_bfloat16, or --strategy'):
        train(CONFIG | {'precision': 'mixed_float16'}, str(data_dir), str(tmp_path / 'run'), strategy=strategy)
    assert not (tmp_path / 'run').exists()
