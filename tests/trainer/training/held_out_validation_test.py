import dataclasses

import keras
import numpy as np
import pytest

from tests.support.spikes import make_spikes
from trainer.models.ensemble import build_ensemble
from trainer.training.held_out_days import HeldOutDays
from trainer.training.held_out_validation import HeldOutValidation, refined_loss


@pytest.fixture(scope='module')
def ensemble() -> keras.Model:
    return build_ensemble('cnn', (4, 5, 6), seed=3)


def test_each_member_is_scored_on_the_cells_that_it_has_not_seen_and_cells_weigh_the_same(ensemble, make_split):
    waveform, label = make_spikes(60)
    cell = np.repeat([0, 1, 2], [10, 30, 20])
    split = dataclasses.replace(make_split((60,), waveform, label, cell), cell_names=('A#1', 'B#1', 'B#2'))
    day_of = {cell_id: cell_id[0] for cell_id in split.cell_names}
    logs = {}
    HeldOutValidation(ensemble, (split,), HeldOutDays({'A': 0, 'B': 1}, day_of, 2, 3)).on_epoch_end(0, logs)
    scores = {name: np.asarray(score) for name, score in ensemble(waveform, training=False).items()}
    tests = {'k4': [0], 'k5': [1, 2], 'k6': [0]}
    for name, cells in tests.items():
        p_ser = scores[name][:, 0] / scores[name].sum(axis=1)
        log_odds = np.where(label == 0, 1, -1) * np.log(p_ser / (1 - p_ser))
        # By hand: the best of many temperatures.
        losses = np.log1p(np.exp(-log_odds / np.geomspace(0.1, 100, 20_000)[:, np.newaxis]))
        expected = np.mean([losses[:, cell == number].mean(axis=1) for number in cells], axis=0).min()
        assert logs[f'val_{name}_loss'] == pytest.approx(expected, rel=1e-4)
        rows = np.isin(cell, cells)
        right = scores[name][rows].argmax(axis=1) == label[rows]
        assert logs[f'val_{name}_accuracy'] == pytest.approx(right.mean())
    consensus = np.where((cell == 0)[:, np.newaxis], (scores['k4'] + scores['k6']) / 2, scores['k5'])
    assert logs['val_consensus_accuracy'] == pytest.approx(np.mean(consensus.argmax(axis=1) == label))
    assert logs['val_loss'] == pytest.approx(sum(logs[f'val_{name}_loss'] for name in tests))


def test_loss_tells_how_well_classes_are_told_apart_and_not_how_sure_the_scores_are():
    label = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    log_odds = np.array([2, 3, 1, -1.0, -2, -3, -2, -1])  # one is wrong
    weight = np.full(8, 1 / 8)
    losses = [refined_loss(1 / (1 + np.exp(-factor * log_odds)), label, weight) for factor in (0.5, 1, 3)]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-3)
    log_odds[3] = 1
    assert refined_loss(1 / (1 + np.exp(-log_odds)), label, weight) < losses[0]
