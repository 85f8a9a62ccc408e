"""Steps are compiled for TPUs on this machine, which has none."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.support.commands import error_line
from tests.support.places import ROOT
from tests.support.training_runs import CONFIG_FILE, TINY_RUN
from trainer.training.precompile import ENVIRONMENT

pytest.importorskip('libtpu', reason='libtpu is made for Linux on x86-64 only')

_MODULE = 'trainer.training.precompile'
_CONFIG = TINY_RUN | {'kernel_sizes': (3,), 'batch_size': 64, 'precision': 'mixed_bfloat16'}
# Weights and biases of a member whose kernels are 3 samples long.
_PARAMETERS = 2 * 160 + (3 + 1) * 32 + (3 * 32 + 1) * 64 + (38 * 64 + 1) * 2
# Multiplications and additions of its convolutions and its last layer, for one example.
_FORWARD_FLOPS = 2 * (158 * 3 * 32 + 77 * 3 * 32 * 64 + 38 * 64 * 2)

_PROGRAM = """
    import dataclasses, json, sys
    from trainer.backend import start_keras
    start_keras('jax')
    from beam_pipelines.errors import UserError
    from trainer.config import check_config
    from trainer.training.tpu.chips import parse_topology
    from trainer.training.tpu.compiled import read_compiled
    from trainer.training.tpu.libtpu import compile_step, describe_devices
    from trainer.training.tpu.step import DescribedDevices, lower_step

    def compiled(name, **changes):
        config, topology = check_config(json.loads(sys.argv[1]) | changes), parse_topology(name)
        lowered = lower_step(config, DescribedDevices(describe_devices(topology)))
        return read_compiled(compile_step(lowered, topology.chip, config.batch_size))

    def said(name, **changes):
        try:
            return dataclasses.asdict(compiled(name, **changes))
        except UserError as error:
            return str(error)

    large = {'batch_size': 1 << 25, 'examples_per_epoch': 1 << 25}
    print(json.dumps({
        'v5e tfrecord': said('v5e:2x2', input='tfrecord'),
        'v6e tfrecord': said('v6e:1x1', input='tfrecord'),
        'v5e online': said('v5e:2x2', input='online'),
        'v6e online': said('v6e:2x4', input='online'),
        'too large': said('v5e:2x2', **large),
        'not shared': said('v5e:2x2', batch_size=62),
        'no such slice': said('v6e:3x3'),
    }))
    """


def run_door(*arguments: str, before: str = 'pass', **changes: object) -> subprocess.Popen:
    program = f"import runpy, sys; {before}; runpy.run_module('{_MODULE}', run_name='__main__', alter_sys=True)"
    fields = [f'--config.{field}={value}' for field, value in (_CONFIG | changes).items()]
    return subprocess.Popen(
        [sys.executable, '-c', program, '--config', str(CONFIG_FILE), *fields, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.fixture(scope='module')
def results(request) -> tuple[dict, subprocess.CompletedProcess]:
    """What is compiled, by what; and what the command says, which runs at the same time."""
    door = run_door('--topology=v5e:2x2')
    request.addfinalizer(door.kill)
    program = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(_PROGRAM), json.dumps(_CONFIG)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
    )
    assert program.returncode == 0, program.stderr
    out, err = door.communicate(timeout=300)
    return json.loads(program.stdout.splitlines()[-1]), subprocess.CompletedProcess([], door.returncode, out, err)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('what', 'chips'), [('v5e tfrecord', 4), ('v6e tfrecord', 1), ('v5e online', 4), ('v6e online', 8)]
)
def test_step_is_compiled_for_each_chip_and_input(results, what, chips):
    step = results[0][what]
    # Backwards takes twice as much as forwards; the rest is what is done to single numbers.
    assert 2.5 * _FORWARD_FLOPS < step['flops'] / (64 / chips) < 6 * _FORWARD_FLOPS
    # Adam has two more numbers for each weight. The bank is on every chip.
    bank_bytes = (30_328 + 600) * 160 * 4 if 'online' in what else 0
    assert 3 * 4 * _PARAMETERS + bank_bytes < step['state_bytes'] < 8 * 4 * _PARAMETERS + 1.1 * bank_bytes
    assert step['working_bytes'] > 0 and step['accessed_bytes'] > step['state_bytes']
    if chips == 1:
        assert step['collectives'] == {}
    else:
        # The gradients of the convolutions come in bfloat16.
        assert 2 * _PARAMETERS <= step['collectives']['all-reduce']['bytes'] <= 5 * _PARAMETERS
        assert set(step['collectives']) == {'all-reduce'}


@pytest.mark.slow
def test_step_that_cannot_be_compiled_is_one_line(results):
    said = results[0]
    assert said['too large'].startswith('batch_size 33554432: does not fit the 16 GiB of a v5e chip: ')
    assert 'G' in said['too large'] and said['too large'].endswith(' Give a smaller one, or more chips')
    assert said['not shared'] == 'batch_size 62: cannot be shared evenly by 4 devices'
    assert said['no such slice'].startswith("--topology 'v6e:3x3': ") and '2x2' in said['no such slice']


@pytest.mark.slow
def test_command_prints_the_figures_and_calls_the_rate_an_estimate(results):
    said, door = results
    assert door.returncode == 0, door.stderr
    assert door.stderr.splitlines() == [
        'compiling the step of 1 member, mixed_bfloat16, input tfrecord, batch_size 64 for v5e:2x2,'
        ' which can take minutes'
    ]
    lines = door.stdout.splitlines()
    assert lines[0].startswith('1 member, mixed_bfloat16, input tfrecord, batch_size 64; jax ')
    assert lines[1] == 'v5e:2x2: 4 chips, 16 examples each. Per chip and step:'
    assert [line.split()[0] for line in lines[2:]] == ['arithmetic', 'memory', 'collectives', 'ESTIMATE', 'The']
    assert f'{said["v5e tfrecord"]["flops"] / 1e9:,.2f} GFLOP' in lines[2]
    assert 'of 16,384.0 MiB' in lines[3] and ' all-reduce of ' in lines[4]
    assert 'examples/s per chip, limited by ' in lines[5] and lines[6].endswith('Nothing has been run.')


@pytest.mark.slow
def test_ctrl_c_ends_the_compiler():
    # It compiles for more than a minute, so within the time that the test waits it does not end by itself.
    large = {'kernel_sizes': (20, 21, 22, 23, 24), 'batch_size': 1 << 20, 'examples_per_epoch': 1 << 20}
    # A shell lets its background processes ignore Ctrl-C, and so it might be here.
    heard = 'import signal; signal.signal(signal.SIGINT, signal.default_int_handler)'
    door = run_door('--topology=v5e:2x2', before=heard, **large)
    try:
        assert door.stderr.readline().startswith('compiling the step of 5 members')
        time.sleep(1)  # until the compiler runs
        door.send_signal(signal.SIGINT)
        out, err = door.communicate(timeout=30)
    finally:
        door.kill()
    assert (door.returncode, out, err) == (130, '', f'\npython -m {_MODULE}: interrupted\n')


@pytest.mark.parametrize(
    ('topology', 'before', 'line'),
    [
        ('v9:2x2', 'pass', "--topology 'v9:2x2': expected v5e or v6e and the shape of the slice, such as v5e:2x2"),
        ('v5e:2x2', "sys.modules['libtpu'] = None", "libtpu is not installed: pip install '.[tpu]'"),
    ],
)
def test_what_is_wrong_from_the_start_is_one_line(topology, before, line):
    door = run_door(f'--topology={topology}', before=before)
    out, err = door.communicate(timeout=60)
    result = subprocess.CompletedProcess([], door.returncode, out, err)
    assert error_line(result) == f'python -m {_MODULE}: {line}'
