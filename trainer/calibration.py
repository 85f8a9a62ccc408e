"""Calibration of the cells' probabilities, and the confidence below which a cell is left undecided.

Both are fitted on validation cells, which no member was trained on. The published consensus of a cell is a mean of
network outputs and no probability: it is sure too often, or not often enough.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from beam_pipelines import domain
from trainer.whole_files import write_whole

FILE_NAME = 'calibration.json'
TARGET_ERROR = 0.03

# Where a consensus is exactly 0 or 1, its log-odds would be infinite.
_LEAST_P = 1e-4


class CalibrationError(Exception):
    """A calibration is missing or cannot be fitted; the message is one line for the user."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Turns the published consensus of a cell into a probability, and says when to commit oneself.

    Attributes
    ----------
    method : ``temperature`` (log-odds divided by ``temperature``), ``isotonic`` (a rising curve through ``knots``) or
        ``none``.
    temperature : more than 1 where the consensus is too sure.
    knots : (consensus, probability) pairs, rising; between them the probability is interpolated.
    confidence : a cell whose more probable class has less than this is undecided, 0.5..1.
    target_error : the share of wrong verdicts that the confidence was chosen for.
    cells, wrong, decided : how many validation cells there were; of them, how many were decided at that confidence and
        how many of these wrong, each with a calibration that was fitted on the other cells.
    log_loss : mean log loss of the validation cells, each with a calibration that was fitted on the others, by method.
    """

    method: str = 'none'
    temperature: float = 1.0
    knots: tuple[tuple[float, float], ...] = ()
    confidence: float = 0.5
    target_error: float = math.nan
    cells: int = 0
    wrong: int = 0
    decided: int = 0
    log_loss: dict[str, float] = dataclasses.field(default_factory=dict)

    def apply(self, consensus: np.ndarray) -> np.ndarray:
        """Returns the probability of SER of each consensus, 0..1; any shape."""
        if self.method == 'temperature':
            return 1 / (1 + np.exp(-_log_odds(consensus) / self.temperature))
        if self.method == 'isotonic':
            return np.interp(consensus, *np.transpose(self.knots))
        return np.asarray(consensus)


def fit_calibration(consensus: np.ndarray, label: np.ndarray) -> Calibration:
    """Fits a calibration on validation cells.

    Temperature or isotonic regression: what predicts a cell better, in log loss, when fitted on the other cells. Both
    are fitted on Platt's targets instead of 0 and 1, (n + 1) / (n + 2) of n cells of a class: a few cells that are all
    right do not prove certainty. The confidence is the lowest at which at most ``TARGET_ERROR`` of the decided cells
    are wrong.

    Parameters
    ----------
    consensus : (n,) float, published consensus of each cell.
    label : (n,) int, 0 SER or 1 NSER.

    Raises
    ------
    CalibrationError
        If there are not at least two cells of each class.
    """
    for number, name in enumerate(domain.LABEL_NAMES):
        cells = int(np.sum(label == number))
        if cells < 2:
            raise CalibrationError(f'{cells} validation cells are {name}; calibration takes at least two of each class')
    others = ~np.eye(len(label), dtype=bool)
    left_out = {
        method: np.array(
            [fit(consensus[rest], label[rest]).apply(one) for rest, one in zip(others, consensus, strict=True)]
        )
        for method, fit in _METHODS.items()
    }
    losses = {method: _log_loss(p_ser, label) for method, p_ser in left_out.items()}
    best = min(losses, key=losses.get)
    confidence, decided, wrong = _choose_confidence(left_out[best], label)
    return dataclasses.replace(
        _METHODS[best](consensus, label),
        confidence=confidence,
        target_error=TARGET_ERROR,
        cells=len(label),
        decided=decided,
        wrong=wrong,
        log_loss=losses,
    )


def write(folder: str, calibration: Calibration) -> None:
    """Writes ``calibration.json``."""
    content = json.dumps(dataclasses.asdict(calibration), indent=2, sort_keys=True)
    write_whole(os.path.join(folder, FILE_NAME), content + '\n')


def load(folder: str) -> Calibration:
    """Loads what ``write`` has written.

    Raises
    ------
    CalibrationError
        If it is not there or damaged.
    """
    path = os.path.join(folder, FILE_NAME)
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        return Calibration(**content | {'knots': tuple(map(tuple, content['knots']))})
    except FileNotFoundError:
        raise CalibrationError(f'{path}: no such file; sero-train writes it when a run has ended') from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CalibrationError(f'{path}: {error}') from None


def _fit_temperature(consensus: np.ndarray, label: np.ndarray) -> Calibration:
    target = _platt_targets(label)
    # A regression takes classes and weights: each cell is both, as much as its target says.
    regression = LogisticRegression(C=math.inf, fit_intercept=False).fit(
        np.tile(_log_odds(consensus), 2)[:, np.newaxis],
        np.repeat([1, 0], len(label)),
        np.concatenate([target, 1 - target]),
    )
    slope = float(regression.coef_[0, 0])
    # An ensemble that is mostly wrong on these cells knows nothing; it must not be turned round.
    return Calibration('temperature', temperature=1 / max(slope, 1e-3))


def _fit_isotonic(consensus: np.ndarray, label: np.ndarray) -> Calibration:
    regression = IsotonicRegression(out_of_bounds='clip').fit(consensus, _platt_targets(label))
    return Calibration(
        'isotonic',
        knots=tuple(zip(regression.X_thresholds_.tolist(), regression.y_thresholds_.tolist(), strict=True)),
    )


_METHODS = {'temperature': _fit_temperature, 'isotonic': _fit_isotonic}


def _platt_targets(label: np.ndarray) -> np.ndarray:
    """Returns the probability of SER to fit each cell to. Source: Platt 1999, Probabilistic outputs for SVMs."""
    ser, nser = np.sum(label == 0), np.sum(label == 1)
    return np.where(label == 0, (ser + 1) / (ser + 2), 1 / (nser + 2))


def _choose_confidence(p_ser: np.ndarray, label: np.ndarray) -> tuple[float, int, int]:
    """Returns the lowest confidence at which few enough are wrong; how many are decided there, how many wrong."""
    sureness = np.maximum(p_ser, 1 - p_ser)
    wrong = (p_ser < 0.5) != (label == 1)
    for confidence in (0.5, *np.unique(sureness)):
        decided = sureness >= confidence
        if wrong[decided].mean() <= TARGET_ERROR:
            return float(confidence), int(decided.sum()), int(wrong[decided].sum())
    return 1.0, 0, 0


def _log_loss(p_ser: np.ndarray, label: np.ndarray) -> float:
    likelihood = np.where(label == 0, p_ser, 1 - p_ser)
    return float(-np.log(np.maximum(likelihood, _LEAST_P)).mean())


def _log_odds(consensus: np.ndarray) -> np.ndarray:
    clipped = np.clip(consensus, _LEAST_P, 1 - _LEAST_P)
    return np.log(clipped / (1 - clipped))
