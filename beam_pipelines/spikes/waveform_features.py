"""The width of a spike, measured on a cell's mean spike: the UDI (upstroke-downstroke interval).

UDI := the time from the trough of the mean spike to the highest point after it. On the published spike
(A140313#073) the trough is at sample 42 and the peak at about sample 90, 1.2 ms later.
"""

import numpy as np

# A peak lower than this share of the trough's depth is no peak: it is noise, or a tail that never comes back.
_LEAST_PEAK_TO_TROUGH = 0.04
# A narrow spike has its peak 0.15 ms after the trough, and smoothing wider than this would move it.
_SMOOTHING_SD_MS = 0.04
# The peak is placed by a parabola through the samples that reach this share of its height. A broad peak is flat, so it
# needs the many samples it has: the noise on any three of them moves the highest one by tenths of a ms.
_SHARE_OF_PEAK_FITTED = 0.85
_SAMPLES_OF_BASELINE = 20


def measure_udi_ms(mean_waveform_pa: np.ndarray, sampling_rate_hz: float) -> float:
    """Returns the UDI of a mean spike, in ms.

    Parameters
    ----------
    mean_waveform_pa : (n_samples,) array
        Mean of a cell's spikes, in pA, aligned on their trigger; downward spikes with at least 20 samples before them.
    sampling_rate_hz : float

    Returns
    -------
    float
        NaN if the window holds no positive peak after the trough: the waveform does not come back above the level
        before the spike, or is still rising at the window's end, or is not finite.
    """
    waveform = np.asarray(mean_waveform_pa, dtype=np.float64)
    if waveform.size <= _SAMPLES_OF_BASELINE or not np.isfinite(waveform).all():
        return float('nan')
    waveform = waveform - np.median(waveform[:_SAMPLES_OF_BASELINE])
    trough = int(np.argmin(waveform))
    if waveform[trough] >= 0 or waveform.size - trough < 4:
        return float('nan')

    smooth = _smoothed(waveform, _SMOOTHING_SD_MS * 1e-3 * sampling_rate_hz)
    peak = trough + int(np.argmax(smooth[trough:]))
    if smooth[peak] < -_LEAST_PEAK_TO_TROUGH * waveform[trough] or peak == waveform.size - 1:
        return float('nan')

    low = smooth < _SHARE_OF_PEAK_FITTED * smooth[peak]
    first = peak - int(np.argmax(low[peak::-1])) + 1  # the trough is low, so there is always one on this side
    low_after = np.flatnonzero(low[peak:])
    last = peak + int(low_after[0]) - 1 if low_after.size else waveform.size - 1
    # The same number of samples on both sides: the slower side of a peak would pull the parabola towards it.
    reach = max(1, min(peak - first, last - peak))
    return (peak + _vertex(smooth, peak, reach) - trough - _vertex(waveform, trough, 1)) / sampling_rate_hz * 1e3


def _smoothed(waveform: np.ndarray, sd_samples: float) -> np.ndarray:
    reach = max(1, int(np.ceil(3 * sd_samples)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sd_samples) ** 2)
    return np.convolve(np.pad(waveform, reach, mode='edge'), kernel / kernel.sum(), mode='valid')


def _vertex(waveform: np.ndarray, centre: int, reach: int) -> float:
    """Returns where the extremum of a parabola fitted to ``centre`` +- ``reach`` lies, in samples from ``centre``."""
    reach = min(reach, centre, waveform.size - 1 - centre)
    if reach < 1:
        return 0.0
    offset = np.arange(-reach, reach + 1)
    curvature, slope, _ = np.polyfit(offset, waveform[centre - reach : centre + reach + 1], 2)
    if curvature == 0:
        return 0.0
    return float(np.clip(-slope / (2 * curvature), -reach, reach))
