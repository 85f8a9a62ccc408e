"""Runs whose batches several devices share, and whether they have learnt the same."""

import pathlib

import pytest

from tests.support.training_runs import TINY_RUN, logged

SHARED_BATCHES = TINY_RUN | {'kernel_sizes': (4, 6), 'batch_size': 8, 'examples_per_epoch': 80, 'epochs': 2}


def assert_same_curves(workdir: pathlib.Path, expected: pathlib.Path) -> None:
    for name in ('train/loss/k4', 'train/loss/k6', 'validation/loss/k4', 'validation/loss/k6'):
        curve, expected_curve = logged(workdir, name), logged(expected, name)
        assert list(expected_curve) == [10, 20]
        assert {step: curve[step] for step in expected_curve} == pytest.approx(expected_curve, rel=1e-4), name
    first, last = logged(expected, 'train/loss/k4').values()
    assert last < 0.9 * first, 'it has learnt nothing: a curve that says nothing'
