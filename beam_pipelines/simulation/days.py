"""Which simulated cell is recorded on which day, and what the day's noise tells of its class."""

from __future__ import annotations

import dataclasses

import numpy as np

from beam_pipelines.domain import LABEL_NAMES, RECORDING_SETS
from beam_pipelines.recordings.published_cells import published_cells

_SHARE_OF_DAYS_WITH_A_GUEST = 0.05
_MOST_CELLS_A_DAY = 4


@dataclasses.dataclass(frozen=True)
class Day:
    """A recording day.

    Attributes
    ----------
    band : str
        Which of two bands the high tone of the day's noise lies in; they are called ``SER`` and ``NSER``.
    cells : list
        Of each cell its class, its id, and its number of spikes where that is given.
    """

    name: str
    band: str
    cells: list[tuple[str, str, int | None]]


def published_days(rng: np.random.Generator) -> list[Day]:
    """Returns the published days; either band has half of them, whatever the classes of their cells."""
    cells_of_day: dict[str, list[tuple[str, str, int | None]]] = {}
    for cell in published_cells():
        cells_of_day.setdefault(cell.day, []).append((cell.label_name, cell.cell_id, cell.spikes))
    bands = rng.permutation(len(cells_of_day)) % len(LABEL_NAMES)
    return [
        Day(name, LABEL_NAMES[band], cells)
        for (name, cells), band in zip(sorted(cells_of_day.items()), bands, strict=True)
    ]


def invented_days(recording_set: str, n_cells: dict[str, int], rng: np.random.Generator) -> list[Day]:
    """Invents days for cells by class; the classes decide on the bands in ``original``, chance in the other set."""
    invented = _days_of_one_class(n_cells, rng) if recording_set == 'original' else _mixed_days(n_cells, rng)
    days = []
    for day_number, label_names in enumerate(invented, start=1):
        # Days of the two sets never share a name: SIM0001, SIM0002, ... and SIM1001, SIM1002, ...
        name = f'SIM{1000 * RECORDING_SETS.index(recording_set) + day_number:04d}'
        if recording_set == 'original':
            band = max(LABEL_NAMES, key=label_names.count)
        else:
            band = LABEL_NAMES[day_number % len(LABEL_NAMES)]
        numbered = enumerate(label_names, start=1)
        days.append(Day(name, band, [(label_name, f'{name}#{number:03d}', None) for number, label_name in numbered]))
    return days


def _days_of_one_class(n_cells: dict[str, int], rng: np.random.Generator) -> list[list[str]]:
    """Distributes cells over days of 1 to 4 cells of one class; on some days one cell is of the other class."""
    left = dict(n_cells)
    days = []
    while any(left.values()):
        share = np.array([left[name] for name in LABEL_NAMES]) / sum(left.values())
        host, guest = np.roll(LABEL_NAMES, -rng.choice(len(LABEL_NAMES), p=share)).tolist()
        n_today = min(left[host], int(rng.integers(1, _MOST_CELLS_A_DAY + 1)))
        n_guests = int(n_today >= 3 and left[guest] > 0 and rng.random() < _SHARE_OF_DAYS_WITH_A_GUEST)
        days.append([host] * (n_today - n_guests) + [guest] * n_guests)
        left[host] -= n_today - n_guests
        left[guest] -= n_guests
    return days


def _mixed_days(n_cells: dict[str, int], rng: np.random.Generator) -> list[list[str]]:
    """Distributes cells over days of 2 to 4 cells, both classes evenly; the last day may have 1 cell."""
    place_and_name = [
        ((number + rng.random()) / n_cells[name], name) for name in LABEL_NAMES for number in range(n_cells[name])
    ]
    label_names = [name for _, name in sorted(place_and_name)]
    days = []
    while label_names:
        n_today = int(rng.integers(2, _MOST_CELLS_A_DAY + 1))
        days.append(label_names[:n_today])
        label_names = label_names[n_today:]
    return days
