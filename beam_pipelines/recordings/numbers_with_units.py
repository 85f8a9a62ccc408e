"""Numbers in memory that have a unit, as those of quantities (and so of neo), pint and astropy do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from beam_pipelines.recordings.current_channels import Channel, all_currents
from beam_pipelines.recordings.rejection import RecordingRejected

# As quantities and astropy write a unit, and as pint does.
_HZ_PER_UNIT = {'Hz': 1.0, 'kHz': 1e3, 'MHz': 1e6, 'hertz': 1.0, 'kilohertz': 1e3, 'megahertz': 1e6}


def read_current_pa(current: Any) -> np.ndarray:
    """Returns a current as (n,) float32 in pA.

    Parameters
    ----------
    current : (n,) numbers; in pA if they have no unit.

    Raises
    ------
    ValueError
        If they are no such numbers.
    RecordingRejected
        If their unit is not that of a current.
    """
    # NumPy would take the numbers alone.
    if isinstance(current, Sequence) and any(_unit_of(number) is not None for number in current):
        raise ValueError('current_pa: expected one array with a unit, not a list of numbers that have units')
    numbers = _without_unit(current)
    if np.ma.is_masked(numbers):
        numbers = np.ma.filled(numbers.astype(np.float64), np.nan)  # Missing samples are rejected later.
    values = np.asarray(numbers)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in 'fiu':
        raise ValueError(f'current_pa: expected (n,) numbers in pA, not {values.dtype} of shape {values.shape}')
    unit = _unit_of(current)
    if unit is None:
        return values.astype(np.float32, copy=False)
    (pa_per_unit,) = all_currents([Channel('current_pa', unit)], None).values()
    with np.errstate(over='ignore'):  # What overflows becomes infinite and is rejected later.
        return (values.astype(np.float64) * pa_per_unit).astype(np.float32)


def read_rate_hz(rate: Any) -> float:
    """Returns a sampling rate in Hz.

    Parameters
    ----------
    rate : a number; in Hz if it has no unit.

    Raises
    ------
    ValueError
        If it is no number.
    RecordingRejected
        If its unit is none of frequency.
    """
    value = np.asarray(_without_unit(rate))
    if value.ndim or value.dtype.kind not in 'fiu':
        raise ValueError(f'sampling_rate_hz: expected a number in Hz, not {rate!r}')
    unit = _unit_of(rate)
    if unit is not None and unit not in _HZ_PER_UNIT:
        raise RecordingRejected('wrong_rate', f'sampling_rate_hz is in {unit or "no unit"}; expected Hz or kHz')
    return float(value) * _HZ_PER_UNIT[unit or 'Hz']


def _without_unit(numbers: Any) -> Any:
    # NumPy would warn that it leaves out the unit of those of pint.
    return getattr(numbers, 'magnitude', numbers)


def _unit_of(numbers: Any) -> str | None:
    """Returns a unit as its library writes it; None if there is none."""
    units = getattr(numbers, 'units', getattr(numbers, 'unit', None))
    if units is None:
        return None
    # A unit of quantities is a quantity itself, written with a 1 before it.
    symbols = getattr(getattr(units, 'dimensionality', None), 'string', None)
    return str(units if symbols is None else symbols)
