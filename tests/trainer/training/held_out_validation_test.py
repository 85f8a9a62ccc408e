import dataclasses

import keras
import numpy as np
import pytest

from tests.support.spikes import make_spikes
from trainer.models.ensemble import build_ensemble
from trainer.training.held_out_days import HeldOutDays
from trainer.training.held_out_validation import HeldOutValidation


@pytest.fixture(scope='module')
def ensemble() -> keras.Model:
    return build_ensemble('cnn', (4, 5, 6), seed=3)


def test_each_member_is_scored_on_the_cells_that_it_has_not_seen_and_cells_weigh_the_same(ensemble, make_split):
    waveform, label = make_spikes(60)
    cell = np.repeat([0, 1, 2], [10, 30, 20])
    split = dataclasses.replace(make_split((60,), waveform, label, cell), cell_names=('A#1', 'B#1', 'B#2'))
    group_of = dict(zip(split.cell_names, (0, 1, 1), strict=True))
    logs = {}
    HeldOutValidation(ensemble, (split,), HeldOutDays(group_of, 2, 2, 3)).on_epoch_end(0, logs)
    scores = {name: np.asarray(score) for name, score in ensemble(waveform, training=False).items()}
    tests = {'k4': [0], 'k5': [1, 2], 'k6': [0]}
    truth = np.eye(2)[label]
    losses = {name: np.asarray(keras.losses.binary_crossentropy(truth, score)) for name, score in scores.items()}
    for name, cells in tests.items():
        expected = np.mean([losses[name][cell == number].mean() for number in cells])
        assert logs[f'val_{name}_loss'] == pytest.approx(expected, rel=1e-5)
        rows = np.isin(cell, cells)
        right = scores[name][rows].argmax(axis=1) == label[rows]
        assert logs[f'val_{name}_accuracy'] == pytest.approx(right.mean())
    consensus = np.where((cell == 0)[:, np.newaxis], (scores['k4'] + scores['k6']) / 2, scores['k5'])
    assert logs['val_consensus_accuracy'] == pytest.approx(np.mean(consensus.argmax(axis=1) == label))
    assert logs['val_loss'] == pytest.approx(sum(logs[f'val_{name}_loss'] for name in tests))
