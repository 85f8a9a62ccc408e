import dataclasses
import json
import math

import numpy as np
import pytest

from trainer.errors import CalibrationError
from trainer.evaluation import calibration
from trainer.evaluation.calibration import Calibration, fit_calibration
from trainer.evaluation.error_control import promised_error
from trainer.evaluation.metrics import expected_calibration_error

EXAMPLE = Calibration('isotonic', 1.0, ((0.1, 0.2), (0.8, 0.9)), 0.7, 0.03, 20, 1, 18, {'isotonic': 0.2})


def draw_cells(count: int, sureness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns the consensus and the label of cells, with ``sureness`` times the log-odds that would be true."""
    rng = np.random.default_rng(seed)
    true_log_odds = rng.normal(0, 2.5, count) + rng.choice([-2.5, 2.5], count)
    label = (rng.random(count) >= 1 / (1 + np.exp(-true_log_odds))).astype(int)
    return 1 / (1 + np.exp(-sureness * true_log_odds)), label


def error_of(folder) -> str:
    with pytest.raises(CalibrationError) as raised:
        calibration.load(str(folder))
    assert '\n' not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize('sureness', [0.5, 1, 3])
def test_temperature_is_how_much_too_sure_the_ensemble_is(sureness):
    fitted = fit_calibration(*draw_cells(200, sureness))
    assert fitted.method == 'temperature'
    assert fitted.temperature == pytest.approx(sureness, rel=0.25)


def test_calibrated_probabilities_of_other_cells_come_true():
    fitted = fit_calibration(*draw_cells(300, sureness=3))
    consensus, label = draw_cells(3000, sureness=3, seed=1)
    assert expected_calibration_error(consensus, label) > 0.08
    assert expected_calibration_error(fitted.apply(consensus), label) < 0.04


def test_isotonic_is_taken_where_no_temperature_fits():
    rng = np.random.default_rng(0)
    consensus = rng.random(400)
    # SER wins from 0.2 on, not from one half on.
    label = np.where(rng.random(400) < 0.95, consensus < 0.2, consensus >= 0.2).astype(int)
    fitted = fit_calibration(consensus, label)
    assert fitted.method == 'isotonic'
    assert fitted.log_loss['isotonic'] < fitted.log_loss['temperature']
    assert fitted.apply(np.array([0.05, 0.35, 0.9])) == pytest.approx([0.05, 0.95, 0.95], abs=0.06)


def test_isotonic_does_not_win_by_chance():
    methods = [fit_calibration(*draw_cells(100, sureness=1, seed=seed)).method for seed in range(10)]
    assert methods.count('temperature') >= 9


def test_few_cells_leave_the_temperature_near_what_the_networks_say():
    temperatures = [fit_calibration(*draw_cells(12, sureness=1, seed=seed)).temperature for seed in range(8)]
    assert np.abs(np.log(temperatures)).max() < math.log(2.5)


def test_cells_that_differ_keep_different_probabilities():
    consensus, label = draw_cells(24, sureness=1)
    p_ser = fit_calibration(consensus, label).apply(np.linspace(0.001, 0.999, 50))
    assert np.all(np.diff(p_ser) > 0)


@pytest.mark.parametrize('cells', [3, 12])
def test_few_cells_that_are_all_right_do_not_give_certainty(cells):
    label = np.repeat([0, 1], cells)
    fitted = fit_calibration(np.where(label == 0, 0.9999, 0.0001), label)
    # Of n cells that are all right: (n + 1) / (n + 2).
    least_p = 1 / (2 * cells + 2)
    assert fitted.apply(np.array([0.9999, 0.0001])) == pytest.approx([1 - least_p, least_p], abs=2e-3)


def test_no_probability_is_0_or_1():
    label = np.repeat([0, 1], 50)
    fitted = fit_calibration(np.where(label == 0, 0.51, 0.49), label)
    assert fitted.temperature < 0.1
    assert 0 < fitted.apply(np.array([0.0]))[0] < 0.01
    assert 0.99 < fitted.apply(np.array([1.0]))[0] < 1


def test_an_ensemble_that_is_mostly_wrong_is_not_turned_round_and_decides_nothing():
    consensus, label = draw_cells(100, sureness=1)
    fitted = fit_calibration(consensus, 1 - label)
    p_ser = fitted.apply(consensus)
    assert np.all((p_ser >= 0.5) == (consensus >= 0.5)) or np.ptp(p_ser) < 0.2
    assert np.abs(p_ser - 0.5).max() < 0.1
    assert (fitted.confidence, fitted.decided) == (1, 0)


def test_an_ensemble_at_chance_decides_nothing_because_its_surest_cells_happen_to_be_right():
    rng = np.random.default_rng(0)
    decided = [fit_calibration(rng.random(24), np.repeat([0, 1], 12)).decided for _ in range(40)]
    assert np.mean(np.array(decided) > 0) < 0.2


@pytest.mark.parametrize('cells', [24, 100])
def test_promise_is_kept_on_other_cells(cells):
    wrong, decided = np.empty((2, 20, 1000), bool)
    for seed in range(20):
        fitted = fit_calibration(*draw_cells(cells, sureness=2, seed=seed))
        consensus, label = draw_cells(1000, sureness=2, seed=100 + seed)
        p_ser = fitted.apply(consensus)
        decided[seed] = np.maximum(p_ser, 1 - p_ser) >= fitted.confidence
        wrong[seed] = (p_ser < 0.5) != (label == 1)
    assert wrong.mean() > 1.1 * promised_error(cells)
    assert wrong[decided].sum() / wrong.size < fitted.target_error == promised_error(cells)
    # What is promised is a share of all cells; that of the decided is near it.
    assert wrong[decided].mean() < 1.2 * fitted.target_error
    assert decided.mean() > 0.3


def test_confidence_is_no_higher_than_it_must_be():
    label = np.repeat([0, 1], 10)
    consensus = np.where(label == 0, 0.9, 0.1)
    assert fit_calibration(consensus, label).confidence == 0.5
    consensus[:2] = 0.4  # wrong, and less sure than the others; 2 of 20 are more than 2 / 21
    fitted = fit_calibration(consensus, label)
    p_wrong, p_right = fitted.apply(np.array([0.4, 0.9]))
    assert 1 - p_wrong < fitted.confidence < p_right + 0.02
    assert (fitted.cells, fitted.decided, fitted.wrong) == (20, 18, 0)


@pytest.mark.parametrize(('cells', 'is_chosen'), [(9, False), (10, True)])
def test_confidence_is_chosen_on_ten_cells_or_more(cells, is_chosen, tmp_path):
    label = np.arange(cells) % 2
    consensus = np.where(label == 0, 0.9, 0.1)
    consensus[:2] = 0.45, 0.55  # both wrong
    fitted = fit_calibration(consensus, label)
    assert fitted.method == 'temperature'
    assert fitted.has_chosen_confidence == is_chosen
    calibration.write(str(tmp_path), fitted)
    written = json.loads((tmp_path / 'calibration.json').read_text())
    if is_chosen:
        assert written['confidence'] > 0.5
        assert written['target_error'] == 2 / 11
    else:
        assert (written['confidence'], written['target_error']) == (0.5, None)
        assert (written['cells'], written['decided'], written['wrong']) == (9, 9, 2)


@pytest.mark.parametrize(
    ('label', 'message'),
    [
        ([0, 0, 0, 0, 1], 'validation cells that are NSER: 1; calibration takes two or more a class'),
        ([1, 1, 1, 1, 1], 'validation cells that are SER: 0; calibration takes two or more a class'),
        ([0, 0, 1, 1], 'validation cells: 4; calibration takes 5 or more'),
    ],
)
def test_too_few_cells_are_counted(label, message):
    with pytest.raises(CalibrationError, match=message):
        fit_calibration(np.full(len(label), 0.5), np.array(label))


@pytest.mark.parametrize('content', [Calibration(), EXAMPLE, dataclasses.replace(EXAMPLE, method='temperature')])
def test_round_trip(content, tmp_path):
    calibration.write(str(tmp_path), content)
    json.loads((tmp_path / 'calibration.json').read_text(), parse_constant=pytest.fail)
    loaded = calibration.load(str(tmp_path))
    assert repr(loaded) == repr(content)  # NaN is not equal to itself
    consensus = np.linspace(0, 1, 7)
    np.testing.assert_array_equal(loaded.apply(consensus), content.apply(consensus))


def test_what_is_missing_is_named_with_the_command_that_makes_it(tmp_path):
    assert error_of(tmp_path) == f'{tmp_path}/calibration.json: no such file; sero-train writes it when a run has ended'


@pytest.mark.parametrize('text', ['', '{', 'null', '[]', '{}', '{"method": "none"}', '\x00'])
def test_file_that_is_no_calibration_is_named(text, tmp_path):
    (tmp_path / 'calibration.json').write_text(text)
    assert error_of(tmp_path).startswith(f'{tmp_path}/calibration.json: ')


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('method', 'platt'),
        ('temperature', 0),
        ('temperature', 'warm'),
        ('temperature', math.inf),
        ('knots', [[0.1, 0.2], [0.1, 0.3]]),
        ('knots', [[0.1, 0.9], [0.2, 0.3]]),
        ('knots', [[0.1, 0.9], [0.2]]),
        ('knots', [[0.1, 1.9]]),
        ('knots', []),
        ('confidence', 0.4),
        ('confidence', None),
        ('target_error', 3),
        ('cells', -1),
        ('log_loss', 2),
    ],
)
def test_value_that_cannot_be_is_named(field, value, tmp_path):
    path = tmp_path / 'calibration.json'
    calibration.write(str(tmp_path), EXAMPLE)
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    message = error_of(tmp_path)
    assert message.startswith(f'{path}: ') and field in message


@pytest.mark.parametrize(
    'change',
    [
        {'knots': [[0.5, math.nan]]},
        {'knots': [[0.1, 0.2], [math.nan, 0.3], [0.9, 0.4]]},
        {'knots': [[[0.1], 0.2], [0.8, 0.9]]},
        {'knots': [[0.1, '0.2'], [0.8, 0.9]]},
        {'knots': [0.1, 0.2]},
        {'temperature': 1e-320},
        {'temperature': True},
        {'temperature': [1.0]},
        {'least_p': 'a'},
        {'log_loss': [['a', 1.0]]},
        {'cells': 1.5},
    ],
)
def test_no_value_breaks_the_probabilities_that_it_gives(change, tmp_path):
    path = tmp_path / 'calibration.json'
    calibration.write(str(tmp_path), EXAMPLE)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert error_of(tmp_path).startswith(f'{path}: ')


@pytest.mark.parametrize('field', ['temperature', 'cells', 'confidence'])
def test_a_number_that_no_float_can_hold_is_refused(field, tmp_path):
    path = tmp_path / 'calibration.json'
    calibration.write(str(tmp_path), EXAMPLE)
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: 10**400}))
    assert error_of(tmp_path).startswith(f'{path}: ')
