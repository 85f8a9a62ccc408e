"""Days that a member is not trained on: together the members leave out every day, so every cell tests some of them."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from beam_pipelines import domain
from beam_pipelines.cli.words import counted
from beam_pipelines.errors import UserError

_INSTEAD = 'give another number, or 0: then only the cells of original/validation select epochs and calibrate'


@dataclasses.dataclass(frozen=True)
class HeldOutDays:
    """Which member is trained on which cells.

    Attributes
    ----------
    group_of_day : recording day -> its group.
    day_of : cell id -> its recording day.
    groups : how many groups there are; member m leaves out the group m modulo this.
    members : how many members there are.
    """

    group_of_day: Mapping[str, int]
    day_of: Mapping[str, str]
    groups: int
    members: int

    def sees(self, cell_ids: Sequence[str]) -> np.ndarray:
        """Tells which members are trained on the day of which cells.

        Parameters
        ----------
        cell_ids : c cells; those that are not in ``day_of`` are left out by nobody.

        Returns
        -------
        (m, c) bool.
        """
        days = [self.day_of.get(cell_id) for cell_id in cell_ids]
        group = np.array([-1 if day is None else self.group_of_day[day] for day in days], np.int64)
        return (np.arange(self.members) % self.groups)[:, np.newaxis] != group

    def number_days(self, cell_ids: Sequence[str]) -> np.ndarray:
        """Returns the number of each cell's recording day, -1 for cells that are not in ``day_of``: (c,) int64."""
        number_of = {day: number for number, day in enumerate(sorted(self.group_of_day))}
        return np.array([number_of.get(self.day_of.get(cell_id, ''), -1) for cell_id in cell_ids], np.int64)


def groups_of_days(held_out_days: int, members: int) -> int:
    """Returns how many groups of days are held out: every group needs a member that leaves it out.

    Parameters
    ----------
    held_out_days : the config's number of groups.
    members : how many members the ensemble has.

    Returns
    -------
    0 if no days are held out: a single member leaves out none.
    """
    groups = min(held_out_days, members)
    return groups if groups > 1 else 0


def day_order(day: str, seed: int) -> bytes:
    """Returns what puts days into an order that depends on the seed alone."""
    return hashlib.sha256(f'{seed}/{day}'.encode()).digest()


def sort_days(label_of: Mapping[str, int], day_of: Mapping[str, str], seed: int) -> list[str]:
    """Sorts the days of cells so that groups of every k-th day have their shares of both classes.

    Parameters
    ----------
    label_of : cell id -> 0 SER or 1 NSER.
    day_of : cell id -> recording day.
    seed : of the order of days with the same share of SER cells.
    """
    days = sorted({day_of[cell_id] for cell_id in label_of}, key=lambda day: day_order(day, seed))
    # Days of one class follow each other, so that each group of days gets its share of them.
    days.sort(key=lambda day: np.mean([of == 0 for cell_id, of in label_of.items() if day_of[cell_id] == day]))
    return days


def days_of_cells(cell_ids: Sequence[str], pattern: str | None, advice: str) -> dict[str, str]:
    """Returns cell id -> recording day, and says how many days there are.

    A cell without a recognised day is a day of its own, with a warning; so it is if no cell shares its day.

    Parameters
    ----------
    cell_ids : names of the cells.
    pattern : see ``domain.find_recording_day``.
    advice : what to do about days that are not recognised.
    """
    found = {cell_id: domain.find_recording_day(cell_id, pattern) for cell_id in cell_ids}
    day_of = {cell_id: day or cell_id for cell_id, day in found.items()}
    days = len(set(day_of.values()))
    days_words = f'{counted(len(day_of), "cell")} on {counted(days, "recording day")}'
    print(f'{days_words}, such as {min(day_of.values())}', flush=True)
    alone = [cell_id for cell_id, day in found.items() if day is None]
    if alone or len(day_of) == days > 1:
        why = 'no two cells share a recording day'
        if alone:
            why = f'no recording day is recognised in {counted(len(alone), "cell id")}, such as {min(alone)}'
        print(f'WARNING: {why}; each of them counts as a day of its own, {advice}', file=sys.stderr)
    return day_of


def deal_days(
    label_of: Mapping[str, int], day_of: Mapping[str, str], groups: int, members: int, seed: int
) -> HeldOutDays:
    """Deals the recording days out to groups, so that each group has its share of both classes.

    Parameters
    ----------
    label_of : cell id -> 0 SER or 1 NSER, of all cells that are trained on or validate.
    day_of : cell id -> recording day.
    groups : how many groups, at most as many as there are members.
    members : how many members the ensemble has.
    seed : of the order of the days.

    Raises
    ------
    UserError
        If there are too few days, or a group holds all days of a class.
    """
    days = sort_days(label_of, day_of, seed)
    if len(days) < groups:
        raise UserError(
            f'--config.held_out_days={groups}: the cells are of {len(days)} recording days only; {_INSTEAD}'
        )
    group_of_day = {day: number % groups for number, day in enumerate(days)}
    for group in range(groups):
        left = {of for cell_id, of in label_of.items() if group_of_day[day_of[cell_id]] != group}
        for label, name in enumerate(domain.LABEL_NAMES):
            if label not in left:
                raise UserError(
                    f'--config.held_out_days={groups}: one group of days would hold all cells {name}; {_INSTEAD}'
                )
    return HeldOutDays(group_of_day, day_of, groups, members)
