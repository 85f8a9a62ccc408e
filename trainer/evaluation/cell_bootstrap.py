"""Intervals by a bootstrap over cells."""

from __future__ import annotations

import math

import numpy as np

CALIBRATION_BINS = 10

_RESAMPLES = 2000
_INTERVAL = (2.5, 97.5)  # percentiles


def calibration_bins(p_ser: np.ndarray) -> np.ndarray:
    """Returns which of ten equal bins of probability each cell is in: (n,) -> (n,) int."""
    return np.minimum((p_ser * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)


def bootstrap_accuracy(correct: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of the share of cells that are right: (n,) bool -> (low, high), NaN without cells."""
    if not len(correct):
        return math.nan, math.nan
    low, high = np.percentile(_weights(len(correct)) @ correct, _INTERVAL)
    return float(low), float(high)


def bootstrap_difference(correct: np.ndarray, baseline_correct: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of the difference of two accuracies on the same cells; (n,), (n,) bool."""
    # Each cell with itself: that some cells are harder than others does not widen it.
    return bootstrap_accuracy(correct.astype(float) - baseline_correct)


def bootstrap_calibration_error(p_ser: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of the expected calibration error: (n,), (n,) -> (low, high), NaN without cells."""
    if not len(p_ser):
        return math.nan, math.nan
    # The cells of a bin weigh in by what their probabilities and their labels add up to.
    in_bin = calibration_bins(p_ser)[:, np.newaxis] == np.arange(CALIBRATION_BINS)
    gap = (p_ser - (label == 0))[:, np.newaxis] * in_bin
    low, high = np.percentile(np.abs(_weights(len(p_ser)) @ gap).sum(axis=1), _INTERVAL)
    return float(low), float(high)


def _weights(cells: int) -> np.ndarray:
    """Returns how much each cell weighs in each resample: (resamples, cells), rows that add up to 1."""
    rng = np.random.default_rng(0)
    return rng.multinomial(cells, np.full(cells, 1 / cells), _RESAMPLES) / cells
