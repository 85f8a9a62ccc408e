"""Accuracy, calibration and intervals, of spikes and of cells. SER is the positive class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from sklearn import metrics as sklearn_metrics

from beam_pipelines.spikes.published_udi import is_typical, typical_cut_ms
from trainer.evaluation.cell_bootstrap import (
    bootstrap_accuracy,
    bootstrap_calibration_error,
    bootstrap_difference,
    calibration_bins,
)
from trainer.evaluation.results import CellResult

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
    decided ones and ``coverage`` is their share. ``..._published`` are of the plain published consensus. ``typical``
    and ``atypical`` have the cells apart whose spike width alone would call them right and wrong.
    """
    known = [cell for cell in cells if cell.label is not None]
    p_ser = np.array([cell.p_ser for cell in known])
    published = np.array([cell.p_ser_published for cell in known])
    label = np.array([cell.label for cell in known], int)
    correct = np.array([cell.correct for cell in known], bool)
    result = binary_metrics(p_ser, label)
    decided = [cell for cell in known if cell.verdict != 'undecided']
    result['accuracy_low'], result['accuracy_high'] = wilson_interval(int(correct.sum()), len(known))
    result['accuracy_bootstrap_low'], result['accuracy_bootstrap_high'] = bootstrap_accuracy(correct)
    result['brier'] = brier_score(p_ser, label)
    result['ece'] = expected_calibration_error(p_ser, label)
    result['ece_low'], result['ece_high'] = bootstrap_calibration_error(p_ser, label)
    result['coverage'] = _ratio(len(decided), len(known))
    result['decided_accuracy'] = _ratio(sum(cell.correct for cell in decided), len(decided))
    as_published = binary_metrics(published, label)
    result |= {f'{name}_published': as_published[name] for name in ('accuracy', 'sensitivity', 'specificity', 'auc')}
    result['brier_published'] = brier_score(published, label)
    result['ece_published'] = expected_calibration_error(published, label)
    result['coverage_accuracy'] = coverage_accuracy(p_ser, label)
    result['typical_cut_ms'] = typical_cut_ms()
    result |= _typical_and_atypical(known)
    result['p_ser_published'] = {cell.cell: cell.p_ser_published for cell in cells}
    return result


def accuracy_difference(cells: Sequence[CellResult], baseline: Sequence[CellResult]) -> dict:
    """Returns by how much the accuracy on the labelled cells that both have judged is above the baseline's.

    ``accuracy_difference`` with its 95 % interval by a bootstrap over cells (``_low``, ``_high``), and ``n``.
    """
    of_baseline = {cell.cell: cell.correct for cell in baseline}
    both = [cell for cell in cells if cell.label is not None and of_baseline.get(cell.cell) is not None]
    correct = np.array([cell.correct for cell in both], bool)
    baseline_correct = np.array([of_baseline[cell.cell] for cell in both], bool)
    low, high = bootstrap_difference(correct, baseline_correct)
    return {
        'accuracy_difference': _ratio(int(correct.sum()) - int(baseline_correct.sum()), len(both)),
        'accuracy_difference_low': low,
        'accuracy_difference_high': high,
        'n': len(both),
    }


def brier_score(p_ser: np.ndarray, label: np.ndarray) -> float:
    """Returns the mean squared gap between the probability and what the cell is, 0 or 1; NaN without cells."""
    return float(np.mean((p_ser - (label == 0)) ** 2)) if len(p_ser) else math.nan


def coverage_accuracy(p_ser: np.ndarray, label: np.ndarray) -> list[list[float]]:
    """Returns [share decided, accuracy of these] for each confidence that can be asked for, the strictest first."""
    sureness = np.maximum(p_ser, 1 - p_ser)
    correct = (p_ser < 0.5) == (label == 1)
    curve = []
    for confidence in np.unique(sureness)[::-1]:
        decided = sureness >= confidence
        curve.append([float(decided.mean()), float(correct[decided].mean())])
    return curve


def _typical_and_atypical(cells: Sequence[CellResult]) -> dict:
    """Scores the cells apart whose spike width does and does not look like their class."""
    kinds = {'typical': True, 'atypical': False, 'width_not_measured': None}
    result = {}
    for name, kind in kinds.items():
        of_kind = [cell for cell in cells if is_typical(cell.udi_ms, cell.label) is kind]
        decided = [cell for cell in of_kind if cell.verdict != 'undecided']
        low, high = wilson_interval(sum(cell.correct for cell in of_kind), len(of_kind))
        result[name] = {
            'n': len(of_kind),
            'accuracy': _ratio(sum(cell.correct for cell in of_kind), len(of_kind)),
            'accuracy_low': low,
            'accuracy_high': high,
            'coverage': _ratio(len(decided), len(of_kind)),
            'decided_accuracy': _ratio(sum(cell.correct for cell in decided), len(decided)),
        }
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
    bins = calibration_bins(p_ser)
    gaps = [
        np.sum(bins == number) * abs(p_ser[bins == number].mean() - (label[bins == number] == 0).mean())
        for number in np.unique(bins)
    ]
    return float(sum(gaps) / len(p_ser))


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else math.nan
