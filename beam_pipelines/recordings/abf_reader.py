"""Reads the current of an ABF1 or ABF2 recording through pyABF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines.recordings.abf_header import check_abf_header, is_float_abf1, read_source
from beam_pipelines.recordings.abf_stimulus import find_stimulus_steps
from beam_pipelines.recordings.current_channels import Channel, choose_currents
from beam_pipelines.recordings.library_errors import library_errors
from beam_pipelines.recordings.neo_reader import read_float_abf1
from beam_pipelines.recordings.recording import RecordedCurrent
from beam_pipelines.recordings.rejection import RecordingRejected

if TYPE_CHECKING:
    import pyabf

_VARIABLE_LENGTH_MODE = 1

# A shorter pause between sweeps, as a share of a sweep, is a rounding error.
_LEAST_GAP = 1e-4


def read_abf_currents(path: str, channel: str | None = None) -> list[RecordedCurrent]:
    """Reads the currents in a file.

    Parameters
    ----------
    path : a local ``.abf`` file.
    channel : see ``current_channels.choose_currents``.

    Returns
    -------
    At least one; its current is in pA, whatever the SI prefix of the channel's unit.

    Raises
    ------
    RecordingRejected
        If the file cannot be used; gives the reason.
    """
    import pyabf  # Imported here because it takes as long as a short command.

    with library_errors('pyABF'):
        check_abf_header(path)
        if is_float_abf1(path):
            return read_float_abf1(path, channel)
        source = read_source(path)
        abf = pyabf.ABF(path)
    channels = [Channel(name.strip(), unit) for name, unit in zip(abf.adcNames, abf.adcUnits, strict=True)]
    currents, steps = [], find_stimulus_steps(abf)
    for number, pa_per_unit in choose_currents(channels, channel).items():
        sweeps = [_in_pa(sweep, pa_per_unit) for sweep in _sweeps(abf, number)]
        name = channels[number].name or str(number)
        currents.append(RecordedCurrent(sweeps, abf.dataRate, name, _starts_s(abf, sweeps), source, steps))
    # pyABF's objects form reference cycles and live until the next garbage collection; this frees their arrays now.
    del abf.data, abf.sweepX, abf.sweepY
    return currents


def _starts_s(abf: pyabf.ABF, sweeps: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Returns when each sweep started; nothing if the sweeps follow each other, or the file does not say."""
    length_s = max(map(len, sweeps), default=0) / abf.dataRate
    if len(sweeps) < 2 or not abf.sweepIntervalSec > length_s * (1 + _LEAST_GAP):
        return ()
    return tuple(float(abf.sweepIntervalSec * number) for number in range(len(sweeps)))


def _in_pa(sweep: np.ndarray, pa_per_unit: float) -> np.ndarray:
    return sweep if pa_per_unit == 1 else (sweep * pa_per_unit).astype(np.float32)


def _sweeps(abf: pyabf.ABF, channel: int) -> list[np.ndarray]:
    current_pa = abf.data[channel]
    if abf.nOperationMode == _VARIABLE_LENGTH_MODE and abf.sweepCount > 1:
        sweeps = []
        for sweep in abf.sweepList:
            abf.setSweep(sweep, channel)
            sweeps.append(abf.sweepY)
    else:
        # Slices rather than setSweep, which builds a stimulus table of all sweeps in every call.
        length = abf.sweepPointCount
        sweeps = [current_pa[start : start + length] for start in range(0, length * abf.sweepCount, max(length, 1))]
    if sum(map(len, sweeps)) != len(current_pa):
        raise RecordingRejected(
            'bad_header', f'{len(sweeps)} sweeps hold {sum(map(len, sweeps))} of {len(current_pa)} samples'
        )
    return sweeps
