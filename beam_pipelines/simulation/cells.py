"""Simulated cells: the waveform of a cell's spikes, how it varies, and when the cell fires.

They stand in for real recordings, which not everyone has. They have the published spike widths, a waveform like
the published one, and two classes that overlap in every trait. They say nothing about real neurons.
"""

import dataclasses

import numpy as np

# The current of a spike lasts from here to the end of the hump's tail.
WAVEFORM_START_MS = -0.6
WAVEFORM_STOP_MS = 12.0

LOWEST_AMPLITUDE_PA, HIGHEST_AMPLITUDE_PA = 58.0, 150.0
# A window of 160 samples ends 3 ms after the trigger; the peak of a wider spike lies outside it.
WIDEST_UDI_MS = 2.75
REFRACTORY_S = 0.020
RATES_HZ = (0.5, 5.0)  # the slowest and the fastest cell

_ENOUGH_S = 30.0  # a recording of few spikes may begin late, or fire unevenly

_DOWNSTROKE_SD_MS = 0.05
_UPSTROKE_SD_MS = 0.075
_SHOULDER_MS = -0.115
_SHOULDER_SD_MS = 0.04
# A shoulder that reached -50 pA would move the trigger of some spikes from the trough to the shoulder.
_DEEPEST_SHOULDER_PA = 40.0


@dataclasses.dataclass(frozen=True)
class ClassTraits:
    """How the cells of a class vary: each pair is the mean and the standard deviation over cells.

    Attributes
    ----------
    shoulder : (float, float)
        Depth of the notch on the downstroke, as a share of the trough's.
    hump : (float, float)
        Height of the positive peak, as a share of the trough's depth.
    tail_ms : (float, float)
        How slowly the hump decays.
    median_rate_hz : float
        Firing rate; its logarithm has a standard deviation of 0.4 over cells.
    interval_cv : (float, float)
        Lowest and highest coefficient of variation of the intervals between spikes.
    """

    shoulder: tuple[float, float]
    hump: tuple[float, float]
    tail_ms: tuple[float, float]
    median_rate_hz: float
    interval_cv: tuple[float, float]


CLASS_TRAITS = {
    'SER': ClassTraits(
        shoulder=(0.42, 0.05), hump=(0.19, 0.035), tail_ms=(0.55, 0.10), median_rate_hz=2.6, interval_cv=(0.10, 0.35)
    ),
    'NSER': ClassTraits(
        shoulder=(0.28, 0.05), hump=(0.27, 0.035), tail_ms=(0.35, 0.08), median_rate_hz=3.1, interval_cv=(0.30, 0.80)
    ),
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One simulated cell; ``shoulder``, ``hump`` and ``tail_ms`` as in `ClassTraits`.

    Attributes
    ----------
    udi_ms : float
        From the trough to the peak of the mean spike.
    amplitude_pa : float
        Depth of the mean spike's trough, without noise.
    drift : float
        Relative change of the amplitude from the middle of the recording to its end, and from its start to its middle.
    rate_hz, interval_cv : float
        Mean rate and coefficient of variation of the intervals.
    """

    label_name: str
    udi_ms: float
    amplitude_pa: float
    drift: float
    shoulder: float
    hump: float
    tail_ms: float
    rate_hz: float
    interval_cv: float


@dataclasses.dataclass(frozen=True)
class SpikeVariation:
    """Standard deviations over the spikes of a cell, each relative to the cell's value."""

    amplitude: float = 0.03
    width: float = 0.05
    shoulder: float = 0.15
    hump: float = 0.15


SPIKE_VARIATION = SpikeVariation()


def draw_amplitude_pa(gain: float, rng: np.random.Generator) -> float:
    """Draws the depth of a cell's mean trough, in pA; ``gain`` multiplies it."""
    return float(np.clip(gain * rng.lognormal(np.log(88), 0.18), 72, 130))


def draw_drift(rng: np.random.Generator) -> float:
    """Draws a cell's drift, see `Cell`."""
    return float(rng.uniform(-0.08, 0.08))


def draw_cell(label_name: str, udi_ms: float, gain: float, rng: np.random.Generator) -> Cell:
    """Draws a cell of the class with the given spike width; ``gain`` multiplies its amplitude."""
    traits = CLASS_TRAITS[label_name]
    amplitude_pa = draw_amplitude_pa(gain, rng)
    return Cell(
        label_name=label_name,
        udi_ms=min(udi_ms, WIDEST_UDI_MS),
        amplitude_pa=amplitude_pa,
        drift=draw_drift(rng),
        shoulder=min(_normal_within_2_sd(traits.shoulder, rng), _DEEPEST_SHOULDER_PA / amplitude_pa),
        hump=_normal_within_2_sd(traits.hump, rng),
        tail_ms=_normal_within_2_sd(traits.tail_ms, rng),
        rate_hz=float(np.clip(rng.lognormal(np.log(traits.median_rate_hz), 0.4), *RATES_HZ)),
        interval_cv=float(rng.uniform(*traits.interval_cv)),
    )


def spike_times_s(cell: Cell, duration_s: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the times of the troughs, in s, ascending: gamma intervals, never closer than `REFRACTORY_S`.

    Every spike and the window around it lie within the recording.
    """
    mean_s = 1 / cell.rate_hz - REFRACTORY_S
    shape = (mean_s * cell.rate_hz / cell.interval_cv) ** 2
    n_enough = int(3 * duration_s * cell.rate_hz) + 50
    times_s = rng.uniform(0, mean_s) + np.cumsum(REFRACTORY_S + rng.gamma(shape, mean_s / shape, n_enough))
    return times_s[(times_s > 0.01) & (times_s < duration_s - 0.02)]


def firing_so_often(cell: Cell, n_spikes: int, duration_s: float) -> Cell:
    """Returns the cell with the firing rate that gives about ``n_spikes`` in ``duration_s``, within `RATES_HZ`."""
    return dataclasses.replace(cell, rate_hz=float(np.clip(n_spikes / duration_s, *RATES_HZ)))


def counted_spike_times_s(cell: Cell, n_spikes: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Returns the times of exactly ``n_spikes`` troughs, as `spike_times_s`, and a length in s that holds them."""
    times_s = spike_times_s(cell, 2 * n_spikes / cell.rate_hz + _ENOUGH_S, rng)[:n_spikes]
    return times_s, float(np.ceil(times_s[-1] + 0.02))


def spike_amplitudes_pa(mean_pa: float, drift: float, place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the depth of each trough, in pA, for spikes at ``place``: 0 is the recording's start and 1 its end."""
    amplitude_pa = mean_pa * (1 + drift * (2 * place - 1)) * _around_one(SPIKE_VARIATION.amplitude, place.size, rng)
    return np.clip(amplitude_pa, LOWEST_AMPLITUDE_PA, HIGHEST_AMPLITUDE_PA)


def add_spikes(
    current_pa: np.ndarray, cell: Cell, times_s: np.ndarray, sampling_rate_hz: float, rng: np.random.Generator
) -> None:
    """Adds the cell's spikes to ``current_pa`` (float32, at ``sampling_rate_hz``), each slightly different."""
    n_spikes = times_s.size
    variation = SPIKE_VARIATION
    place = times_s * sampling_rate_hz / current_pa.size
    amplitude_pa = spike_amplitudes_pa(cell.amplitude_pa, cell.drift, place, rng)
    width = _around_one(variation.width, n_spikes, rng)
    shoulder = _around_one(variation.shoulder, n_spikes, rng)
    hump = _around_one(variation.hump, n_spikes, rng)

    first = np.round((times_s + WAVEFORM_START_MS * 1e-3) * sampling_rate_hz).astype(np.int64)
    n_samples = int((WAVEFORM_STOP_MS - WAVEFORM_START_MS) * 1e-3 * sampling_rate_hz)
    sample = first[:, np.newaxis] + np.arange(n_samples)
    time_ms = (sample / sampling_rate_hz - times_s[:, np.newaxis]) * 1e3 / width[:, np.newaxis]
    spikes = mean_waveform(cell, time_ms, shoulder[:, np.newaxis], hump[:, np.newaxis])
    current_pa[sample] += (amplitude_pa[:, np.newaxis] * spikes).astype(current_pa.dtype)


def mean_waveform(
    cell: Cell, time_ms: np.ndarray, shoulder_factor: np.ndarray | float = 1.0, hump_factor: np.ndarray | float = 1.0
) -> np.ndarray:
    """Returns the cell's waveform at ``time_ms`` after the trough, as a share of the trough's depth.

    The factors, broadcast against ``time_ms``, scale the shoulder and the hump of single spikes.
    """
    hump_ms, depth = _hump_position_and_depth(cell)
    return _waveform(cell, time_ms, hump_ms, shoulder_factor, hump_factor) / depth


def _hump_position_and_depth(cell: Cell) -> tuple[float, float]:
    """Returns the hump position, in ms, that gives the cell's UDI, and the depth of the trough at that position.

    The upstroke shifts the peak of the sum away from the hump's own peak, most of all in a narrow spike.
    """
    grid_ms = np.arange(-0.2, 4.0, 0.002)
    hump_ms = cell.udi_ms
    for _ in range(20):
        waveform = _waveform(cell, grid_ms, hump_ms, 1.0, 1.0)
        trough = np.argmin(waveform)
        peak = trough + np.argmax(waveform[trough:])
        # Half a step at a time: whole steps can overshoot forever.
        hump_ms += 0.5 * (cell.udi_ms - (grid_ms[peak] - grid_ms[trough]))
    return hump_ms, -waveform[trough]


def _waveform(
    cell: Cell,
    time_ms: np.ndarray,
    hump_ms: float,
    shoulder_factor: np.ndarray | float,
    hump_factor: np.ndarray | float,
) -> np.ndarray:
    upstroke_sd_ms = min(_UPSTROKE_SD_MS, 0.22 * cell.udi_ms)
    rise_sd_ms = np.clip(0.4 * cell.udi_ms, 0.05, 0.5)
    trough = -_bell(time_ms, 0.0, _DOWNSTROKE_SD_MS, upstroke_sd_ms)
    shoulder = -cell.shoulder * shoulder_factor * _bell(time_ms, _SHOULDER_MS, _SHOULDER_SD_MS, _SHOULDER_SD_MS)
    hump = cell.hump * hump_factor * _bell(time_ms, hump_ms, rise_sd_ms, cell.tail_ms)
    after_ms = np.maximum(time_ms - hump_ms, 0.0)
    after = -0.5 * cell.hump * (after_ms / 3.0) ** 2 * np.exp(2 * (1 - after_ms / 3.0))
    return trough + shoulder + hump + after


def _bell(time_ms: np.ndarray, centre_ms: float, sd_before_ms: float, sd_after_ms: float) -> np.ndarray:
    from_centre_ms = time_ms - centre_ms
    return np.exp(-0.5 * (from_centre_ms / np.where(from_centre_ms < 0, sd_before_ms, sd_after_ms)) ** 2)


def _normal_within_2_sd(mean_and_sd: tuple[float, float], rng: np.random.Generator) -> float:
    mean, sd = mean_and_sd
    return float(mean + sd * np.clip(rng.standard_normal(), -2, 2))


def _around_one(sd: float, size: int, rng: np.random.Generator) -> np.ndarray:
    return 1 + sd * np.clip(rng.standard_normal(size), -3, 3)
