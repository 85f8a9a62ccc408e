"""The running baseline of a recording: holding current, drift and mains hum, which are taken off before detection.

The current is summarised by the medians of 5 ms blocks, and the baseline is the running median of these over 0.1 s: a
spike fills too little of it to pull it. Hum is too fast for that, and is fitted as sine waves.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import fft, ndimage

from beam_pipelines import domain

_BLOCK_SAMPLES = 200
_BLOCK_STRIDE = 8  # a median of 25 samples is steady enough
_BLOCKS_PER_S = domain.SAMPLING_RATE_HZ / _BLOCK_SAMPLES
_MEDIAN_BLOCKS = 21
_MEAN_BLOCKS = 20  # whole periods of 50 and of 60 Hz, so that hum is not taken for baseline

# The current of an amplifier set to zero stays within this, but for moments in bursts of spikes. Such a baseline is
# taken as zero, so that the spikes are the same as without a baseline.
_ZERO_PA = 2.0
_SHARE_WITHIN_ZERO, _MOST_IN_BURSTS_PA = 0.99, 5.0

# Weaker hum hardly moves a trigger; it is noise like any other.
_LEAST_HUM_PA = 5.0
_MAINS_HZ = (50.0, 60.0)
_MAINS_TOLERANCE_HZ = 0.5
_HARMONICS = 5
_LEAST_SAMPLES_OF_HUM = domain.SAMPLING_RATE_HZ // 2
# Hum is fitted in windows of 1 s that overlap by half, because its amplitude changes.
_HUM_WINDOW = domain.SAMPLING_RATE_HZ


@dataclasses.dataclass(frozen=True)
class Baseline:
    """What was taken off a sweep.

    Attributes
    ----------
    low_pa, high_pa : the range of the slow baseline; both 0 if it was taken as zero.
    hum_pa, hum_hz : amplitude and frequency of the mains hum; both 0 if there was none to take off.
    """

    low_pa: float = 0.0
    high_pa: float = 0.0
    hum_pa: float = 0.0
    hum_hz: float = 0.0


def subtract_baseline(current_pa: np.ndarray) -> tuple[np.ndarray, Baseline]:
    """Takes the running baseline and the hum off a sweep.

    Parameters
    ----------
    current_pa : (n,) float32, one sweep in pA at 40 kHz.

    Returns
    -------
    (n,) float32 relative to the baseline, and what was taken off. A sweep whose baseline stays within 2 pA of zero, and
    that has no hum of 5 pA or more, is returned as it is.
    """
    blocks = _block_medians(current_pa)
    mean = ndimage.uniform_filter1d(blocks, _MEAN_BLOCKS, mode='nearest')
    hum_hz, hum_pa = _find_hum(blocks - mean, len(current_pa))
    if hum_pa:
        current_pa = current_pa - _fit_hum(current_pa - _at_every_sample(mean, len(current_pa)), hum_hz)
        blocks = _block_medians(current_pa)
    slow = _running_median(blocks)
    if np.quantile(np.abs(slow), _SHARE_WITHIN_ZERO) <= _ZERO_PA and np.abs(slow).max() <= _MOST_IN_BURSTS_PA:
        return current_pa, Baseline(hum_pa=hum_pa, hum_hz=hum_hz)
    baseline = Baseline(float(slow.min()), float(slow.max()), hum_pa, hum_hz)
    return current_pa - _at_every_sample(slow, len(current_pa)), baseline


def _block_medians(current_pa: np.ndarray) -> np.ndarray:
    """Returns the median of each block, (n // 200,) float32; of the whole sweep if it is shorter than a block."""
    blocks = len(current_pa) // _BLOCK_SAMPLES
    if not blocks:
        return np.median(current_pa, keepdims=True) if len(current_pa) else np.zeros(1, np.float32)
    samples = current_pa[: blocks * _BLOCK_SAMPLES].reshape(blocks, _BLOCK_SAMPLES)[:, ::_BLOCK_STRIDE]
    middle = samples.shape[1] // 2
    return np.partition(samples, middle, axis=1)[:, middle]


def _running_median(blocks: np.ndarray) -> np.ndarray:
    # SciPy 1.15 filters an array that is shorter than the window wrongly.
    half = _MEDIAN_BLOCKS // 2
    return ndimage.median_filter(np.pad(blocks, half, mode='edge'), _MEDIAN_BLOCKS)[half:-half]


def _at_every_sample(blocks: np.ndarray, samples: int) -> np.ndarray:
    """Interpolates between the centres of the blocks: (n // 200,) -> (n,) float32."""
    centre = (np.arange(len(blocks)) + 0.5) * _BLOCK_SAMPLES
    return np.interp(np.arange(samples), centre, blocks).astype(np.float32)


def _find_hum(blocks: np.ndarray, samples: int) -> tuple[float, float]:
    """Returns frequency in Hz and amplitude in pA of the mains hum in the blocks of a sweep; zeros if it is weak."""
    if samples < _LEAST_SAMPLES_OF_HUM:
        return 0.0, 0.0
    # Between two frequencies of this spectrum, the amplitude looks smaller by 15 % at most.
    if _spectral_peak(blocks, len(blocks))[1] < 0.8 * _LEAST_HUM_PA:
        return 0.0, 0.0
    hum_hz, hum_pa = _spectral_peak(blocks, 8 * len(blocks))
    return (hum_hz, hum_pa) if hum_pa >= _LEAST_HUM_PA else (0.0, 0.0)


def _spectral_peak(blocks: np.ndarray, samples: int) -> tuple[float, float]:
    """Returns frequency and amplitude of the peak near a mains frequency, in a spectrum of blocks padded to samples."""
    window = hann_window(len(blocks))
    padded = fft.next_fast_len(samples, real=True)
    spectrum = np.abs(fft.rfft(blocks * window, padded)) * (2 / window.sum())
    frequency = fft.rfftfreq(padded, 1 / _BLOCKS_PER_S)
    near = np.zeros(len(frequency), bool)
    for mains_hz in _MAINS_HZ:
        near |= np.abs(frequency - mains_hz) <= _MAINS_TOLERANCE_HZ + _BLOCKS_PER_S / len(blocks)
    peak = int(np.argmax(np.where(near, spectrum, 0)))
    return float(frequency[peak]), float(spectrum[peak])


def hann_window(samples: int) -> np.ndarray:
    """Returns a periodic Hann window, (samples,) float32: ``scipy.signal``'s, which takes a second to import."""
    return (0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, samples + 1)))[:-1].astype(np.float32)


def _fit_hum(current_pa: np.ndarray, hum_hz: float) -> np.ndarray:
    """Fits the hum and its harmonics to a sweep without slow baseline: (n,) -> (n,) float32."""
    window = min(_HUM_WINDOW, len(current_pa) // 2 * 2)
    taper = hann_window(window)
    phase = 2 * np.pi * hum_hz / domain.SAMPLING_RATE_HZ * np.arange(window)
    waves = np.concatenate([np.stack([np.cos(k * phase), np.sin(k * phase)]) for k in range(1, _HARMONICS + 1)])
    fit = np.linalg.pinv(waves).astype(np.float32)
    waves = waves.astype(np.float32)
    hum, weight = np.zeros_like(current_pa), np.zeros_like(current_pa)
    last = len(current_pa) - window
    for start in sorted({*range(0, last, window // 2), last}):
        part = slice(start, start + window)
        hum[part] += taper * ((current_pa[part] @ fit) @ waves)
        weight[part] += taper
    # The taper falls to zero at the ends of the sweep, which only one window covers.
    first, final = slice(0, window // 2), slice(last + window // 2, None)
    hum[first] = (current_pa[:window] @ fit) @ waves[:, : window // 2]
    hum[final] = (current_pa[last:] @ fit) @ waves[:, window // 2 :]
    weight[first] = weight[final] = 1
    return hum / weight
