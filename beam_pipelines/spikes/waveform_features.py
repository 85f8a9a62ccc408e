"""Measures spikes: amplitude, noise, width, firing rate.

The width is the UDI (upstroke-downstroke interval): the time from the trough of a spike to the highest point after it.
On the published spike (A140313#073) the trough is at sample 42 and the peak at about sample 90, 1.2 ms later.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from beam_pipelines import domain

# Baseline and noise are measured on the window's first 0.5 ms: the downstroke starts later.
BASELINE_SAMPLES = 20

# A lower peak, as a share of the trough's depth, is not a peak: it is noise, or a tail that never returns to baseline.
_LEAST_PEAK_TO_TROUGH = 0.04
_REACH_OF_TROUGH = 1

# On a cell's mean spike. A narrow spike has its peak 0.15 ms after the trough; wider smoothing would move it.
_SMOOTHING_SD_MS = 0.04
# The parabola that locates the peak is fitted to the samples that reach this share of its height. A broad peak is flat
# and needs many samples: the noise on any three would move the peak by tenths of a ms.
_SHARE_OF_PEAK_FITTED = 0.85

# On single spikes, which are noisier, the peak is searched in a smoother curve and counts only if it stands out from
# the noise left there.
_SMOOTHING_SD_SAMPLES = 2.8
_WHITE_NOISE_LEFT = (2 * np.sqrt(np.pi) * _SMOOTHING_SD_SAMPLES) ** -0.5
_LEAST_PEAK_TO_NOISE = 3.0
_REACH_OF_PEAK = 6


@dataclasses.dataclass(frozen=True)
class SpikeMeasures:
    """The features of each of n spikes.

    Attributes
    ----------
    amplitude_pa : (n,) float64, depth of the trough below the baseline; positive.
    udi_ms : (n,) float64, from the trough to the peak after it; NaN where the spike is too noisy, or has no peak
        within the window. Very narrow spikes, below 0.4 ms, are measured about 0.1 ms too wide.
    noise_pa : (n,) float64, standard deviation of the 20 samples before the spike.
    snr : (n,) float64, amplitude divided by noise; NaN where these samples are all equal.
    """

    amplitude_pa: np.ndarray
    udi_ms: np.ndarray
    noise_pa: np.ndarray
    snr: np.ndarray


def measure_spikes(waveform: np.ndarray) -> SpikeMeasures:
    """Measures all single spikes of a cell at once.

    Parameters
    ----------
    waveform : (n, 160) float, pA, cut around their triggers.
    """
    amplitude_pa, noise_pa = measure_amplitude_pa(waveform), measure_noise_pa(waveform)
    with np.errstate(divide='ignore', invalid='ignore'):
        snr = np.where(noise_pa > 0, amplitude_pa / noise_pa, np.nan)
    return SpikeMeasures(amplitude_pa, _single_spikes_udi_ms(waveform, amplitude_pa, noise_pa), noise_pa, snr)


def measure_amplitude_pa(waveform: np.ndarray) -> np.ndarray:
    """Returns the depth of the trough below the baseline: (..., 160) pA -> (...) float64 pA, positive."""
    return -_from_baseline(waveform).min(axis=-1)


def measure_noise_pa(waveform: np.ndarray) -> np.ndarray:
    """Returns the standard deviation of the samples before each spike: (..., 160) pA -> (...) float64 pA."""
    return waveform[..., :BASELINE_SAMPLES].std(axis=-1, ddof=1, dtype=np.float64)


def measure_firing_rate_hz(trigger: np.ndarray) -> float:
    """Returns the rate from the median interval, robust to pauses and missed spikes; NaN below two spikes.

    Parameters
    ----------
    trigger : (n,) int64, sample index of each trigger at 40 kHz, in any order.
    """
    if len(trigger) < 2:
        return float('nan')
    return float(domain.SAMPLING_RATE_HZ / np.median(np.diff(np.sort(trigger))))


def measure_interval_cv(trigger: np.ndarray) -> float:
    """Returns the coefficient of variation of the intervals between spikes: their standard deviation by their mean.

    Near 0 in a cell that fires like a clock, 1 in one that fires at random. NaN below four spikes.

    Parameters
    ----------
    trigger : (n,) int64, sample index of each trigger at 40 kHz, in any order.
    """
    if len(trigger) < 4:
        return float('nan')
    intervals = np.diff(np.sort(trigger))
    return float(intervals.std(ddof=1) / intervals.mean())


def measure_udi_ms(mean_waveform_pa: np.ndarray, sampling_rate_hz: float) -> float:
    """Returns the UDI of a cell's mean spike, in ms.

    Parameters
    ----------
    mean_waveform_pa : (n_samples,) array
        Mean of a cell's spikes, in pA, aligned on their trigger; downward spikes with at least 20 samples before them.
    sampling_rate_hz : float

    Returns
    -------
    float
        NaN if the window holds no positive peak after the trough: the waveform does not return above baseline, is still
        rising at the window's end, or is not finite.
    """
    if mean_waveform_pa.size <= BASELINE_SAMPLES or not np.isfinite(mean_waveform_pa).all():
        return float('nan')
    waveform = _from_baseline(mean_waveform_pa)
    trough = int(np.argmin(waveform))
    if waveform[trough] >= 0 or waveform.size - trough < 4:
        return float('nan')

    sd_samples = _SMOOTHING_SD_MS * 1e-3 * sampling_rate_hz
    smooth = ndimage.gaussian_filter1d(
        waveform, sd_samples, mode='nearest', radius=max(1, int(np.ceil(3 * sd_samples)))
    )
    peak = trough + int(np.argmax(smooth[trough:]))
    if smooth[peak] < -_LEAST_PEAK_TO_TROUGH * waveform[trough] or peak == waveform.size - 1:
        return float('nan')

    low = smooth < _SHARE_OF_PEAK_FITTED * smooth[peak]
    first = peak - int(np.argmax(low[peak::-1])) + 1  # the trough is low, so this side always has one
    low_after = np.flatnonzero(low[peak:])
    last = peak + int(low_after[0]) - 1 if low_after.size else waveform.size - 1
    # As many samples on each side: otherwise the slower side of the peak would pull the parabola towards it.
    reach = max(1, min(peak - first, last - peak))
    peak_offset = _vertex(smooth[np.newaxis], np.array([peak]), reach)[0]
    trough_offset = _vertex(waveform[np.newaxis], np.array([trough]), _REACH_OF_TROUGH)[0]
    return float((peak + peak_offset - trough - trough_offset) / sampling_rate_hz * 1e3)


def _single_spikes_udi_ms(waveform: np.ndarray, amplitude_pa: np.ndarray, noise_pa: np.ndarray) -> np.ndarray:
    waveform = _from_baseline(waveform)
    trough = np.argmin(waveform, axis=1)
    smooth = ndimage.gaussian_filter1d(waveform, _SMOOTHING_SD_SAMPLES, axis=1, mode='nearest')
    # Few of the 20 smoothed samples are independent, so the white noise that smoothing leaves is the lower bound.
    left_pa = np.maximum(measure_noise_pa(smooth), _WHITE_NOISE_LEFT * noise_pa)
    sample = np.arange(waveform.shape[1])
    peak = np.argmax(np.where(sample > trough[:, np.newaxis], smooth, -np.inf), axis=1)
    peak_pa = np.take_along_axis(smooth, peak[:, np.newaxis], axis=1)[:, 0]
    measurable = (
        (peak_pa >= _LEAST_PEAK_TO_TROUGH * amplitude_pa)
        & (peak_pa >= _LEAST_PEAK_TO_NOISE * left_pa)
        & (peak > trough)
        & (peak < sample[-1])
    )
    interval = peak + _vertex(smooth, peak, _REACH_OF_PEAK) - trough - _vertex(waveform, trough, _REACH_OF_TROUGH)
    return np.where(measurable, interval / domain.SAMPLING_RATE_HZ * 1e3, np.nan)


def _from_baseline(waveform: np.ndarray) -> np.ndarray:
    """Returns waveforms relative to their baselines: (..., 160) -> (..., 160) float64."""
    waveform = waveform.astype(np.float64)
    return waveform - np.median(waveform[..., :BASELINE_SAMPLES], axis=-1, keepdims=True)


def _vertex(waveform: np.ndarray, centre: np.ndarray, reach: int) -> np.ndarray:
    """Returns where the extremum of a parabola fitted to ``centre`` +- ``reach`` lies, in samples from ``centre``.

    Parameters
    ----------
    waveform : (n, samples) float64.
    centre : (n,) int, one sample of each waveform.
    """
    offset = np.arange(-reach, reach + 1)
    at = np.clip(centre[:, np.newaxis] + offset, 0, waveform.shape[1] - 1)
    slope_of, curvature_of = np.linalg.pinv(np.vander(offset, 3))[[1, 0]]
    near = np.take_along_axis(waveform, at, axis=1)
    slope, curvature = near @ slope_of, near @ curvature_of
    with np.errstate(divide='ignore', invalid='ignore'):
        vertex = np.where(curvature != 0, -slope / (2 * curvature), 0.0)
    return np.clip(vertex, -reach, reach)
