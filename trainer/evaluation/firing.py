"""A second probability, beside the verdict: the shape of a cell's spikes and how it fires. ``firing.json``."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy.special import expit, logit

from beam_pipelines.errors import UserError
from beam_pipelines.spikes.waveform_features import measure_firing_rate_hz, measure_interval_cv
from beam_pipelines.storage.atomic_files import write_json
from beam_pipelines.storage.typed_json import read_typed
from trainer.evaluation.calibration import log_losses
from trainer.evaluation.metrics import binary_metrics, bootstrap_mean, brier_score
from trainer.evaluation.results import CellResult

FILE_NAME = 'firing.json'

# Four parameters; with fewer cells of a class each would rest on a cell or two.
_FEWEST_CELLS_OF_CLASS = 10


class FiringModel(msgspec.Struct, frozen=True, kw_only=True):
    """A logistic regression on the log-odds of the shape, the logarithm of the rate and the regularity.

    Attributes
    ----------
    intercept : log-odds of SER where all else is 0.
    of_shape : weight of the log-odds of the calibrated ``p_ser``.
    of_rate : weight of log10 of the firing rate in Hz.
    of_cv : weight of the coefficient of variation of the intervals between spikes.
    cells : how many cells it was fitted on.
    log_loss : mean log loss of these cells, each by a regression on the cells of the other days.
    log_loss_of_shape : that of their ``p_ser`` alone.
    """

    intercept: float
    of_shape: float
    of_rate: float
    of_cv: float
    cells: int
    log_loss: float
    log_loss_of_shape: float

    def apply(self, p_ser: float, trigger: np.ndarray) -> float:
        """Returns ``p_ser_with_firing`` of a cell; NaN if it has too few spikes.

        Parameters
        ----------
        p_ser : calibrated probability of SER by the shape alone.
        trigger : (n,) int64, sample index of each of the cell's triggers.
        """
        shape, rate, cv = _features(p_ser, trigger)
        return float(expit(self.intercept + self.of_shape * shape + self.of_rate * rate + self.of_cv * cv))


def fit_firing(p_ser: np.ndarray, label: np.ndarray, day: np.ndarray, triggers: list[np.ndarray]) -> FiringModel | None:
    """Fits the regression on cells that were classified by members which had not seen their days.

    Parameters
    ----------
    p_ser : (n,) float, calibrated probability of SER of each cell.
    label : (n,) int, 0 SER or 1 NSER.
    day : (n,) int, the recording day of each cell.
    triggers : of each cell, in samples.

    Returns
    -------
    None if there are fewer than ten cells of a class with a rate and a regularity.
    """
    features = np.array([_features(*cell) for cell in zip(p_ser, triggers, strict=True)])
    known = np.isfinite(features).all(axis=1)
    features, label, day, p_ser = features[known], label[known], day[known], p_ser[known]
    is_ser = label == 0
    if min(is_ser.sum(), (~is_ser).sum()) < _FEWEST_CELLS_OF_CLASS:
        return None
    left_out = np.empty(len(day))
    for number in np.unique(day):
        of_day = day == number
        if len(np.unique(is_ser[~of_day])) < 2:
            return None
        intercept, weights = _fit(features[~of_day], is_ser[~of_day])
        left_out[of_day] = expit(intercept + features[of_day] @ weights)
    intercept, weights = _fit(features, is_ser)
    return FiringModel(
        intercept=intercept,
        of_shape=float(weights[0]),
        of_rate=float(weights[1]),
        of_cv=float(weights[2]),
        cells=len(day),
        log_loss=float(log_losses(left_out, label).mean()),
        log_loss_of_shape=float(log_losses(p_ser, label).mean()),
    )


def with_firing(cell: CellResult, trigger: np.ndarray, model: FiringModel | None) -> CellResult:
    """Adds ``p_ser_with_firing`` to a cell, if there is a model.

    Parameters
    ----------
    cell : as its shape is classified.
    trigger : (n,) int64, sample index of each of its triggers.
    model : of the run; None to leave the cell as it is.
    """
    return cell if model is None else dataclasses.replace(cell, p_ser_with_firing=model.apply(cell.p_ser, trigger))


def compare_with_shape(cells: Sequence[CellResult]) -> dict | None:
    """Returns what the firing adds on cells whose label is known; None if it was not asked for.

    ``with_firing`` and ``shape``: accuracy, auc, brier and log_loss on the same ``n`` cells, those with enough spikes;
    ``log_loss_gain`` of the firing with its 95 % interval by a bootstrap over cells (``_low``, ``_high``).
    """
    known = [
        (cell.label, cell.p_ser, p_ser)
        for cell in cells
        if cell.label is not None and (p_ser := cell.p_ser_with_firing) is not None and not math.isnan(p_ser)
    ]
    if not known:
        return None
    shape, firing = np.array([p_ser for _, *p_ser in known]).T
    label = np.array([label for label, *_ in known])
    losses, found = {}, {}
    for name, p_ser in (('shape', shape), ('with_firing', firing)):
        metrics = binary_metrics(p_ser, label)
        losses[name] = log_losses(p_ser, label)
        found[name] = {key: metrics[key] for key in ('accuracy', 'auc')} | {
            'brier': brier_score(p_ser, label),
            'log_loss': float(losses[name].mean()),
        }
    gain = losses['shape'] - losses['with_firing']
    low, high = bootstrap_mean(gain)
    return {
        **found,
        'n': len(known),
        'log_loss_gain': float(gain.mean()),
        'log_loss_gain_low': low,
        'log_loss_gain_high': high,
    }


def write(folder: str, model: FiringModel) -> None:
    """Writes ``firing.json``."""
    write_json(os.path.join(folder, FILE_NAME), msgspec.to_builtins(model))


def load(folder: str) -> FiringModel:
    """Loads ``firing.json`` of a run.

    Raises
    ------
    UserError
        If it is missing or damaged.
    """
    path = os.path.join(folder, FILE_NAME)
    try:
        model = read_typed(path, FiringModel)
    except FileNotFoundError:
        raise UserError(
            'no such file; sero-train writes it at the end of a run with held_out_days and ten cells of each class',
            file=path,
        ) from None
    for field, value in msgspec.to_builtins(model).items():
        if not math.isfinite(value):
            raise UserError('expected a number', file=path, field=field, value=value)
    return model


def _features(p_ser: float, trigger: np.ndarray) -> tuple[float, float, float]:
    return float(logit(p_ser)), float(np.log10(measure_firing_rate_hz(trigger))), measure_interval_cv(trigger)


def _fit(features: np.ndarray, is_ser: np.ndarray) -> tuple[float, np.ndarray]:
    """Returns the intercept and the (3,) weights of a regression with scikit-learn's usual penalty."""
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale == 0] = 1
    fitted = LogisticRegression().fit((features - mean) / scale, is_ser)
    weights = fitted.coef_[0] / scale
    return float(fitted.intercept_[0] - weights @ mean), weights
