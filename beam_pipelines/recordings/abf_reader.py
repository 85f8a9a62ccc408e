"""Reads the current of an ABF1 or ABF2 recording through pyABF."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines import domain
from beam_pipelines.recordings.abf_header import check_abf_header, is_simulated
from beam_pipelines.recordings.rejection import RecordingRejected

if TYPE_CHECKING:
    import pyabf

# Sampled more slowly than this, a 4 ms spike loses the shape that the networks use.
_MIN_RESAMPLED_RATE_HZ = 10_000

# pyABF truncates the rate to whole Hz: an interval that is a rounding error above 25 us gives 39999.
_RATE_TOLERANCE_HZ = 1

_VARIABLE_LENGTH_MODE = 1


@dataclasses.dataclass(frozen=True)
class Recording:
    """The current of one cell.

    Attributes
    ----------
    sweeps : arrays of (n,) float32 in pA at 40 kHz; a gap-free recording is one sweep.
    sampling_rate_hz : the file's own rate; not 40 kHz if the sweeps were resampled.
    is_simulated : whether the file is marked as simulated by this project.
    """

    sweeps: list[np.ndarray]
    sampling_rate_hz: float
    is_simulated: bool = False

    @property
    def duration_s(self) -> float:
        """Total length of all sweeps."""
        return sum(map(len, self.sweeps)) / domain.SAMPLING_RATE_HZ


def read_abf(path: str, resample: bool = False) -> Recording:
    """Reads one recording.

    Parameters
    ----------
    path : a local ``.abf`` file.
    resample : resample other rates, from 10 kHz up, to 40 kHz; without it they are rejected.

    Raises
    ------
    RecordingRejected
        If the file cannot be used; gives the reason.
    """
    import pyabf  # Imported here because it takes as long as a short command.

    try:
        check_abf_header(path)
        simulated = is_simulated(path)
        abf = pyabf.ABF(path)
    except (RecordingRejected, MemoryError):
        raise
    except OSError as error:
        raise RecordingRejected('unreadable', error.strerror or str(error)) from error
    except Exception as error:  # A damaged header can make pyABF raise anything.
        raise RecordingRejected('unreadable', f'pyABF: {type(error).__name__}: {error}') from error

    channel = _current_channel(abf.adcUnits)
    rate_hz = usable_rate_hz(abf.dataRate, resample)
    sweeps = _sweeps(abf, channel)
    # pyABF's objects form reference cycles and live until the next garbage collection; this frees their arrays now.
    del abf.data, abf.sweepX, abf.sweepY
    if not all(np.isfinite(sweep).all() for sweep in sweeps):
        raise RecordingRejected('not_finite', 'a sample is not a finite number')
    return Recording([bring_to_40_khz(sweep, rate_hz) for sweep in sweeps], rate_hz, simulated)


def usable_rate_hz(rate_hz: float, resample: bool) -> float:
    """Returns the sampling rate, without rounding errors, if it is 40 kHz or may be resampled.

    Raises
    ------
    RecordingRejected
        If it is not 40 kHz and may not be resampled, or is too low for a spike's shape.
    """
    if abs(rate_hz - domain.SAMPLING_RATE_HZ) <= _RATE_TOLERANCE_HZ:
        return domain.SAMPLING_RATE_HZ
    if not resample:
        raise RecordingRejected(
            'wrong_rate', f'{rate_hz:g} Hz, expected {domain.SAMPLING_RATE_HZ} Hz (--resample takes other rates)'
        )
    if not rate_hz >= _MIN_RESAMPLED_RATE_HZ:
        raise RecordingRejected('wrong_rate', f'{rate_hz:g} Hz is too slow to resample a 4 ms spike from')
    return rate_hz


def bring_to_40_khz(current_pa: np.ndarray, rate_hz: float) -> np.ndarray:
    """Resamples (n,) float32 from ``rate_hz`` to 40 kHz; a current at 40 kHz is returned as it is."""
    if rate_hz == domain.SAMPLING_RATE_HZ:
        return current_pa
    from scipy import signal  # Imported here because most recordings never need it.

    return signal.resample_poly(current_pa, domain.SAMPLING_RATE_HZ, round(rate_hz)).astype(np.float32)


def _current_channel(units: list[str]) -> int:
    current_channels = [channel for channel, unit in enumerate(units) if unit == 'pA']
    if len(current_channels) != 1:
        raise RecordingRejected(
            'wrong_unit', f'expected one channel in pA, the {len(units)} channel(s) are in {", ".join(units)}'
        )
    return current_channels[0]


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
