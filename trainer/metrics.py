"""Accuracy, calibration and intervals, of spikes and of cells. SER is the positive class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from sklearn import metrics as sklearn_metrics

from trainer.results import CellResult

_CALIBRATION_BINS = 10
_Z = 1.959964  # 95 %


def binary_metrics(p_ser: np.ndarray, label: np.ndarray) -> dict:
    """Scores calls of SER at one half and above.

    Parameters
    ----------
    p_ser : (n,) float, probability of SER.
    label : (n,) int, 0 SER or 1 NSER.

    Returns
    -------
    accuracy, sensitivity (of SER), specificity, auc, n, confusion ([[SER as SER, SER as NSER], [NSER as SER, NSER as
    NSER]]); NaN where a class is missing.
    """
    called_nser = p_ser < 0.5
    confusion = np.zeros((2, 2), int)  # scikit-learn's raises where there is nothing to count
    np.add.at(confusion, (label, called_nser.astype(int)), 1)
    ser, nser = confusion.sum(axis=1)
    return {
        'accuracy': _ratio(np.trace(confusion), len(label)),
        'sensitivity': _ratio(confusion[0, 0], ser),
        'specificity': _ratio(confusion[1, 1], nser),
        'auc': float(sklearn_metrics.roc_auc_score(label == 0, p_ser)) if ser and nser else math.nan,
        'n': len(label),
        'confusion': confusion.tolist(),
    }


def cell_metrics(cells: Sequence[CellResult]) -> dict:
    """Scores the cells whose label is known: ``binary_metrics`` with intervals, calibration and coverage.

    ``accuracy`` counts every cell, undecided ones by the side that they lean to; ``decided_accuracy`` counts the
    decided ones and ``coverage`` is their share.
    """
    known = [cell for cell in cells if cell.label is not None]
    p_ser = np.array([cell.p_ser for cell in known])
    label = np.array([cell.label for cell in known], int)
    result = binary_metrics(p_ser, label)
    correct = sum(cell.correct for cell in known)
    decided = [cell for cell in known if cell.verdict != 'undecided']
    result['accuracy_low'], result['accuracy_high'] = wilson_interval(correct, len(known))
    result['brier'] = float(np.mean((p_ser - (label == 0)) ** 2)) if known else math.nan
    result['ece'] = expected_calibration_error(p_ser, label)
    result['coverage'] = _ratio(len(decided), len(known))
    result['decided_accuracy'] = _ratio(sum(cell.correct for cell in decided), len(decided))
    return result


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Returns the 95 % Wilson score interval of a proportion.

    Where all cells are right, a bootstrap over cells gives an interval of no width, as if twenty cells proved
    perfection; this one does not.
    """
    if not trials:
        return math.nan, math.nan
    rate = successes / trials
    centre = (rate + _Z**2 / (2 * trials)) / (1 + _Z**2 / trials)
    half = _Z * math.sqrt(rate * (1 - rate) / trials + _Z**2 / (4 * trials**2)) / (1 + _Z**2 / trials)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def expected_calibration_error(p_ser: np.ndarray, label: np.ndarray) -> float:
    """Returns the mean gap between the probability and the frequency of SER, over ten equal bins of probability."""
    if not len(p_ser):
        return math.nan
    bins = np.minimum((p_ser * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    gaps = [
        np.sum(bins == number) * abs(p_ser[bins == number].mean() - (label[bins == number] == 0).mean())
        for number in np.unique(bins)
    ]
    return float(sum(gaps) / len(p_ser))


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else math.nan
