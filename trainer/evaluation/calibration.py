"""Calibration of the cells' probabilities, and the confidence below which a cell is left undecided.

Both are fitted on validation cells, which no member was trained on. The published consensus of a cell is a mean of
network outputs and not a probability: it may be overconfident or underconfident.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from beam_pipelines import domain
from beam_pipelines.storage.atomic_files import write_json
from trainer.errors import CalibrationError

FILE_NAME = 'calibration.json'
TARGET_ERROR = 0.03

# Where a consensus is exactly 0 or 1, its log-odds would be infinite.
_LEAST_CONSENSUS = 1e-4

_LOG_TEMPERATURES = (-math.log(100), math.log(1000))

# Isotonic regression has many more parameters than a temperature, and its steps give different cells the same
# probability. So it needs this many cells, and a log loss per cell that is better by this much.
_FEWEST_CELLS_FOR_ISOTONIC = 100
_LEAST_GAIN = 0.01

# By chance alone, this many cells are all right once in 32 times; fewer say nothing about a confidence.
_FEWEST_CELLS = 5

# With fewer, a confidence that keeps the target error would leave nearly every cell undecided, however right they are.
# Then none is chosen, and reports say so.
_FEWEST_CELLS_TO_CHOOSE = 10


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Turns the published consensus of a cell into a probability, and says how high it must be for a verdict.

    Attributes
    ----------
    method : ``temperature`` (log-odds divided by ``temperature``), ``isotonic`` (a rising curve through ``knots``) or
        ``none``.
    temperature : more than 1 where the consensus is overconfident.
    least_p : the lowest probability that a ``temperature`` gives; the highest is 1 minus this.
    knots : (consensus, probability) pairs, rising; between them the probability is interpolated.
    confidence : a cell whose more probable class has less than this is undecided, 0.5..1.
    target_error : the share of wrong verdicts that the confidence was chosen for; NaN if there were too few cells
        to choose it.
    cells, wrong, decided : how many validation cells there were; of them, how many were decided at that confidence and
        how many of these wrong, each with a calibration that was fitted on the other cells.
    days : of how many recording days these cells are, if each was classified by members that had not seen its day;
        0 if no member had seen the cells.
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
    least_p: float = 0.0
    days: int = 0

    def apply(self, consensus: np.ndarray) -> np.ndarray:
        """Returns the probability of SER of each consensus, 0..1; any shape."""
        if self.method == 'temperature':
            return self.least_p + (1 - 2 * self.least_p) * expit(_log_odds(consensus) / self.temperature)
        if self.method == 'isotonic':
            return np.interp(consensus, *np.transpose(self.knots))
        return np.asarray(consensus)

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest probability of SER that it gives, however sure the networks are."""
        if self.method == 'isotonic':
            return self.knots[0][1], self.knots[-1][1]
        return self.least_p, 1 - self.least_p

    @property
    def has_chosen_confidence(self) -> bool:
        """Whether there were validation cells enough to choose the confidence."""
        return not math.isnan(self.target_error)


def fit_calibration(consensus: np.ndarray, label: np.ndarray) -> Calibration:
    """Fits a calibration on validation cells.

    The method is temperature scaling, or isotonic regression if that predicts a cell better when fitted on the other
    cells. Isotonic regression has many more parameters, so it takes at least a hundred cells and has to be better in
    log loss by more than two standard errors of the difference.

    A few correct cells do not prove certainty. With n cells no probability goes beyond 1 / (n + 2) and
    (n + 1) / (n + 2) (Laplace's rule of succession; isotonic regression is fitted to Platt's targets, which give the
    same within each class). The temperature stays near 1 (the networks' own confidence) unless the cells are evidence
    against it.

    The confidence is the lowest at which at most ``TARGET_ERROR`` of the decided cells are wrong. If no confidence
    achieves that with five or more decided cells, it is 1, and no cell is decided. With fewer than ten cells none is
    chosen: it is 0.5, and there is no target error.

    Parameters
    ----------
    consensus : (n,) float, published consensus of each cell.
    label : (n,) int, 0 SER or 1 NSER.

    Raises
    ------
    CalibrationError
        If there are fewer than two cells of a class, or five in all.
    """
    for number, name in enumerate(domain.LABEL_NAMES):
        cells = int(np.sum(label == number))
        if cells < 2:
            raise CalibrationError(f'validation cells that are {name}: {cells}; calibration takes two or more a class')
    if len(label) < _FEWEST_CELLS:
        raise CalibrationError(f'validation cells: {len(label)}; calibration takes {_FEWEST_CELLS} or more')
    left_out = _fitted_on_the_others(consensus, label)
    losses = {method: _log_losses(p_ser, label) for method, p_ser in left_out.items()}
    gained = losses['temperature'] - losses['isotonic']
    by_chance = 2 * gained.std(ddof=1) / math.sqrt(len(label))
    has_gained = len(label) >= _FEWEST_CELLS_FOR_ISOTONIC and gained.mean() > max(by_chance, _LEAST_GAIN)
    best = 'isotonic' if has_gained else 'temperature'
    can_choose = len(label) >= _FEWEST_CELLS_TO_CHOOSE
    if can_choose:
        confidence, decided, wrong = _choose_confidence(left_out[best], label)
    else:
        confidence, decided, wrong = 0.5, len(label), int(_is_wrong(left_out[best], label).sum())
    return dataclasses.replace(
        _METHODS[best](consensus, label),
        confidence=confidence,
        target_error=TARGET_ERROR if can_choose else math.nan,
        cells=len(label),
        decided=decided,
        wrong=wrong,
        log_loss={method: float(loss.mean()) for method, loss in losses.items()},
    )


def _fitted_on_the_others(consensus: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """Returns by method the probability of each cell, by a calibration that was fitted on the other cells."""
    others = ~np.eye(len(label), dtype=bool)
    return {
        method: np.array(
            [fit(consensus[rest], label[rest]).apply(one) for rest, one in zip(others, consensus, strict=True)]
        )
        for method, fit in _METHODS.items()
    }


def write(folder: str, calibration: Calibration) -> None:
    """Writes ``calibration.json``."""
    content = dataclasses.asdict(calibration)
    if math.isnan(calibration.target_error):
        content['target_error'] = None  # JSON has no NaN
    write_json(os.path.join(folder, FILE_NAME), content)


def remove(folder: str) -> None:
    """Removes ``calibration.json``, if it exists: it is invalid once members are trained further."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(folder, FILE_NAME))


def is_written(folder: str) -> bool:
    """Whether a run's folder holds a calibration."""
    return os.path.exists(os.path.join(folder, FILE_NAME))


def load(folder: str) -> Calibration:
    """Loads ``calibration.json``.

    Raises
    ------
    CalibrationError
        If it is missing or damaged; names the file, the field and its value.
    """
    path = os.path.join(folder, FILE_NAME)
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
    except FileNotFoundError:
        raise CalibrationError(f'{path}: no such file; sero-train writes it when a run has ended') from None
    except (OSError, ValueError) as error:
        raise CalibrationError(f'{path}: {error}') from None
    fields = {field.name for field in dataclasses.fields(Calibration)}
    if isinstance(content, dict):
        content.setdefault('days', 0)  # early versions
    if not isinstance(content, dict) or set(content) != fields:
        raise CalibrationError(f'{path}: is not a calibration; expected the fields {", ".join(sorted(fields))}')
    for name, is_possible in _POSSIBLE.items():
        try:
            possible = is_possible(content[name])
        except (TypeError, ValueError):
            possible = False
        if not possible:
            raise CalibrationError(f'{path}: {name} is {content[name]!r}')
    if content['method'] == 'isotonic' and not content['knots']:
        raise CalibrationError(f'{path}: knots is [], method isotonic needs them')
    if content['target_error'] is None:
        content['target_error'] = math.nan
    return Calibration(**content | {'knots': tuple(map(tuple, content['knots']))})


def _are_knots(knots: list) -> bool:
    """Whether they are pairs in 0..1 that rise."""
    if not knots:
        return knots == []
    consensus, p_ser = np.transpose(np.array(knots, float).reshape(-1, 2))
    return bool(
        (np.diff(consensus) > 0).all()
        and (np.diff(p_ser) >= 0).all()
        and 0 <= min(consensus[0], p_ser[0])
        and max(consensus[-1], p_ser[-1]) <= 1
    )


_POSSIBLE = {
    'method': lambda value: value in ('none', *_METHODS),
    'temperature': lambda value: 0 < value < math.inf,
    'knots': _are_knots,
    'confidence': lambda value: 0.5 <= value <= 1,
    'target_error': lambda value: value is None or 0 <= value <= 1,
    'cells': lambda value: value >= 0,
    'wrong': lambda value: value >= 0,
    'decided': lambda value: value >= 0,
    'days': lambda value: value >= 0,
    'least_p': lambda value: 0 <= value < 0.5,
    'log_loss': lambda value: all(0 <= loss < math.inf for loss in dict(value).values()),
}


def _fit_temperature(consensus: np.ndarray, label: np.ndarray) -> Calibration:
    least_p = _least_p(label)

    def loss(log_temperature: float) -> float:
        fitted = Calibration('temperature', temperature=math.exp(log_temperature), least_p=least_p)
        # The prior: a temperature between 1/7 and 7 in 95 of 100 ensembles.
        return float(_log_losses(fitted.apply(consensus), label).sum() + log_temperature**2 / 2)

    # Never negative: an ensemble that is mostly wrong on these cells knows nothing, and must not be inverted.
    fitted = math.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURES).x)
    return Calibration('temperature', temperature=fitted, least_p=least_p)


def _fit_isotonic(consensus: np.ndarray, label: np.ndarray) -> Calibration:
    from sklearn.isotonic import (
        IsotonicRegression,  # takes a second to import, and applying a calibration does not need it
    )

    regression = IsotonicRegression(out_of_bounds='clip').fit(consensus, _platt_targets(label))
    return Calibration(
        'isotonic',
        knots=tuple(zip(regression.X_thresholds_.tolist(), regression.y_thresholds_.tolist(), strict=True)),
    )


_METHODS: dict[str, Callable[[np.ndarray, np.ndarray], Calibration]] = {
    'temperature': _fit_temperature,
    'isotonic': _fit_isotonic,
}


def _platt_targets(label: np.ndarray) -> np.ndarray:
    """Returns the probability of SER to fit each cell to. Source: Platt 1999, Probabilistic outputs for SVMs."""
    ser, nser = np.sum(label == 0), np.sum(label == 1)
    return np.where(label == 0, (ser + 1) / (ser + 2), 1 / (nser + 2))


def _least_p(label: np.ndarray) -> float:
    return 1 / (len(label) + 2)


def _choose_confidence(p_ser: np.ndarray, label: np.ndarray) -> tuple[float, int, int]:
    """Returns the lowest confidence at which few enough are wrong, how many are decided there, and how many wrong.

    Few enough by count and by their own probabilities. By count alone, the lowest confidence is one at which these
    cells happen to be right, and other cells are wrong a third more often.
    """
    sureness = np.maximum(p_ser, 1 - p_ser)
    wrong = _is_wrong(p_ser, label)
    # The bound on probabilities with few cells must not leave all of them undecided.
    expected_wrong = 1 - sureness - _least_p(label[1:])
    for confidence in (0.5, *np.unique(sureness)):
        decided = sureness >= confidence
        if decided.sum() < _FEWEST_CELLS:
            break
        if max(wrong[decided].mean(), expected_wrong[decided].mean()) <= TARGET_ERROR:
            return float(confidence), int(decided.sum()), int(wrong[decided].sum())
    return 1.0, 0, 0


def _is_wrong(p_ser: np.ndarray, label: np.ndarray) -> np.ndarray:
    return (p_ser < 0.5) != (label == 1)


def _log_losses(p_ser: np.ndarray, label: np.ndarray) -> np.ndarray:
    likelihood = np.where(label == 0, p_ser, 1 - p_ser)
    return -np.log(likelihood)


def _log_odds(consensus: np.ndarray) -> np.ndarray:
    return logit(np.clip(consensus, _LEAST_CONSENSUS, 1 - _LEAST_CONSENSUS))
