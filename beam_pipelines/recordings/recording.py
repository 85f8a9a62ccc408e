"""A recording of a current, and how it is brought to 40 kHz."""

from __future__ import annotations

import dataclasses
import datetime
import fractions
from collections.abc import Sequence

import numpy as np

from beam_pipelines import domain
from beam_pipelines.recordings.limits import check_samples
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.recordings.sources import RECORDED

# Sampled more slowly than this, a 4 ms spike loses the shape that the networks use.
_MIN_RESAMPLED_RATE_HZ = 10_000
# No rig is faster, and a header that says so is damaged.
_MAX_RESAMPLED_RATE_HZ = 1_000_000
# The ratio of the rates as a fraction: a larger denominator needs a filter longer than many recordings.
_MOST_DENOMINATOR = 1000

# A shorter pause between sweeps, in samples, is a rounding error.
_LEAST_GAP = 1.5

# No shape shows such a difference; rates from intervals of 25 us have it by rounding, those of some clocks truly.
_RATE_TOLERANCE_HZ = 1
# Rates of sweeps that differ by less are one rate with rounding errors.
_SAME_RATE = 1e-6


@dataclasses.dataclass(frozen=True)
class RecordedCurrent:
    """A current as a file holds it.

    Attributes
    ----------
    sweeps : arrays of (n,) float32 in pA; a gap-free recording is one sweep.
    sampling_rate_hz : the file's own rate.
    name : of its channel or series; empty if it has none.
    sweep_starts_s : when each sweep started, in s from the first; empty if they follow each other without gaps, or the
        file does not say.
    source : ``recorded``, or the name of what made the file, by its mark; see ``sources``.
    stimulus_steps : for each sweep, (k,) int64, at which of its samples the stimulus jumped; empty if not known.
    start_s : when the first sweep started, on the clock of the file; 0 where it has none.
    started : when the first sweep started, with a time zone if the file has one, else local; None if not known.
    """

    sweeps: list[np.ndarray]
    sampling_rate_hz: float
    name: str = ''
    sweep_starts_s: tuple[float, ...] = ()
    source: str = RECORDED
    stimulus_steps: Sequence[np.ndarray] = ()
    start_s: float = 0.0
    started: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Recording:
    """The current of one cell.

    Attributes
    ----------
    sweeps : arrays of (n,) float32 in pA at 40 kHz; a gap-free recording is one sweep.
    sampling_rate_hz : the file's own rate; not 40 kHz if the sweeps were resampled.
    channel : name of its channel or series; empty if it has none.
    sweep_starts_s : when each sweep started, in s from the first; empty if they follow each other without gaps.
    source : ``recorded``, or the name of what made the file, by its mark; see ``sources``.
    stimulus_steps : (k,) int64, at which samples the stimulus jumped, in the sweeps one after the other, ascending.
    start_s : when the first sweep started, on the clock of the file; 0 where it has none.
    samples_per_s : of the sweeps, on the clock of the file; 40,000 but for a difference too small to resample for.
    started : when the first sweep started, with a time zone if the file has one, else local; None if not known.
    """

    sweeps: list[np.ndarray]
    sampling_rate_hz: float
    source: str = RECORDED
    channel: str = ''
    sweep_starts_s: tuple[float, ...] = ()
    stimulus_steps: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    start_s: float = 0.0
    samples_per_s: float = domain.SAMPLING_RATE_HZ
    started: datetime.datetime | None = None

    @property
    def duration_s(self) -> float:
        """Total length of all sweeps."""
        return sum(map(len, self.sweeps)) / self.samples_per_s

    @property
    def intervals_s(self) -> list[tuple[float, float]]:
        """Start and end of each sweep, in s from the start of the first; sweeps without a gap are one interval."""
        if not self.sweep_starts_s:
            return [(0.0, self.duration_s)]
        return [
            (start, start + len(sweep) / self.samples_per_s)
            for start, sweep in zip(self.sweep_starts_s, self.sweeps, strict=True)
        ]

    def seconds_at(self, sample: np.ndarray) -> np.ndarray:
        """Returns when samples were recorded: (n,) int64 in the sweeps one after the other -> (n,) float64 in s."""
        if not self.sweep_starts_s:
            return sample / self.samples_per_s
        first = np.cumsum([0, *map(len, self.sweeps)])[:-1]
        sweep = np.searchsorted(first, sample, side='right') - 1
        return np.array(self.sweep_starts_s)[sweep] + (sample - first[sweep]) / self.samples_per_s


def starts_with_gaps(
    starts_s: Sequence[float], sweeps: Sequence[np.ndarray], sampling_rate_hz: float
) -> tuple[float, ...]:
    """Returns when each sweep started, in s from the first; nothing if they follow each other or it is not known.

    Parameters
    ----------
    starts_s : as a file has them; all the same where it does not know.
    sweeps : (n,) arrays, in the order of time.
    sampling_rate_hz : of the sweeps.
    """
    with np.errstate(all='ignore'):  # A rate that makes no sense is rejected later.
        starts = np.array(starts_s) - starts_s[0]
        pauses = np.diff(starts) * sampling_rate_hz - np.array([len(sweep) for sweep in sweeps[:-1]])
    if not len(pauses) or pauses.min() < -_LEAST_GAP or pauses.max() <= _LEAST_GAP:
        return ()
    return tuple(starts.tolist())


def common_rate_hz(rates_hz: Sequence[float], parts: str) -> float:
    """Returns the one sampling rate of a recording.

    Parameters
    ----------
    rates_hz : of its parts; there is at least one.
    parts : what these are, for the rejection.

    Raises
    ------
    RecordingRejected
        If they differ by more than a rounding error.
    """
    lowest, highest = min(rates_hz), max(rates_hz)
    if highest - lowest > _SAME_RATE * highest:
        raise RecordingRejected('wrong_rate', f'{parts} of {lowest:.10g} to {highest:.10g} Hz')
    return rates_hz[0]


def in_order_of_time(
    starts_s: Sequence[float], sweeps: Sequence[np.ndarray], sampling_rate_hz: float, name: str
) -> RecordedCurrent:
    """Returns the current of sweeps as a library holds them in memory; those with the same start stay in their order.

    Parameters
    ----------
    starts_s : as the library has them.
    sweeps : (n,) float32 in pA; empty ones are left out.
    sampling_rate_hz : of the sweeps.
    name : of the channel.

    Raises
    ------
    RecordingRejected
        If there is no sample.
    """
    order = [number for number in np.argsort(starts_s, kind='stable') if len(sweeps[number])]
    if not order:
        raise RecordingRejected('no_spikes', 'it holds no sample')
    ordered = [sweeps[number] for number in order]
    starts = starts_with_gaps([starts_s[number] for number in order], ordered, sampling_rate_hz)
    return RecordedCurrent(ordered, sampling_rate_hz, name, starts)


def at_40_khz(current: RecordedCurrent, resample: bool) -> Recording:
    """Returns a current as a recording at 40 kHz.

    Parameters
    ----------
    current : as it was read.
    resample : resample other rates, from 10 kHz up; without it they are rejected.

    Raises
    ------
    RecordingRejected
        If the rate is not accepted, or a sample is not a finite number.
    """
    rate_hz = _usable_rate_hz(current.sampling_rate_hz, resample)
    if not all(np.isfinite(sweep).all() for sweep in current.sweeps):
        raise RecordingRejected('not_finite', 'a sample is not a finite number')
    check_samples(int(sum(map(len, current.sweeps)) * domain.SAMPLING_RATE_HZ / rate_hz))
    ratio = fractions.Fraction(domain.SAMPLING_RATE_HZ / rate_hz).limit_denominator(_MOST_DENOMINATOR)
    sweeps = _resample(current.sweeps, ratio)
    starts = np.cumsum([0, *map(len, sweeps)])
    steps = [
        np.round(of_sweep * domain.SAMPLING_RATE_HZ / rate_hz).astype(np.int64) + start
        for of_sweep, start in zip(current.stimulus_steps, starts, strict=False)
    ]
    stimulus = np.concatenate([np.empty(0, np.int64), *steps])
    return Recording(
        sweeps,
        rate_hz,
        current.source,
        current.name,
        current.sweep_starts_s,
        stimulus_steps=stimulus,
        start_s=current.start_s,
        samples_per_s=current.sampling_rate_hz * ratio.numerator / ratio.denominator,
        started=current.started,
    )


def _usable_rate_hz(rate_hz: float, resample: bool) -> float:
    """Returns the sampling rate, without rounding errors, if it is 40 kHz or may be resampled."""
    if abs(rate_hz - domain.SAMPLING_RATE_HZ) <= _RATE_TOLERANCE_HZ:
        return domain.SAMPLING_RATE_HZ
    if not resample:
        raise RecordingRejected(
            'wrong_rate', f'{rate_hz:g} Hz, expected {domain.SAMPLING_RATE_HZ} Hz (--resample takes other rates)'
        )
    if not rate_hz >= _MIN_RESAMPLED_RATE_HZ:
        raise RecordingRejected('wrong_rate', f'{rate_hz:g} Hz is too slow to resample a 4 ms spike from')
    if rate_hz > _MAX_RESAMPLED_RATE_HZ:
        raise RecordingRejected('wrong_rate', f'{rate_hz:g} Hz is more than the {_MAX_RESAMPLED_RATE_HZ} Hz of any rig')
    return rate_hz


def _resample(sweeps: list[np.ndarray], ratio: fractions.Fraction) -> list[np.ndarray]:
    """Resamples arrays of (n,) float32 to a multiple of their rate; if that is the same, returns them as they are."""
    if ratio == 1:
        return sweeps
    from scipy import signal  # Imported here because most recordings never need it.

    up, down = ratio.numerator, ratio.denominator
    # SciPy's own filter, designed once and not for each sweep: it may have tens of thousands of taps.
    taps = signal.firwin(20 * max(up, down) + 1, 1 / max(up, down), window=('kaiser', 5.0)).astype(np.float32)
    return [signal.resample_poly(sweep, up, down, window=taps).astype(np.float32) for sweep in sweeps]
