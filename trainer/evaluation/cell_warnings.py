"""Warnings about a cell: a stable code for programs, and a sentence for a biologist."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

# What lies outside the range of the cells that the model was trained on, see ``out_of_distribution``.
TRAINING_RANGE_CODES = {
    'resampled': 'another sampling rate',
    'noise_high': 'more noise',
    'noise_low': 'less noise',
    'amplitude_low': 'smaller spikes',
    'amplitude_high': 'larger spikes',
    'firing_rate_high': 'faster firing',
    'firing_rate_low': 'slower firing',
    'few_spikes': 'few spikes',
    'udi_low': 'narrower spikes',
    'udi_high': 'wider spikes',
    'udi_unmeasured': 'no width',
    'unlike_training_cells': 'another shape',
}

# What is wrong with a recording, or was done to it, or with what the model was trained on.
OTHER_CODES = {
    'several_currents': 'the file has several currents',
    'may_be_voltage': 'perhaps a membrane potential',
    'points_upward': 'spikes point upward',
    'hum': 'mains hum was taken off',
    'saturation': 'the amplifier or the converter was saturated',
    'events_left_out': 'events were left out',
    'bursts': 'spikes closer than a window',
    'below_threshold': 'events that do not reach the threshold',
    'trained_on_cell': 'the model was trained on a cell of this name',
    'simulated_training': 'the model was trained on simulated recordings or noise',
}

WARNING_CODES = TRAINING_RANGE_CODES | OTHER_CODES

# The mean spike resembles that of no training cell, so that a verdict would mean nothing.
UNLIKE = 'unlike_training_cells'


@dataclasses.dataclass(frozen=True)
class CellWarning:
    """One reason not to trust a verdict, or one thing to know of a recording.

    Attributes
    ----------
    code : a key of ``WARNING_CODES``, as in ``cells.csv``.
    sentence : the same in words and with numbers; ``str`` returns it.

    Raises
    ------
    ValueError
        If the code is none of ``WARNING_CODES``: every code is documented.
    """

    code: str
    sentence: str

    def __post_init__(self) -> None:
        if self.code not in WARNING_CODES:
            raise ValueError(f'warning code {self.code!r}: expected one of {", ".join(WARNING_CODES)}')

    def __str__(self) -> str:
        return self.sentence

    @property
    def is_outside_training_range(self) -> bool:
        """Whether it says that the cell lies outside the range of the training cells."""
        return self.code in TRAINING_RANGE_CODES


def join_codes(warnings: Iterable[CellWarning]) -> str:
    """Returns the codes of a cell's warnings as in ``cells.csv``, such as ``noise_high;few_spikes``; empty for none."""
    return ';'.join(warning.code for warning in warnings)


def count_outside_training_range(warnings_of_cells: Iterable[Iterable[CellWarning]]) -> tuple[int, dict[str, int]]:
    """Returns how many cells lie outside the range of the training cells, and how many for each code.

    Parameters
    ----------
    warnings_of_cells : the warnings of each cell.
    """
    outside = [
        {warning.code for warning in warnings if warning.is_outside_training_range} for warnings in warnings_of_cells
    ]
    counts = collections.Counter(code for codes in outside for code in codes)
    return sum(map(bool, outside)), {code: counts[code] for code in TRAINING_RANGE_CODES if counts[code]}
