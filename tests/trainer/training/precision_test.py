"""Half precision gives as good a model as single precision, on the data of the demo.

On JAX, which compiles it for a CPU. float16 is not tried: it is far slower there, and no CPU's users would choose it.
"""

import json
import pathlib
from collections.abc import Callable

import pytest

from tests.support.commands import run_command, run_installed
from tests.support.places import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def demo_data(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp('demo')
    for command, *arguments in (
        ('sero-simulate', '--output_dir', folder / 'recordings', '--profile', 'demo'),
        ('sero-build', '--recordings', folder / 'recordings', '--data_dir', folder / 'data',
         '--configs', 'original,synthetic_small'),
    ):  # fmt: skip
        result = run_command(command, *arguments)
        assert result.returncode == 0, result.stderr
    return folder / 'data'


@pytest.fixture(scope='module')
def validation_auc(demo_data, tmp_path_factory) -> Callable[[str], float]:
    """Returns a function that trains a member in a precision and returns its AUC on validation spikes."""

    def train(precision: str) -> float:
        workdir = tmp_path_factory.mktemp(precision)
        result = run_installed(
            'sero-train',
            '--config', ROOT / 'trainer' / 'configs' / 'demo.py',
            '--config.kernel_sizes=(10,)',
            '--config.held_out_days=0',
            '--config.augment=()',
            '--config.learning_rate_schedule=constant',
            '--config.examples_per_epoch=16384',
            '--config.epochs=1',
            f'--config.precision={precision}',
            '--backend', 'jax',
            '--data_dir', demo_data,
            '--workdir', workdir,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        return json.loads((workdir / 'model_info.json').read_text())['validation']['k10']['auc']

    return train


def test_validation_auc_is_that_of_float32(validation_auc):
    float32_auc, auc = validation_auc('float32'), validation_auc('mixed_bfloat16')
    assert 0.9 < float32_auc < 0.9999, 'the demo is too hard or too easy to tell precisions apart'
    assert auc == pytest.approx(float32_auc, abs=0.005)
