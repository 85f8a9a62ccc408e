"""Accuracy, calibration and intervals, of spikes and of cells. SER is the positive class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from beam_pipelines.spikes.published_udi import is_typical, typical_cut_ms
from trainer.evaluation.results import CellResult

CALIBRATION_BINS = 10

_RESAMPLES = 2000
_INTERVAL = (2.5, 97.5)  # percentiles


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
        'auc': _auc(p_ser, label) if ser and nser else math.nan,
        'n': len(label),
        'confusion': confusion.tolist(),
    }


def cell_metrics(cells: Sequence[CellResult]) -> dict:
    """Scores the cells whose label is known: ``binary_metrics`` with intervals, calibration and coverage.

    ``accuracy`` counts every cell, undecided ones by their more probable class. ``decided_accuracy`` counts the
    decided ones, and ``coverage`` is their share. ``..._published`` are metrics of the published consensus.
    ``typical`` and ``atypical`` are metrics of the cells that spike width alone would classify right and wrong.
    """
    known = [cell for cell in cells if cell.label is not None]
    p_ser = np.array([cell.p_ser for cell in known])
    published = np.array([cell.p_ser_published for cell in known])
    label = np.array([cell.label for cell in known], int)
    correct = np.array([cell.correct for cell in known], bool)
    result = binary_metrics(p_ser, label)
    decided = [cell for cell in known if cell.verdict != 'undecided']
    result['accuracy_low'], result['accuracy_high'] = wilson_interval(int(correct.sum()), len(known))
    result['accuracy_bootstrap_low'], result['accuracy_bootstrap_high'] = bootstrap_mean(correct)
    result['brier'] = brier_score(p_ser, label)
    result['ece'] = expected_calibration_error(p_ser, label)
    result['ece_low'], result['ece_high'] = bootstrap_calibration_error(p_ser, label)
    result['coverage'] = _ratio(len(decided), len(known))
    result['decided_accuracy'] = _ratio(_correct(decided), len(decided))
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
    """Returns how far the accuracy is above the baseline's, on the labelled cells that both have classified.

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
    """Returns the mean squared difference between the probability of SER and the truth, 0 or 1; NaN without cells."""
    if not len(p_ser):
        return math.nan
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(label == 0, p_ser))


def coverage_accuracy(p_ser: np.ndarray, label: np.ndarray) -> list[list[float]]:
    """Returns [share decided, accuracy of these] for each possible confidence, the strictest first."""
    sureness = np.maximum(p_ser, 1 - p_ser)
    correct = (p_ser < 0.5) == (label == 1)
    curve = []
    for confidence in np.unique(sureness)[::-1]:
        decided = sureness >= confidence
        curve.append([float(decided.mean()), float(correct[decided].mean())])
    return curve


def _typical_and_atypical(cells: Sequence[CellResult]) -> dict:
    """Scores cells whose spike width is typical of their class, and those whose width is not, separately."""
    kinds = {'typical': True, 'atypical': False, 'width_not_measured': None}
    result = {}
    for name, kind in kinds.items():
        of_kind = [cell for cell in cells if cell.label is not None and is_typical(cell.udi_ms, cell.label) is kind]
        decided = [cell for cell in of_kind if cell.verdict != 'undecided']
        low, high = wilson_interval(_correct(of_kind), len(of_kind))
        result[name] = {
            'n': len(of_kind),
            'accuracy': _ratio(_correct(of_kind), len(of_kind)),
            'accuracy_low': low,
            'accuracy_high': high,
            'coverage': _ratio(len(decided), len(of_kind)),
            'decided_accuracy': _ratio(_correct(decided), len(decided)),
        }
    return result


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Returns the 95 % Wilson score interval of a proportion.

    Unlike a bootstrap over cells, it has a width where all cells are right.
    """
    if not trials:
        return math.nan, math.nan
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(0.95, method='wilson')
    return float(interval.low), float(interval.high)


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


def calibration_bins(p_ser: np.ndarray) -> np.ndarray:
    """Returns which of ten equal bins of probability each cell is in: (n,) -> (n,) int."""
    return np.minimum((p_ser * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)


def bootstrap_mean(correct: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of the share of cells that are right: (n,) bool -> (low, high), NaN without cells."""
    if not len(correct):
        return math.nan, math.nan
    low, high = np.percentile(_weights(len(correct)) @ correct, _INTERVAL)
    return float(low), float(high)


def bootstrap_difference(correct: np.ndarray, baseline_correct: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of the difference of two accuracies on the same cells; (n,), (n,) bool."""
    # Paired by cell: differences in difficulty between cells do not widen the interval.
    return bootstrap_mean(correct.astype(float) - baseline_correct)


def bootstrap_calibration_error(p_ser: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of the expected calibration error: (n,), (n,) -> (low, high), NaN without cells."""
    if not len(p_ser):
        return math.nan, math.nan
    # The gap of a bin is the sum over its cells of probability minus label.
    in_bin = calibration_bins(p_ser)[:, np.newaxis] == np.arange(CALIBRATION_BINS)
    gap = (p_ser - (label == 0))[:, np.newaxis] * in_bin
    low, high = np.percentile(np.abs(_weights(len(p_ser)) @ gap).sum(axis=1), _INTERVAL)
    return float(low), float(high)


def _weights(cells: int) -> np.ndarray:
    """Returns the weight of each cell in each resample: (resamples, cells), rows that add up to 1."""
    rng = np.random.default_rng(0)
    return rng.multinomial(cells, np.full(cells, 1 / cells), _RESAMPLES) / cells


def _auc(p_ser: np.ndarray, label: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score  # takes a second to import, and sero-classify does not need it

    return float(roc_auc_score(label == 0, p_ser))


def _correct(cells: Sequence[CellResult]) -> int:
    """Returns how many cells the call without abstention gets right."""
    return sum(bool(cell.correct) for cell in cells)


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else math.nan
