"""What is compiled for a TPU is the step that a run makes."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from tests.support.places import ROOT
from tests.support.training_runs import TINY_RUN

_CONFIG = TINY_RUN | {
    'batch_size': 8,
    'examples_per_epoch': 8,
    'epochs': 1,
    'held_out_days': 2,
    'augment': ('gain', 'jitter'),
    'precision': 'mixed_bfloat16',
}

# Two devices, as a slice has several. Keras keeps the function that it compiles to itself, so its jit is watched.
_PROGRAM = """
    import json, sys
    from trainer.backend import start_keras
    start_keras('jax')
    import jax
    from keras.src.backend.jax import trainer as keras_trainer
    from beam_pipelines import domain
    from tests.support.training_runs import train
    from trainer.config import check_config
    from trainer.data.online_batches import open_spike_bank
    from trainer.data.stored_dataset import open_split
    from trainer.training.strategies import open_strategy
    from trainer.training.tpu.step import DescribedDevices, lower_step

    config, data_dir, workdir = json.loads(sys.argv[1]), *sys.argv[2:]
    # All NSER cells of the tiny recordings are of one day; here the number of a cell within its day is its day.
    domain.find_recording_day = lambda cell_id, pattern: cell_id[-1]
    made = []

    def watched_jit(function, **options):
        jitted = jax.jit(function, **options)
        def call(*arguments):
            if function.__name__ == 'train_step':
                made.append(jitted.lower(*arguments).as_text())
            return jitted(*arguments)
        return call

    keras_trainer.jit = watched_jit
    for source, kernel_sizes in (('tfrecord', (3, 5)), ('online', (3, 5)), ('tfrecord', (3,))):
        made.clear()
        config |= {'input': source, 'kernel_sizes': kernel_sizes}
        run = f'{source}-{len(kernel_sizes)}'
        train(config, data_dir, f'{workdir}/{run}', strategy=open_strategy('auto'))
        bank = open_spike_bank(open_split(data_dir, config['train_on'], 'train')) if source == 'online' else None
        devices = DescribedDevices(jax.devices())
        lowered = lower_step(check_config(config), devices, bank).as_text()
        print(json.dumps([run, len(made), 'num_partitions = 2' in lowered, lowered == made[0]]))
    """


@pytest.mark.slow
def test_step_is_the_one_that_a_run_makes_on_several_devices(data_dir, tmp_path):
    result = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(_PROGRAM), json.dumps(_CONFIG), str(data_dir), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env=os.environ | {'XLA_FLAGS': '--xla_force_host_platform_device_count=2'},
    )
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith('["')]
    # A single member leaves out no days, so its step weighs no rows.
    assert lines == [[run, 1, True, True] for run in ('tfrecord-2', 'online-2', 'tfrecord-1')]
