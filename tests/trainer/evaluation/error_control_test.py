import math

import numpy as np
import pytest

from trainer.evaluation.error_control import TARGET_ERROR, choose_confidence, promised_error


def draw_days(days: int, of_day: int, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns p(SER), label and day of cells; on each day all log-odds are off by as much as the ``shift`` says."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), of_day)
    label = rng.integers(0, 2, len(day))
    log_odds = np.where(label == 0, 3, -3) + rng.normal(0, 1.5, len(day)) + shift * rng.normal(0, 1, days)[day]
    return 1 / (1 + np.exp(-log_odds)), label, day


def wrong_verdicts(p_ser, label, confidence) -> np.ndarray:
    return (np.maximum(p_ser, 1 - p_ser) >= confidence) & ((p_ser < 0.5) != (label == 1))


@pytest.mark.parametrize(('count', 'error'), [(10, 2 / 11), (23, 2 / 24), (66, TARGET_ERROR), (1000, TARGET_ERROR)])
def test_few_cells_promise_less(count, error):
    assert promised_error(count) == error


@pytest.mark.parametrize(('days', 'of_day'), [(16, 3), (23, 6), (100, 2)])
def test_promise_over_days_is_kept_on_new_days_that_differ(days, of_day):
    lost, decided = [], []
    for seed in range(60):
        p_ser, label, day = draw_days(days, of_day, shift=2, seed=seed)
        chosen = choose_confidence(p_ser, label, day)
        p_ser, label, _ = draw_days(500, of_day, shift=2, seed=1000 + seed)
        lost.append(wrong_verdicts(p_ser, label, chosen.confidence).mean())
        decided.append((np.maximum(p_ser, 1 - p_ser) >= chosen.confidence).mean())
    assert chosen.day_error == promised_error(days)
    # Without abstention more cells of a new day are wrong than promised.
    if days > 16:
        assert wrong_verdicts(p_ser, label, 0.5).mean() > chosen.day_error
    assert np.mean(lost) <= chosen.day_error
    assert np.mean(decided) > 0.3


def test_days_with_few_cells_count_as_much_as_others():
    day = np.concatenate([np.arange(3), np.repeat(np.arange(3, 40), 6)])
    label = np.zeros(len(day), int)
    p_ser = np.where(day < 3, 0.2, 0.99)  # the only cells of three days are wrong, at a confidence of 0.8
    over_cells, over_days = choose_confidence(p_ser, label, None), choose_confidence(p_ser, label, day)
    assert (over_cells.confidence, over_cells.decided, over_cells.wrong) == (0.5, 225, 3)
    assert (over_days.confidence, over_days.decided, over_days.wrong) == (0.99, 222, 0)


def test_confidence_is_the_lowest_that_keeps_the_promise():
    label = np.zeros(100, int)
    p_ser = np.linspace(0.55, 0.99, 100)
    p_ser[:5] = 1 - p_ser[:5]
    chosen = choose_confidence(p_ser, label, None)
    # (2 + 1) / (97 + 1) is more than 3 %, (1 + 1) / (96 + 1) is not.
    assert (chosen.wrong, chosen.decided) == (1, 96)
    assert chosen.target_error == TARGET_ERROR and math.isnan(chosen.day_error)


def test_nothing_is_decided_if_no_confidence_keeps_the_promise():
    chosen = choose_confidence(np.full(50, 0.99), np.arange(50) % 2, None)
    assert (chosen.confidence, chosen.decided, chosen.wrong) == (1.0, 0, 0)
