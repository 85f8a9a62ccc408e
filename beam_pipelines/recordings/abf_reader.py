"""Reads the current of an ABF1 or ABF2 recording through pyABF."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
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

# A shorter pause between sweeps, as a share of a sweep, is a rounding error.
_LEAST_GAP = 1e-4

# Both characters for micro are in use.
_MICRO = ('u', '\N{MICRO SIGN}', '\N{GREEK SMALL LETTER MU}')
_EXPONENTS = {'k': 3, '': 0, 'm': -3, **dict.fromkeys(_MICRO, -6), 'n': -9, 'p': -12, 'f': -15, 'a': -18}
_PA_PER_UNIT = {f'{prefix}A': 10.0 ** (exponent + 12) for prefix, exponent in _EXPONENTS.items()}
_VOLTS = {f'{prefix}V' for prefix in _EXPONENTS}


@dataclasses.dataclass(frozen=True)
class Recording:
    """The current of one cell.

    Attributes
    ----------
    sweeps : arrays of (n,) float32 in pA at 40 kHz; a gap-free recording is one sweep.
    sampling_rate_hz : the file's own rate; not 40 kHz if the sweeps were resampled.
    channel : its name; empty if the file has only one channel.
    sweep_starts_s : when each sweep started, in s from the first; empty if they follow each other without gaps.
    is_simulated : whether the file is marked as simulated by this project.
    """

    sweeps: list[np.ndarray]
    sampling_rate_hz: float
    is_simulated: bool = False
    channel: str = ''
    sweep_starts_s: tuple[float, ...] = ()

    @property
    def duration_s(self) -> float:
        """Total length of all sweeps."""
        return sum(map(len, self.sweeps)) / domain.SAMPLING_RATE_HZ

    @property
    def intervals_s(self) -> list[tuple[float, float]]:
        """Start and end of each sweep, in s from the start of the first; sweeps without a gap are one interval."""
        if not self.sweep_starts_s:
            return [(0.0, self.duration_s)]
        return [
            (start, start + len(sweep) / domain.SAMPLING_RATE_HZ)
            for start, sweep in zip(self.sweep_starts_s, self.sweeps, strict=True)
        ]

    def seconds_at(self, sample: np.ndarray) -> np.ndarray:
        """Returns when samples were recorded: (n,) int64 in the sweeps one after the other -> (n,) float64 in s."""
        if not self.sweep_starts_s:
            return sample / domain.SAMPLING_RATE_HZ
        first = np.cumsum([0, *map(len, self.sweeps)])[:-1]
        sweep = np.searchsorted(first, sample, side='right') - 1
        return np.array(self.sweep_starts_s)[sweep] + (sample - first[sweep]) / domain.SAMPLING_RATE_HZ


def read_abf(path: str, resample: bool = False) -> Recording:
    """Reads a recording with one current; see ``read_currents``."""
    recordings = read_currents(path, resample)
    if len(recordings) != 1:
        names = [recording.channel for recording in recordings]
        raise RecordingRejected('wrong_unit', several_currents_detail(names))
    return recordings[0]


def read_currents(path: str, resample: bool = False, channel: str | None = None) -> list[Recording]:
    """Reads the currents in a file.

    Parameters
    ----------
    path : a local ``.abf`` file.
    resample : resample other rates, from 10 kHz up, to 40 kHz; without it they are rejected.
    channel : name or number (from 0) of the one channel to read; None: all channels in pA, or if there is none, in
        amperes with any SI prefix.

    Returns
    -------
    At least one; its current is in pA, whatever the SI prefix of the channel's unit.

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

    channels = _current_channels(abf, channel)
    rate_hz = usable_rate_hz(abf.dataRate, resample)
    recordings = []
    for number, pa_per_unit in channels.items():
        sweeps = [_in_pa(sweep, pa_per_unit) for sweep in _sweeps(abf, number)]
        if not all(np.isfinite(sweep).all() for sweep in sweeps):
            raise RecordingRejected('not_finite', 'a sample is not a finite number')
        at_40_khz = [bring_to_40_khz(sweep, rate_hz) for sweep in sweeps]
        name = (abf.adcNames[number].strip() or str(number)) if len(abf.adcUnits) > 1 else ''
        recordings.append(Recording(at_40_khz, rate_hz, simulated, name, _starts_s(abf, sweeps)))
    # pyABF's objects form reference cycles and live until the next garbage collection; this frees their arrays now.
    del abf.data, abf.sweepX, abf.sweepY
    return recordings


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


def several_currents_detail(names: Sequence[str]) -> str:
    """Describes a file with several currents, for its rejection."""
    return f'{len(names)} channels hold a current: {", ".join(names)}; name one with --channel'


def _current_channels(abf: pyabf.ABF, wanted: str | None) -> dict[int, float]:
    """Returns {channel number: pA per unit}."""
    units = [unit.strip() for unit in abf.adcUnits]
    names = [name.strip() for name in abf.adcNames]
    numbers = list(range(len(units)))
    if wanted is not None:
        # A name is more specific than a number.
        numbers = [number for number in numbers if names[number] == wanted] or [
            number for number in numbers if str(number) == wanted
        ]
        if not numbers:
            raise RecordingRejected('wrong_channel', f'no channel {wanted}; there are {", ".join(names)}')
    currents = {number: _PA_PER_UNIT[units[number]] for number in numbers if units[number] in _PA_PER_UNIT}
    in_pa = {number: factor for number, factor in currents.items() if units[number] == 'pA'}
    if currents:
        # Where one channel is in pA, those in other units are seldom the neuron's current.
        return in_pa or currents
    found = ', '.join(units[number] for number in numbers)
    if all(units[number] in _VOLTS for number in numbers):
        raise RecordingRejected('voltage', f'the channel is a voltage (in {found}); a current is needed')
    raise RecordingRejected('wrong_unit', f'expected a channel in pA, the {len(units)} channel(s) are in {found}')


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
