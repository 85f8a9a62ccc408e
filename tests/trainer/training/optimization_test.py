import shutil

import numpy as np
import pytest

from tests.support.training_runs import TINY_RUN, logged, train
from tests.trainer.training.loop_test import SHORT_RUN, assert_same_weights, last_checkpoint, train_error
from trainer.config import check_config
from trainer.training.optimization import learning_rate_over_run

COSINE_RUN = SHORT_RUN | {'learning_rate_schedule': 'cosine', 'epochs': 3}
STEPS = 3 * 6  # one of them of warm-up


def cosine_rate(step: int) -> float:
    return 1e-3 * 0.5 * (1 + np.cos(np.pi * (step - 1) / (STEPS - 1)))


def test_cosine_rises_over_a_twentieth_of_the_run_and_falls_to_zero_at_its_end():
    config = TINY_RUN | {'learning_rate_schedule': 'cosine', 'batch_size': 10, 'examples_per_epoch': 1009, 'epochs': 4}
    rate = learning_rate_over_run(check_config(config))
    assert [float(rate(step)) for step in (0, 10, 20)] == pytest.approx([0, 0.5e-3, 1e-3])
    assert [float(rate(step)) for step in (210, 400)] == pytest.approx([0.5e-3, 0], abs=1e-9)


def test_rate_that_tensorboard_shows_is_the_schedules(data_dir, tmp_path):
    train(COSINE_RUN, str(data_dir), str(tmp_path / 'run'))
    rates = logged(tmp_path / 'run', 'train/learning_rate')
    assert rates == pytest.approx({step: cosine_rate(step) for step in (6, 12, 18)}, abs=1e-9)


def test_constant_rate_stays(data_dir, tmp_path):
    train(SHORT_RUN, str(data_dir), str(tmp_path / 'run'))
    assert logged(tmp_path / 'run', 'train/learning_rate') == pytest.approx({6: 1e-3, 12: 1e-3})


def test_run_that_goes_on_within_an_epoch_goes_on_in_the_same_curves(data_dir, tmp_path):
    config = COSINE_RUN | {'checkpoint_steps': 2, 'checkpoints_kept': 100}
    train(config, str(data_dir), str(tmp_path / 'whole'))
    shutil.copytree(
        tmp_path / 'whole', tmp_path / 'resumed', ignore=shutil.ignore_patterns('tensorboard', 'step_*1[0-8]')
    )
    train(config, str(data_dir), str(tmp_path / 'resumed'))  # from step 8 of 18
    for curve in ('train/learning_rate', 'validation/auc/consensus', 'validation/loss/k4'):
        expected = logged(tmp_path / 'whole', curve)
        assert list(expected) == [6, 12, 18]
        del expected[6]
        assert logged(tmp_path / 'resumed', curve) == pytest.approx(expected, rel=1e-4, abs=1e-9)
    assert_same_weights(last_checkpoint(tmp_path / 'resumed')[0], last_checkpoint(tmp_path / 'whole')[0])


def test_run_whose_rate_depends_on_its_length_cannot_be_made_longer(data_dir, tmp_path):
    train(COSINE_RUN | {'epochs': 1}, str(data_dir), str(tmp_path / 'run'))
    assert train_error(COSINE_RUN, data_dir, tmp_path / 'run') == (
        f'{tmp_path / "run"}: holds a run with epochs 1, asked for 3; use another --workdir'
    )


def test_loss_that_is_not_finite_is_reported_with_the_rate_of_its_step(data_dir, tmp_path):
    message = train_error(COSINE_RUN | {'learning_rate': 1e20}, data_dir, tmp_path / 'run')
    assert message.startswith('loss is nan at step 3 with learning rate ')
    assert float(message.split('rate ')[1].split(';')[0]) == pytest.approx(1e23 * cosine_rate(2), rel=1e-3)
