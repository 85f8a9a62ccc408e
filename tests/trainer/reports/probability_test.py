import math

import pytest

from tests.support.classified_cells import make_cell
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.cell_warnings import CellWarning
from trainer.evaluation.results import CellResult
from trainer.evaluation.verdicts import is_close_to_undecided
from trainer.reports.probability import probability_words
from trainer.reports.terminal import training_range_line, verdict_line

SIX_CELLS = Calibration('temperature', cells=6, least_p=1 / 8)
MANY_CELLS = Calibration('isotonic', cells=150, knots=((0.1, 0.012), (0.9, 0.988)), confidence=0.9)
NOT_CALIBRATED = Calibration()


def make_result(p_ser: float, low: float, high: float, verdict: str = 'SER') -> CellResult:
    return make_cell('A#1', 'A#1.abf', p_ser=p_ser, p_ser_low=low, p_ser_high=high, verdict=verdict).result


@pytest.mark.parametrize(
    ('p_ser', 'low', 'high', 'calibration', 'value', 'interval', 'limit'),
    [
        (0.8742, 0.8731, 0.8745, SIX_CELLS, 'at most 0.875', '', 'limited by 6 calibrating cells'),
        (0.8742, 0.8, 0.8745, SIX_CELLS, 'at most 0.875', '0.80 or more', 'limited by 6 calibrating cells'),
        (0.126, 0.1255, 0.127, SIX_CELLS, 'at least 0.125', '', 'limited by 6 calibrating cells'),
        (0.126, 0.1255, 0.3, SIX_CELLS, 'at least 0.125', '0.30 or less', 'limited by 6 calibrating cells'),
        (0.85, 0.7, 0.8745, SIX_CELLS, '0.85', '0.70 to at most 0.875', ''),
        (0.8742, 0.0, 1.0, SIX_CELLS, 'at most 0.875', '0.00 or more', 'limited by 6 calibrating cells'),
        (0.988, 0.988, 0.988, MANY_CELLS, 'at most 0.988', '', 'limited by 150 calibrating cells'),
        (0.98, 0.97, 0.982, MANY_CELLS, '0.98', '0.97 to 0.98', ''),
        (1.0, 1.0, 1.0, NOT_CALIBRATED, '1.00', '1.00 to 1.00', ''),
        (math.nan, math.nan, math.nan, SIX_CELLS, '–', '– to –', ''),
    ],
)
def test_a_probability_claims_no_more_than_its_calibration_can_tell(
    p_ser, low, high, calibration, value, interval, limit
):
    words = probability_words(make_result(p_ser, low, high), calibration)
    assert (words.value, words.interval, words.limit) == (value, interval, limit)


@pytest.mark.parametrize(
    ('p_ser', 'low', 'high', 'verdict', 'calibration', 'is_close'),
    [
        (0.7, 0.53, 0.8, 'SER', SIX_CELLS, True),
        (0.7, 0.56, 0.8, 'SER', SIX_CELLS, False),
        (0.3, 0.2, 0.47, 'NSER', SIX_CELLS, True),
        (0.3, 0.2, 0.44, 'NSER', SIX_CELLS, False),
        (0.55, 0.45, 0.6, 'undecided', SIX_CELLS, False),
        (0.91, 0.88, 0.93, 'SER', MANY_CELLS, True),
        (0.95, 0.88, 0.96, 'SER', MANY_CELLS, False),
        (0.09, 0.05, 0.1, 'NSER', MANY_CELLS, True),
        # No cell can be further from the confidence than one at the limit.
        (0.9598, 0.95, 0.96, 'SER', Calibration('temperature', cells=23, least_p=0.04, confidence=0.955), False),
    ],
)
def test_a_verdict_is_close_to_undecided_if_a_little_more_doubt_would_undo_it(
    p_ser, low, high, verdict, calibration, is_close
):
    assert is_close_to_undecided(make_result(p_ser, low, high, verdict), calibration) is is_close


def test_the_line_of_a_sure_verdict_and_of_one_near_the_line():
    sure = verdict_line(make_result(0.8742, 0.8731, 0.8745), SIX_CELLS)
    assert sure == 'A#1            SER       p(SER) at most 0.875: limited by 6 calibrating cells     7 spikes'
    near = verdict_line(make_result(0.65, 0.52, 0.74), SIX_CELLS)
    assert near == 'A#1            SER       p(SER) 0.65 [0.52 to 0.74]     7 spikes  close to undecided'


def test_cells_outside_the_training_range_are_counted_in_a_line():
    cells = [
        make_cell('A#1', 'a', warnings=(CellWarning('noise_high', 'Noise.'), CellWarning('udi_low', 'Narrow.'))).result,
        make_cell('A#2', 'a', warnings=(CellWarning('hum', 'Hum.'),)).result,
    ]
    assert training_range_line(cells) == (
        '2 cells: 1 outside the range of the training cells (1 noise_high, 1 udi_low)'
    )
    assert training_range_line(cells[1:]) == '1 cell: none outside the range of the training cells'
