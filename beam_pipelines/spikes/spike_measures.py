"""Measures single spikes: amplitude, width (UDI), signal-to-noise ratio. All spikes of a cell at once."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from beam_pipelines import domain

# The level before the spike and the noise are of the window's first 0.5 ms: the downstroke begins after it.
BASELINE_SAMPLES = 20

# A single spike is noisier than a cell's mean, on which `spike_width` measures: its peak is looked for in a smoother
# curve, and counts only if it stands out of what noise is left in that.
_SMOOTHING_SD_SAMPLES = 2.8
_WHITE_NOISE_LEFT = (2 * np.sqrt(np.pi) * _SMOOTHING_SD_SAMPLES) ** -0.5
_LEAST_PEAK_TO_NOISE = 3.0
_LEAST_PEAK_TO_TROUGH = 0.04
_REACH_OF_PEAK = 6
_REACH_OF_TROUGH = 1


@dataclasses.dataclass(frozen=True)
class SpikeMeasures:
    """Of each of n spikes.

    Attributes
    ----------
    amplitude_pa : (n,) float64, depth of the trough below the level before the spike; positive.
    udi_ms : (n,) float64, from the trough to the peak after it; NaN where the spike is too noisy to tell, or has no
        peak within the window. Very narrow spikes, below 0.4 ms, come out some 0.1 ms wider than they are.
    noise_pa : (n,) float64, standard deviation of the 20 samples before the spike.
    snr : (n,) float64, amplitude by noise; NaN where these samples are all the same.
    """

    amplitude_pa: np.ndarray
    udi_ms: np.ndarray
    noise_pa: np.ndarray
    snr: np.ndarray


def measure_spikes(waveform: np.ndarray) -> SpikeMeasures:
    """Measures spikes.

    Parameters
    ----------
    waveform : (n, 160) float, pA, cut around their triggers.
    """
    waveform = waveform.astype(np.float64)
    before = waveform[:, :BASELINE_SAMPLES]
    waveform = waveform - np.median(before, axis=1, keepdims=True)
    trough = np.argmin(waveform, axis=1)
    amplitude_pa = -np.take_along_axis(waveform, trough[:, np.newaxis], axis=1)[:, 0]
    noise_pa = before.std(axis=1, ddof=1)
    with np.errstate(divide='ignore', invalid='ignore'):
        snr = np.where(noise_pa > 0, amplitude_pa / noise_pa, np.nan)
    return SpikeMeasures(amplitude_pa, _udi_ms(waveform, trough, amplitude_pa, noise_pa), noise_pa, snr)


def _udi_ms(waveform: np.ndarray, trough: np.ndarray, amplitude_pa: np.ndarray, noise_pa: np.ndarray) -> np.ndarray:
    smooth = ndimage.gaussian_filter1d(waveform, _SMOOTHING_SD_SAMPLES, axis=1, mode='nearest')
    # Of 20 samples few are independent once they are smoothed: what smoothing leaves of white noise is the least.
    left_pa = np.maximum(smooth[:, :BASELINE_SAMPLES].std(axis=1, ddof=1), _WHITE_NOISE_LEFT * noise_pa)
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


def _vertex(waveform: np.ndarray, centre: np.ndarray, reach: int) -> np.ndarray:
    """Returns where the extremum of a parabola fitted to ``centre`` +- ``reach`` lies, in samples from ``centre``."""
    offset = np.arange(-reach, reach + 1)
    at = np.clip(centre[:, np.newaxis] + offset, 0, waveform.shape[1] - 1)
    slope_of, curvature_of = np.linalg.pinv(np.vander(offset, 3))[[1, 0]]
    near = np.take_along_axis(waveform, at, axis=1)
    slope, curvature = near @ slope_of, near @ curvature_of
    with np.errstate(divide='ignore', invalid='ignore'):
        vertex = np.where(curvature != 0, -slope / (2 * curvature), 0.0)
    return np.clip(vertex, -reach, reach)
