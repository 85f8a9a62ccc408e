"""The benchmark runs and says what it is asked for; how fast anything is, is not asserted."""

import ast
import json
import subprocess
import sys

import pytest

from tests.support.commands import error_line
from tests.support.places import ROOT


def _run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, '-m', 'benchmarks.train_throughput', *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_every_way_is_measured_and_compared_with_separate_fits(data_dir, tmp_path):
    figure = tmp_path / 'rates.png'
    result = _run(
        f'--data_dir={data_dir}', '--config=synthetic_small', '--kernel_sizes=4,5', '--batches=16', '--seconds=0.1',
        '--precisions=mixed_float16', '--backends=tensorflow,jax', '--repeats=1', f'--figure={figure}',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout.splitlines()[-1])
    ensembles = {f'{backend}/mixed_float16/16' for backend in ('tensorflow', 'jax')}
    rates, ratios = summary['rates'], summary['ratios']
    assert set(rates) == {'separate', 'ensemble'} | ensembles
    assert min(rates.values()) > 0
    assert rates['ensemble'] == rates[summary['fastest']] == max(rates[way] for way in ensembles)
    assert ratios == {way: rate / rates['separate'] for way, rate in rates.items()}
    assert 0 <= summary['input_wait'] < 1
    assert summary['members'] == 2
    assert 'cpu' in summary['device']
    assert figure.read_bytes().startswith(b'\x89PNG')


def test_full_adds_ways():
    program = (
        'from absl import flags\n'
        'from benchmarks import train_throughput\n'
        'flags.FLAGS(["train_throughput", "--full", "--batches=64"])\n'
        'train_throughput._measure_more()\n'
        'print(train_throughput._chosen_ways())\n'
    )
    result = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True, check=True)
    precisions = ('float32', 'mixed_bfloat16')
    ensembles = [f'{backend}/{precision}/64' for backend in ('tensorflow', 'jax') for precision in precisions]
    assert ast.literal_eval(result.stdout) == ['separate', 'separate_cnn', *ensembles]


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        ('--backends=torch', "--backends: 'torch' is not one of tensorflow, jax"),
        ('--precisions=int8', "--precisions: 'int8' is not one of float32, mixed_bfloat16, mixed_float16"),
        ('--batches=64,0', "--batches: '0' is not a positive number"),
        ('twice', "unexpected argument 'twice'"),
    ],
)
def test_what_cannot_be_measured_is_named(argument, message):
    assert error_line(_run(argument)) == f'train_throughput: {message}'
