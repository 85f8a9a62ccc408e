import dataclasses
import math

import numpy as np
import pytest

from beam_pipelines.spikes import published_udi
from beam_pipelines.spikes.published_udi import typical_cut_ms
from trainer.evaluation.metrics import (
    binary_metrics,
    bootstrap_calibration_error,
    bootstrap_mean,
    cell_metrics,
    expected_calibration_error,
    wilson_interval,
)
from trainer.evaluation.results import CellResult


def make_cell(p_ser: float, label: int | None, verdict: str = '', **fields) -> CellResult:
    verdict = verdict or ('SER' if p_ser > 0.5 else 'NSER')
    cell = CellResult('S1#001', verdict, p_ser, p_ser, p_ser, p_ser, 1, math.nan, label, np.zeros(160))
    return dataclasses.replace(cell, **fields)


@pytest.fixture
def small_case() -> dict:
    """Four SER of which three are called SER, two NSER of which one is called NSER."""
    return binary_metrics(np.array([0.9, 0.8, 0.6, 0.3, 0.7, 0.1]), np.array([0, 0, 0, 0, 1, 1]))


def test_accuracy(small_case):
    assert small_case['accuracy'] == pytest.approx(4 / 6)


def test_sensitivity_is_of_ser(small_case):
    assert small_case['sensitivity'] == pytest.approx(3 / 4)


def test_specificity_is_of_nser(small_case):
    assert small_case['specificity'] == pytest.approx(1 / 2)


def test_auc_is_the_share_of_pairs_in_the_right_order(small_case):
    # Of 4 x 2 pairs, 0.6 and 0.3 stand below 0.7.
    assert small_case['auc'] == pytest.approx(6 / 8)


def test_confusion_has_truth_in_rows_and_ser_first(small_case):
    assert small_case['confusion'] == [[3, 1], [1, 1]]


def test_number_is_given(small_case):
    assert small_case['n'] == 6


def test_one_half_is_called_ser():
    assert binary_metrics(np.array([0.5]), np.array([0]))['accuracy'] == 1


@pytest.mark.parametrize('label', [0, 1])
def test_auc_of_one_class_is_nan(label):
    assert math.isnan(binary_metrics(np.array([0.2, 0.7]), np.array([label, label]))['auc'])


def test_rate_of_a_class_that_is_missing_is_nan():
    result = binary_metrics(np.array([0.2, 0.7]), np.array([0, 0]))
    assert result['sensitivity'] == pytest.approx(0.5)
    assert math.isnan(result['specificity'])


@pytest.mark.parametrize(
    ('successes', 'trials', 'low', 'high'),
    [
        # Known values of the 95 % Wilson score interval (R: binom::binom.wilson, prop.test without correction).
        (10, 10, 0.7224672, 1.0),
        (0, 10, 0.0, 0.2775328),
        (1, 29, 0.0061129, 0.1717560),
        (81, 263, 0.2552898, 0.3662104),
        (5, 10, 0.2365931, 0.7634069),
    ],
)
def test_wilson_interval_has_the_known_values(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-5)


def test_wilson_interval_of_nothing_is_nan():
    assert all(map(math.isnan, wilson_interval(0, 0)))


def test_calibration_error_of_a_calibrated_predictor_is_zero():
    p_ser = np.repeat([0.25, 0.75], 100)
    label = np.concatenate([np.repeat([0, 1], [25, 75]), np.repeat([0, 1], [75, 25])])
    assert expected_calibration_error(p_ser, label) == pytest.approx(0)


def test_calibration_error_of_a_sure_and_right_predictor_is_zero():
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([0, 1])) == 0


def test_calibration_error_of_a_sure_and_wrong_predictor_is_one():
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([0, 1])) == 1


def test_calibration_error_weighs_bins_by_their_examples():
    # Three examples with a gap of 0.1, one with a gap of 0.4.
    p_ser, label = np.array([0.9, 0.9, 0.9, 0.4]), np.array([0, 0, 0, 1])
    assert expected_calibration_error(p_ser, label) == pytest.approx((3 * 0.1 + 0.4) / 4)


def test_calibration_error_of_nothing_is_nan():
    assert math.isnan(expected_calibration_error(np.array([]), np.array([])))


def test_brier_is_the_mean_squared_gap():
    assert cell_metrics([make_cell(0.8, 0), make_cell(0.4, 1)])['brier'] == pytest.approx((0.04 + 0.16) / 2)


def test_coverage_is_the_share_of_decided_cells():
    cells = [make_cell(0.9, 0), make_cell(0.1, 1), make_cell(0.6, 1, 'undecided'), make_cell(0.8, 0)]
    assert cell_metrics(cells)['coverage'] == pytest.approx(3 / 4)


def test_accuracy_counts_undecided_cells_by_the_side_they_lean_to():
    cells = [make_cell(0.9, 0), make_cell(0.6, 1, 'undecided'), make_cell(0.4, 1, 'undecided')]
    assert cell_metrics(cells)['accuracy'] == pytest.approx(2 / 3)


def test_decided_accuracy_leaves_undecided_cells_out():
    cells = [make_cell(0.9, 0), make_cell(0.8, 1), make_cell(0.6, 1, 'undecided')]
    assert cell_metrics(cells)['decided_accuracy'] == pytest.approx(1 / 2)


def test_decided_accuracy_where_none_is_decided_is_nan():
    assert math.isnan(cell_metrics([make_cell(0.6, 0, 'undecided')])['decided_accuracy'])


def test_accuracy_interval_is_the_wilson_interval_of_the_cells():
    cells = [make_cell(0.9, 0)] * 9 + [make_cell(0.9, 1)]
    result = cell_metrics(cells)
    assert (result['accuracy_low'], result['accuracy_high']) == wilson_interval(9, 10)
    assert result['accuracy_low'] < result['accuracy'] < result['accuracy_high']


def test_cells_of_unknown_label_do_not_count():
    cells = [make_cell(0.9, 0), make_cell(0.2, None)]
    with_unknown, without = cell_metrics(cells), cell_metrics(cells[:1])
    assert all(with_unknown[name] == without[name] for name in ('n', 'accuracy', 'brier', 'ece', 'coverage'))


@pytest.mark.parametrize('cells', [[], [make_cell(0.9, None)]])
def test_without_labels_there_are_no_figures(cells):
    result = cell_metrics(cells)
    assert result['n'] == 0
    assert all(math.isnan(result[name]) for name in ('accuracy', 'accuracy_low', 'auc', 'brier', 'ece', 'coverage'))


def test_published_consensus_stands_beside_the_calibrated_one():
    cells = [make_cell(0.8, 0, p_ser_published=0.4), make_cell(0.3, 1, p_ser_published=0.1, cell='S1#002')]
    result = cell_metrics(cells)
    assert (result['accuracy'], result['accuracy_published'], result['auc_published']) == (1, 0.5, 1)
    assert result['brier_published'] == pytest.approx((0.36 + 0.01) / 2)
    assert result['ece_published'] == pytest.approx((0.6 + 0.1) / 2)
    assert result['p_ser_published'] == {'S1#001': 0.4, 'S1#002': 0.1}


def test_coverage_accuracy_curve_goes_from_the_surest_to_all_cells():
    cells = [make_cell(0.95, 0), make_cell(0.1, 1), make_cell(0.8, 1), make_cell(0.4, 1)]
    expected = [[0.25, 1], [0.5, 1], [0.75, 2 / 3], [1, 0.75]]
    np.testing.assert_allclose(cell_metrics(cells)['coverage_accuracy'], expected)


def test_typical_cells_are_those_that_their_width_alone_would_call_right():
    cells = [
        make_cell(0.9, 0, udi_ms=1.2),
        make_cell(0.9, 0, udi_ms=0.5),
        make_cell(0.2, 0, udi_ms=0.79, verdict='undecided'),
        make_cell(0.1, 1, udi_ms=0.5),
        make_cell(0.1, 1, udi_ms=0.9),
        make_cell(0.1, 1),
    ]
    result = cell_metrics(cells)
    assert result['typical_cut_ms'] == 0.8
    assert (result['typical']['n'], result['typical']['accuracy']) == (2, 1)
    assert (result['atypical']['n'], result['atypical']['accuracy']) == (3, pytest.approx(2 / 3))
    assert (result['atypical']['coverage'], result['atypical']['decided_accuracy']) == (pytest.approx(2 / 3), 1)
    assert result['width_not_measured']['n'] == 1


def test_cut_between_the_published_widths_makes_the_fewest_mistakes():
    widths = {name: published_udi.sample_ms(counts) for name, counts in published_udi.FIGURE_2_COUNTS.items()}
    cuts = np.arange(0, 2, 0.05)
    mistakes = [(widths['SER'] < cut).sum() + (widths['NSER'] >= cut).sum() for cut in cuts]
    assert typical_cut_ms() == pytest.approx(cuts[np.argmin(mistakes)])


def test_bootstrap_over_cells_gives_the_interval_of_the_binomial():
    correct = np.repeat([True, False], [160, 40])
    low, high = bootstrap_mean(correct)
    assert (low, high) == pytest.approx((0.8 - 1.96 * 0.0283, 0.8 + 1.96 * 0.0283), abs=0.01)


def test_bootstrap_interval_contains_the_calibration_error_that_the_cells_were_drawn_with():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(40):
        label = (rng.random(300) >= 0.7).astype(int)
        low, high = bootstrap_calibration_error(np.full(300, 0.85), label)
        assert low <= expected_calibration_error(np.full(300, 0.85), label) <= high
        covered.append(low <= 0.15 <= high)
    assert np.mean(covered) > 0.85


def test_intervals_over_no_cells_are_nan():
    assert all(map(math.isnan, (*bootstrap_mean(np.array([])), *bootstrap_calibration_error(np.array([]), []))))
