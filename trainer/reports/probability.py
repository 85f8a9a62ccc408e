"""Probabilities and verdicts in words that claim no more than the calibration can tell."""

from __future__ import annotations

import dataclasses
import functools

from beam_pipelines.cli.words import counted
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.results import CellResult
from trainer.evaluation.verdicts import is_close_to_undecided, limit_reached, why_undecided
from trainer.reports.page import number

CLOSE_TO_UNDECIDED = 'close to undecided'


@dataclasses.dataclass(frozen=True)
class ProbabilityWords:
    """A cell's probability of SER for a reader.

    Attributes
    ----------
    value : such as ``0.91``, or ``at most 0.875`` where the calibration gives no more.
    interval : such as ``0.80 to 0.97`` or ``0.80 or more``; empty where all of it is at the limit.
    limit : why the value is not higher or lower, such as ``limited by 6 calibrating cells``; empty without a limit.
    """

    value: str
    interval: str
    limit: str


def probability_words(cell: CellResult, calibration: Calibration) -> ProbabilityWords:
    """Writes the probability of a cell and its interval.

    Parameters
    ----------
    cell : its verdict.
    calibration : what calibrated it.
    """
    limit = limit_reached(cell.p_ser, calibration) if calibration.cells else None
    if limit is None:
        ends = (_end(p_ser, calibration) for p_ser in (cell.p_ser_low, cell.p_ser_high))
        return ProbabilityWords(number(cell.p_ser, 2), ' to '.join(ends), '')
    far_end, more = (cell.p_ser_low, 'more') if cell.p_ser > 0.5 else (cell.p_ser_high, 'less')
    interval = '' if limit_reached(far_end, calibration) == limit else f'{number(far_end, 2)} or {more}'
    why = f'limited by {counted(calibration.cells, "calibrating cell")}'
    return ProbabilityWords(_end(cell.p_ser, calibration), interval, why)


def template_words(calibration: Calibration) -> dict:
    """Returns what the templates call on a cell: ``probability_words``, ``is_close`` and ``why_undecided``."""
    return {
        'probability_words': functools.partial(probability_words, calibration=calibration),
        'why_undecided': functools.partial(why_undecided, calibration=calibration),
        'is_close': functools.partial(is_close_to_undecided, calibration=calibration),
    }


def _end(p_ser: float, calibration: Calibration) -> str:
    limit = limit_reached(p_ser, calibration) if calibration.cells else None
    if limit is None:
        return number(p_ser, 2)
    return f'{"at most" if p_ser > 0.5 else "at least"} {limit:.3f}'
