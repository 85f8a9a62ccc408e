"""Calibration of the cells' probabilities, and the confidence below which a cell is left undecided.

Both are fitted on validation cells, which no member was trained on. The published consensus of a cell is a mean of
network outputs and not a probability: it may be overconfident or underconfident.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.special import expit, logit

from beam_pipelines import domain
from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import write_json
from beam_pipelines.storage.typed_json import check_content, parse_json
from trainer.errors import CalibrationError
from trainer.evaluation.error_control import choose_confidence

FILE_NAME = 'calibration.json'

# Where a consensus is exactly 0 or 1, its log-odds would be infinite.
_LEAST_CONSENSUS = 1e-4

_LEAST_TEMPERATURE = 1e-6  # fitted ones are from 0.01 on

# Fields that are NaN where nothing is promised.
_PROMISES = ('target_error', 'day_error')

_LOG_TEMPERATURES = (-math.log(100), math.log(1000))

# Isotonic regression has many more parameters than a temperature, and its steps give different cells the same
# probability. So it needs this many cells, and a log loss per cell that is better by this much.
_FEWEST_CELLS_FOR_ISOTONIC = 100
_LEAST_GAIN = 0.01

# By chance alone, this many cells are all right once in 32 times; fewer say nothing about a temperature.
_FEWEST_CELLS = 5


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
    target_error : the promised share of wrong verdicts among new cells; NaN if there were too few cells to choose a
        confidence. See ``error_control``.
    day_error : the promised share of wrong verdicts on a new day, averaged over days; NaN where ``days`` is 0 or no
        confidence was chosen.
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
    day_error: float = math.nan

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


def fit_calibration(consensus: np.ndarray, label: np.ndarray, day: np.ndarray | None = None) -> Calibration:
    """Fits a calibration on validation cells.

    The method is temperature scaling, or isotonic regression if that predicts a cell better when fitted on the other
    cells. Isotonic regression has many more parameters, so it takes at least a hundred cells and has to be better in
    log loss by more than two standard errors of the difference.

    A few correct cells do not prove certainty. With n cells no probability goes beyond 1 / (n + 2) and
    (n + 1) / (n + 2) (Laplace's rule of succession; isotonic regression is fitted to Platt's targets, which give the
    same within each class). The temperature stays near 1 (the networks' own confidence) unless the cells are evidence
    against it.

    The confidence is chosen by ``error_control.choose_confidence``, with each cell's probability by a calibration that
    was fitted on the other cells, or on those of the other days.

    Parameters
    ----------
    consensus : (n,) float, published consensus of each cell.
    label : (n,) int, 0 SER or 1 NSER.
    day : (n,) int, the recording day of each cell, if its consensus is by members that had not seen the day.

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
    left_out = _fitted_on_the_others(consensus, label, np.arange(len(label)) if day is None else day)
    losses = {method: log_losses(p_ser, label) for method, p_ser in left_out.items()}
    gained = losses['temperature'] - losses['isotonic']
    by_chance = 2 * gained.std(ddof=1) / math.sqrt(len(label))
    has_gained = len(label) >= _FEWEST_CELLS_FOR_ISOTONIC and gained.mean() > max(by_chance, _LEAST_GAIN)
    best = 'isotonic' if has_gained else 'temperature'
    chosen = choose_confidence(left_out[best], label, day)
    return dataclasses.replace(
        _METHODS[best](consensus, label),
        **dataclasses.asdict(chosen),
        cells=len(label),
        days=0 if day is None else len(np.unique(day)),
        log_loss={method: float(loss.mean()) for method, loss in losses.items()},
    )


def _fitted_on_the_others(consensus: np.ndarray, label: np.ndarray, group: np.ndarray) -> dict[str, np.ndarray]:
    """Returns by method the probability of each cell, by a calibration that was fitted without the cell's group."""
    left_out = {method: np.empty(len(label)) for method in _METHODS}
    for number in np.unique(group):
        of_group = group == number
        for method, fit in _METHODS.items():
            fitted = fit(consensus[~of_group], label[~of_group])
            left_out[method][of_group] = fitted.apply(consensus[of_group])
    return left_out


def write(folder: str, calibration: Calibration) -> None:
    """Writes ``calibration.json``."""
    content = dataclasses.asdict(calibration)
    for name in _PROMISES:
        if math.isnan(content[name]):
            content[name] = None  # JSON has no NaN
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
        If it is missing or damaged; names the file and the field.
    """
    path = os.path.join(folder, FILE_NAME)
    try:
        found = parse_json(path)
    except FileNotFoundError:
        raise CalibrationError(f'{path}: no such file; sero-train writes it when a run has ended') from None
    except UserError as error:
        raise CalibrationError(str(error)) from None
    of_early_versions = {'days': 0, 'day_error': None}  # which had neither
    content: dict = of_early_versions | (found if isinstance(found, dict) else {})
    fields = {field.name for field in dataclasses.fields(Calibration)}
    if set(content) != fields:
        raise CalibrationError(f'{path}: is not a calibration; expected the fields {", ".join(sorted(fields))}')
    content |= {name: math.nan for name in _PROMISES if content[name] is None}
    try:
        loaded = check_content(content, Calibration, path)
    except UserError as error:
        raise CalibrationError(str(error)) from None
    for problem in _problems(loaded):
        raise CalibrationError(f'{path}: {problem}')
    return loaded


def _problems(loaded: Calibration) -> Iterator[str]:
    """Yields what cannot be so, although each field has its type."""
    for name, is_possible in _POSSIBLE.items():
        if not is_possible(value := getattr(loaded, name)):
            yield f'{name} is {value!r}'
    if loaded.method == 'isotonic' and not loaded.knots:
        yield 'knots is (), method isotonic needs them'


def _are_knots(knots: tuple[tuple[float, float], ...]) -> bool:
    """Whether they are in 0..1 and rise."""
    pairs = list(itertools.pairwise(knots))
    return (
        all(0 <= value <= 1 for knot in knots for value in knot)
        and all(before[0] < after[0] for before, after in pairs)
        and all(before[1] <= after[1] for before, after in pairs)
    )


_POSSIBLE: dict[str, Callable[[Any], bool]] = {
    'method': lambda value: value in ('none', *_METHODS),
    'temperature': lambda value: _LEAST_TEMPERATURE <= value < math.inf,
    'knots': _are_knots,
    'confidence': lambda value: 0.5 <= value <= 1,
    **dict.fromkeys(_PROMISES, lambda value: math.isnan(value) or 0 <= value <= 1),
    **dict.fromkeys(('cells', 'wrong', 'decided', 'days'), lambda value: value >= 0),
    'least_p': lambda value: 0 <= value < 0.5,
    'log_loss': lambda value: all(0 <= loss < math.inf for loss in value.values()),
}


def _fit_temperature(consensus: np.ndarray, label: np.ndarray) -> Calibration:
    from scipy.optimize import minimize_scalar  # takes half a second to import, and applying does not need it

    least_p = _least_p(label)

    def loss(log_temperature: float) -> float:
        fitted = Calibration('temperature', temperature=math.exp(log_temperature), least_p=least_p)
        # The prior: a temperature between 1/7 and 7 in 95 of 100 ensembles.
        return float(log_losses(fitted.apply(consensus), label).sum() + log_temperature**2 / 2)

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


def log_losses(p_ser: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Returns the log loss of each probability of SER, given the labels: (n,), (n,) -> (n,)."""
    likelihood = np.where(label == 0, p_ser, 1 - p_ser)
    return -np.log(likelihood)


def _log_odds(consensus: np.ndarray) -> np.ndarray:
    return logit(np.clip(consensus, _LEAST_CONSENSUS, 1 - _LEAST_CONSENSUS))
