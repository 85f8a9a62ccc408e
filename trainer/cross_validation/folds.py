"""How recorded spikes are divided for a cross-validation: by recording day, or at random by spike as published."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from beam_pipelines import domain
from beam_pipelines.errors import UserError
from beam_pipelines.planning import splits
from trainer.training.held_out_days import day_order, sort_days

# Share of the untested cells that is used for early stopping and calibration.
_VALIDATION_SHARE = 0.2
_FEWEST_VALIDATION_CELLS = 2  # of each class, as calibration needs


@dataclasses.dataclass(frozen=True)
class Fold:
    """What one ensemble of a cross-validation is trained, calibrated and tested on.

    Attributes
    ----------
    name : such as ``day A140313`` or ``fold 2 of 5``.
    train, validation, test : (n,) int64, rows of the spikes, in rising order.
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def fold_by_day(
    cell: np.ndarray, label: np.ndarray, day_of: Mapping[str, str], folds: int | None, seed: int
) -> list[Fold]:
    """Leaves each day out once, or groups of days: no day is on two sides of a fold, and so no cell is.

    The validation cells are whole days too, so that the calibration reflects performance on unseen days.

    Parameters
    ----------
    cell, label : (n,) int, of each spike.
    day_of : cell id -> recording day, in the order that ``cell`` indexes.
    folds : how many groups the days are divided into; None: each day is a fold.
    seed : of the order of the days.

    Raises
    ------
    UserError
        If there are too few days, or without those of a fold too few cells of a class.
    """
    cell_names = list(day_of)
    label_of = {cell_names[number]: int(label[cell == number][0]) for number in np.unique(cell)}
    days = sort_days(label_of, day_of, seed)
    if folds is not None and not 2 <= folds <= len(days):
        raise UserError(f'folds {folds}: must be 2..{len(days)}, there are so many recording days')
    if len(days) < 3:
        raise UserError(f'{len(days)} recording days ({", ".join(sorted(days))}); leaving one out takes at least 3')
    groups = [[day] for day in sorted(days)] if folds is None else [days[first::folds] for first in range(folds)]
    names = np.array(cell_names)[cell]
    made = []
    for number, group in enumerate(groups, start=1):
        name = f'day {group[0]}' if folds is None else f'fold {number} of {folds}'
        rest = {cell_id: of for cell_id, of in label_of.items() if day_of[cell_id] not in group}
        held_out = _hold_out_days(rest, day_of, seed, name)
        train = [cell_id for cell_id in rest if day_of[cell_id] not in held_out]
        validation = [cell_id for cell_id in rest if day_of[cell_id] in held_out]
        made.append(
            Fold(
                name,
                train=np.flatnonzero(np.isin(names, train)),
                validation=np.flatnonzero(np.isin(names, validation)),
                test=np.flatnonzero(~np.isin(names, list(rest))),
            )
        )
    return made


def fold_by_spike(count: int, seed: int) -> list[Fold]:
    """Divides spikes at random 70/15/15, as published: spikes of a cell are trained on and tested on."""
    return [Fold('random by spike', **splits.split_spikes(count, seed))]


def _hold_out_days(label_of: dict[str, int], day_of: Mapping[str, str], seed: int, name: str) -> set[str]:
    """Returns days that hold enough cells of each class to validate on, and leave cells of each class to train on."""
    days = sorted({day_of[cell_id] for cell_id in label_of}, key=lambda day: day_order(day, seed))
    held_out: set[str] = set()
    for label in range(len(domain.LABEL_NAMES)):
        days_of_class = [day_of[cell_id] for cell_id, of in label_of.items() if of == label]
        wanted = max(_FEWEST_VALIDATION_CELLS, math.floor(_VALIDATION_SHARE * len(days_of_class)))
        for day in days:
            if sum(of in held_out for of in days_of_class) >= wanted:
                break
            # Keep the last day of the class to train on.
            if day in days_of_class and set(days_of_class) - held_out - {day}:
                held_out.add(day)
    for label, class_name in enumerate(domain.LABEL_NAMES):
        class_days = {day_of[cell_id] for cell_id, of in label_of.items() if of == label}
        if not class_days & held_out or not class_days - held_out:
            raise UserError(
                f'{name}: without its cells {class_name} was recorded on {len(class_days)} days; training and'
                ' validation on days of their own take more (fewer, larger folds make it worse: leave --folds out)'
            )
    return held_out
