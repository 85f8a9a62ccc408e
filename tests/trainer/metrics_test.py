import math

import numpy as np
import pytest

from trainer.metrics import binary_metrics, cell_metrics, expected_calibration_error, wilson_interval
from trainer.results import CellResult


def make_cell(p_ser: float, label: int | None, verdict: str = '') -> CellResult:
    return CellResult(
        'S1#001',
        verdict or ('SER' if p_ser > 0.5 else 'NSER'),
        p_ser,
        p_ser,
        p_ser,
        p_ser,
        1,
        math.nan,
        label,
        np.zeros(160),
    )


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
    assert cell_metrics(cells) == cell_metrics(cells[:1])


@pytest.mark.parametrize('cells', [[], [make_cell(0.9, None)]])
def test_without_labels_there_are_no_figures(cells):
    result = cell_metrics(cells)
    assert result['n'] == 0
    assert all(math.isnan(result[name]) for name in ('accuracy', 'accuracy_low', 'auc', 'brier', 'ece', 'coverage'))
