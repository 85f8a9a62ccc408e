import numpy as np
import pytest

from beam_pipelines.errors import UserError
from trainer.evaluation import firing
from trainer.evaluation.firing import fit_firing


def make_cells(count: int, rate_of_class: tuple[float, float], seed: int = 0):
    """Returns p(SER), label, day and triggers of cells whose shape says little and whose rate is that of the class."""
    rng = np.random.default_rng(seed)
    label = np.arange(count) % 2
    p_ser = np.clip(np.where(label == 0, 0.6, 0.4) + rng.normal(0, 0.15, count), 0.05, 0.95)
    triggers = []
    for of in label:
        intervals = rng.exponential(40_000 / rate_of_class[of], 40)
        triggers.append(np.cumsum(intervals).astype(np.int64))
    return p_ser, label, np.arange(count) // 4, triggers


def test_rate_that_differs_between_classes_helps():
    p_ser, label, day, triggers = make_cells(80, (2.0, 20.0))
    model = fit_firing(p_ser, label, day, triggers)
    assert model.of_rate < 0 < model.of_shape
    assert model.log_loss < 0.5 * model.log_loss_of_shape
    (_, _, _, [slow, fast, *_]) = make_cells(2, (2.0, 20.0), seed=1)
    assert model.apply(0.5, slow) > 0.9 and model.apply(0.5, fast) < 0.1


def test_rate_that_is_the_same_does_not():
    model = fit_firing(*make_cells(80, (5.0, 5.0)))
    assert model.log_loss > 0.9 * model.log_loss_of_shape


def test_loss_is_of_days_that_were_left_out():
    rng = np.random.default_rng(1)
    p_ser, label, day, triggers = make_cells(24, (5.0, 5.0))
    # Nothing tells the classes apart, so a regression that saw the cells would look better than a coin.
    model = fit_firing(np.clip(rng.random(24), 0.05, 0.95), rng.permutation(label), day, triggers)
    assert model.log_loss > np.log(2)


def test_few_cells_or_spikes_give_nothing():
    p_ser, label, day, triggers = make_cells(18, (2.0, 20.0))
    assert fit_firing(p_ser, label, day, triggers) is None
    p_ser, label, day, triggers = make_cells(40, (2.0, 20.0))
    assert fit_firing(p_ser, label, day, [trigger[:3] for trigger in triggers]) is None
    assert np.isnan(fit_firing(p_ser, label, day, triggers).apply(0.5, np.array([5, 90_000])))


def test_round_trip_and_damage(tmp_path):
    model = fit_firing(*make_cells(40, (2.0, 20.0)))
    firing.write(str(tmp_path), model)
    assert firing.load(str(tmp_path)) == model
    path = tmp_path / 'firing.json'
    for text in ('', '[]', '{}', path.read_text().replace('"cells": 40', '"cells": "x"')):
        path.write_text(text)
        with pytest.raises(UserError, match='firing.json'):
            firing.load(str(tmp_path))
    path.unlink()
    with pytest.raises(UserError, match='firing.json: no such file; sero-train writes it'):
        firing.load(str(tmp_path))
