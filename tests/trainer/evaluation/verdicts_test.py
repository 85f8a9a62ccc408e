from unittest import mock

import numpy as np
import pytest

from trainer.evaluation import verdicts
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.cell_warnings import UNLIKE, CellWarning
from trainer.evaluation.results import CellResult
from trainer.evaluation.verdicts import (
    classify_cell,
    consensus,
    spike_p_ser,
    undecided_rule,
    why_undecided,
    with_warnings,
)

AS_PUBLISHED = Calibration()


def classify(scores: np.ndarray, seed: int, calibration: Calibration = AS_PUBLISHED) -> CellResult:
    """Classifies a cell by scores alone, with another seed than all commands have."""
    with mock.patch.object(verdicts, '_BOOTSTRAP_SEED', seed):
        return classify_cell(scores, np.zeros((len(scores), 160), np.float32), calibration, 'A140313#073')


def verdict_of(scores: np.ndarray, seed: int) -> tuple[str, float, float, float]:
    result = classify(scores, seed)
    return result.verdict, result.p_ser, result.p_ser_low, result.p_ser_high


def draw_scores(spikes: int, ser: float, seed: int = 0, members: int = 3) -> np.ndarray:
    """Returns (n, m, 2) scores: of SER around ``ser``, of NSER around ``1 - ser``."""
    rng = np.random.default_rng(seed)
    mean = np.array([ser, 1 - ser])
    of_member = rng.normal(0, 0.02, (1, members, 2))
    return np.clip(mean + of_member + rng.normal(0, 0.25, (spikes, members, 2)), 0, 1)


def random_cells(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(11)
    return [
        draw_scores(int(rng.integers(1, 60)), rng.uniform(0.3, 0.7), seed, int(rng.integers(1, 5)))
        for seed in range(count)
    ]


@pytest.mark.parametrize('ser', [0.05, 0.3, 0.45, 0.55, 0.7, 0.95])
def test_p_ser_is_above_one_half_where_the_mean_ser_score_is_larger(ser):
    for seed in range(20):
        scores = draw_scores(30, ser, seed)
        mean_ser, mean_nser = scores.mean(axis=(0, 1))
        assert (classify(scores, seed=0).p_ser > 0.5) == (mean_ser > mean_nser)


def test_consensus_is_of_the_mean_scores_and_not_of_the_votes():
    # Two spikes lean to NSER by little, one to SER by much; the mean of their shares would be another number.
    scores = np.array([[[0.4, 0.6]], [[0.2, 0.3]], [[1.0, 0.0]]])
    assert classify(scores, seed=0).p_ser == pytest.approx(1.6 / 2.5)


def test_members_count_alike():
    scores = np.array([[[0.9, 0.1], [0.2, 0.7]]])
    assert classify(scores, seed=0).p_ser == pytest.approx(1.1 / 1.9)


def test_interval_contains_p_ser():
    for scores in random_cells(60):
        verdict = classify(scores, seed=0)
        assert 0 <= verdict.p_ser_low <= verdict.p_ser <= verdict.p_ser_high <= 1


def test_interval_is_wider_with_fewer_spikes():
    scores = draw_scores(1000, 0.7)
    widths = [
        verdict.p_ser_high - verdict.p_ser_low
        for verdict in (classify(scores[:spikes], seed=0) for spikes in (10, 100, 1000))
    ]
    assert widths[0] > 2 * widths[1] > 0
    assert widths[1] > widths[2] > 0


def test_interval_is_wider_where_members_disagree():
    agreeing, disagreeing = np.empty((50, 4, 2)), np.empty((50, 4, 2))
    agreeing[:] = [0.8, 0.2]
    disagreeing[:, :2], disagreeing[:, 2:] = [1.0, 0.0], [0.6, 0.4]
    assert classify(agreeing, seed=0).p_ser == pytest.approx(classify(disagreeing, seed=0).p_ser)
    assert classify(agreeing, seed=0).p_ser_low == pytest.approx(0.8)
    assert classify(disagreeing, seed=0).p_ser_low == pytest.approx(0.6)


def test_interval_covers_what_more_spikes_would_say():
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        ser = rng.beta(2, 1, (40, 1))  # mean 2/3
        scores = np.stack([ser, 1 - ser], axis=-1)
        verdict = classify(scores, seed=seed)
        covered += verdict.p_ser_low <= 2 / 3 <= verdict.p_ser_high
    assert 88 <= covered <= 100


def test_undecided_if_and_only_if_the_interval_contains_one_half():
    results = [classify(scores, seed=0) for scores in random_cells(200) if len(scores) >= 5]
    for verdict in results:
        contains = verdict.p_ser_low <= 0.5 <= verdict.p_ser_high
        assert (verdict.verdict == 'undecided') == contains
    assert {verdict.verdict for verdict in results} == {'SER', 'NSER', 'undecided'}


@pytest.mark.parametrize(('spikes', 'verdict'), [(4, 'undecided'), (5, 'SER')])
def test_a_cell_with_fewer_than_five_spikes_is_undecided(spikes, verdict):
    assert classify(draw_scores(spikes, 0.99), seed=0).verdict == verdict


@pytest.mark.parametrize(
    ('spikes', 'ser', 'confidence', 'reason'),
    [
        (200, 0.95, 0.5, ''),
        (4, 0.99, 0.5, 'fewer than 5 spikes'),
        (200, 0.5, 0.5, 'the interval contains one half'),
        (200, 0.8, 0.95, 'neither class has a probability of 0.95'),
    ],
)
def test_a_cell_without_a_verdict_says_why(spikes, ser, confidence, reason):
    calibration = Calibration(confidence=confidence)
    result = classify(draw_scores(spikes, ser), seed=0, calibration=calibration)
    assert why_undecided(result, calibration) == reason
    unlike = with_warnings(result, [CellWarning(UNLIKE, 'Unlike.')])
    assert why_undecided(unlike, calibration) == 'its mean spike is unlike those of all training cells'


def test_where_all_scores_are_zero_nothing_is_known():
    verdict = classify(np.zeros((20, 2, 2)), seed=0)
    assert (verdict.verdict, verdict.p_ser) == ('undecided', 0.5)


@pytest.mark.parametrize(('ser', 'verdict'), [(0.95, 'SER'), (0.05, 'NSER'), (0.5, 'undecided')])
def test_verdict_names_the_class_of_a_clear_cell(ser, verdict):
    assert classify(draw_scores(200, ser), seed=0).verdict == verdict


def test_cell_exactly_in_the_middle_is_undecided():
    assert classify(np.full((5, 2, 2), 0.3), seed=0).verdict == 'undecided'


def test_cell_that_no_member_scores_at_all_has_a_finite_probability():
    verdict = classify(np.zeros((5, 2, 2)), seed=0)
    assert np.isfinite([verdict.p_ser, verdict.p_ser_low, verdict.p_ser_high]).all()


def test_same_seed_gives_the_same_verdict():
    scores = draw_scores(20, 0.6)
    assert verdict_of(scores, seed=4) == verdict_of(scores, seed=4)


def test_another_seed_gives_another_interval_of_about_the_same_width():
    scores = draw_scores(20, 0.6)
    first, second = classify(scores, seed=4), classify(scores, seed=5)
    assert first.p_ser == second.p_ser
    assert first.p_ser_low != second.p_ser_low
    assert first.p_ser_high - first.p_ser_low == pytest.approx(second.p_ser_high - second.p_ser_low, rel=0.2)


def test_result_holds_the_cell_and_its_mean_spike():
    scores, waveform = draw_scores(2, 0.9), np.stack([np.zeros(160), np.arange(160)]).astype(np.float32)
    result = classify_cell(scores, waveform, AS_PUBLISHED, 'B#1', label=1)
    assert (result.cell, result.label, result.n_spikes) == ('B#1', 1, 2)
    np.testing.assert_array_equal(result.mean_waveform, np.arange(160) / 2)


def test_spike_p_ser_is_the_share_of_ser_in_the_members_mean_scores():
    scores = np.array([[[0.9, 0.1], [0.5, 0.5]], [[0.2, 0.4], [0.0, 0.4]]])
    np.testing.assert_allclose(spike_p_ser(scores), [0.7, 0.2])


def test_probability_is_calibrated_and_the_published_consensus_stands_beside_it():
    scores = draw_scores(200, 0.8)
    verdict = classify(scores, seed=0, calibration=Calibration('temperature', temperature=2.0))
    assert verdict.p_ser_published == consensus(scores) == classify(scores, seed=0).p_ser
    odds = verdict.p_ser_published / (1 - verdict.p_ser_published)
    assert verdict.p_ser / (1 - verdict.p_ser) == pytest.approx(odds**0.5)
    assert verdict.p_ser_low < verdict.p_ser < verdict.p_ser_high < verdict.p_ser_published


@pytest.mark.parametrize('calibration', [AS_PUBLISHED, Calibration('temperature', temperature=3.0)])
def test_interval_narrows_from_one_spike_to_many(calibration):
    scores = draw_scores(400, 0.8)
    results = [classify(scores[:spikes], seed=0, calibration=calibration) for spikes in (1, 4, 20, 400)]
    widths = [verdict.p_ser_high - verdict.p_ser_low for verdict in results]
    assert widths[0] == 1
    assert widths == sorted(widths, reverse=True)


def test_interval_of_five_spikes_is_as_wide_as_cells_of_five_spikes_differ():
    rng = np.random.default_rng(3)
    ser = rng.normal(0.6, 0.05, (400, 5, 1))
    results = [classify(np.stack([of_cell, 1 - of_cell], axis=-1), seed) for seed, of_cell in enumerate(ser)]
    spread = np.std([verdict.p_ser for verdict in results])
    widths = np.array([verdict.p_ser_high - verdict.p_ser_low for verdict in results])
    # Resamples of five spikes instead of four would give 0.82 of it.
    assert widths.mean() > 0.9 * 3.92 * spread


@pytest.mark.parametrize(
    ('confidence', 'verdict'), [(0.5, 'SER'), (0.75, 'SER'), (0.85, 'undecided'), (1, 'undecided')]
)
def test_below_the_confidence_a_cell_is_undecided(confidence, verdict):
    scores = np.full((50, 2, 2), [0.8, 0.2])
    assert classify(scores, seed=0, calibration=Calibration(confidence=confidence)).verdict == verdict


def test_confidence_holds_for_both_classes():
    scores = np.full((50, 2, 2), [0.2, 0.8])
    assert classify(scores, seed=0, calibration=Calibration(confidence=0.75)).verdict == 'NSER'
    assert classify(scores, seed=0, calibration=Calibration(confidence=0.85)).verdict == 'undecided'


def test_rule_names_the_confidence_if_there_is_one():
    assert 'fewer than 5 spikes' in undecided_rule(AS_PUBLISHED)
    assert 'at least' not in undecided_rule(AS_PUBLISHED)
    chosen = Calibration(confidence=0.873, target_error=0.03)
    assert undecided_rule(chosen).endswith('a probability of at least 0.87')
    assert undecided_rule(Calibration(target_error=0.03)).endswith('contains one half')


def test_rule_says_that_the_validation_cells_were_too_few_to_choose_a_confidence():
    assert '8 calibrating cells were too few' in undecided_rule(Calibration('temperature', cells=8))
    assert 'the calibrating cells were too few' in undecided_rule(AS_PUBLISHED)
