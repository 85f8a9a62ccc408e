"""Chooses the confidence below which a cell is left undecided, so that few verdicts on other cells are wrong.

The rule is conformal risk control. A cell's loss is 1 if its verdict is wrong and 0 if it is right or undecided, so no
loss rises with the confidence. The confidence is the lowest at which (the sum of n losses + 1) / (n + 1) is at most the
promised share. Then at most that share of new cells are expected to get a wrong verdict, whatever the networks and the
distribution of the cells, if the new cells are exchangeable with the n. Source: Angelopoulos et al. 2022, Conformal
risk control, arXiv 2208.02814, theorem 1. Here the sum is divided by the *decided* cells + 1, which is never less: the
share among the verdicts is what a reader takes it for.

Cells of one recording day resemble each other, so the rule holds over days as well: the loss of a day is the share of
its cells whose verdict is wrong. Source of the days as units: Lee, Barber and Willett 2023, Distribution-free inference
with hierarchical data, arXiv 2306.06342.

No rule of this kind promises less than 1 / (n + 1), however right all n are. At that share a single wrong one, which
any other sample may hold, would leave nearly all undecided. So the promise is ``TARGET_ERROR``, or 2 / (n + 1) where n
is small. It depends on n alone, because a promise that is chosen after the losses are seen is none.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

TARGET_ERROR = 0.03

# With fewer, what can be promised is hardly better than a coin. Then no confidence is chosen, and reports say so.
FEWEST_CELLS_TO_CHOOSE = 10


@dataclasses.dataclass(frozen=True)
class ChosenConfidence:
    """A confidence, and what it promises.

    Attributes
    ----------
    confidence : a cell whose more probable class has less than this is undecided, 0.5..1.
    target_error : promised share of wrong verdicts among new cells; NaN if no confidence was chosen.
    day_error : promised share of wrong verdicts among the cells of a new day, averaged over days; NaN if the cells were
        not classified by members that had not seen their days, or no confidence was chosen.
    decided, wrong : how many of the cells are decided at the confidence, and how many of these are wrong.
    """

    confidence: float
    target_error: float
    day_error: float
    decided: int
    wrong: int


def promised_error(count: int) -> float:
    """Returns the share of wrong verdicts that a number of cells, or of days, can promise: see the module."""
    return max(TARGET_ERROR, 2 / (count + 1))


def choose_confidence(p_ser: np.ndarray, label: np.ndarray, day: np.ndarray | None) -> ChosenConfidence:
    """Chooses the lowest confidence that keeps the promise over cells and over days; 1 if none does.

    Parameters
    ----------
    p_ser : (n,) float, probability of SER of each cell, calibrated on other cells.
    label : (n,) int, 0 SER or 1 NSER.
    day : (n,) int, the recording day of each cell; None if the members had seen the days.
    """
    wrong = (p_ser < 0.5) != (label == 1)
    if len(label) < FEWEST_CELLS_TO_CHOOSE:
        return ChosenConfidence(0.5, math.nan, math.nan, len(label), int(wrong.sum()))
    sureness = np.maximum(p_ser, 1 - p_ser)
    target_error = promised_error(len(label))
    day_error = math.nan if day is None else promised_error(len(np.unique(day)))
    for confidence in (0.5, *np.unique(sureness)):
        decided = sureness >= confidence
        lost = wrong & decided
        keeps_over_days = day is None or _risk_over_days(lost, day) <= day_error
        if keeps_over_days and (lost.sum() + 1) / (decided.sum() + 1) <= target_error:
            return ChosenConfidence(float(confidence), target_error, day_error, int(decided.sum()), int(lost.sum()))
    return ChosenConfidence(1.0, target_error, day_error, 0, 0)


def _risk_over_days(lost: np.ndarray, day: np.ndarray) -> float:
    """Bounds the expected loss of a new day, given the (n,) bool losses of the cells of other days."""
    _, day = np.unique(day, return_inverse=True)
    of_days = np.bincount(day, lost) / np.bincount(day)
    return float((of_days.sum() + 1) / (len(of_days) + 1))
