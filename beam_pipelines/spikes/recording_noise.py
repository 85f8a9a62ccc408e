"""Measures the level and the noise of a whole recording, which its spikes hardly change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The standard deviation of normal noise over its median absolute deviation.
_SD_OVER_MAD = 1.4826
# As many samples give the noise to within a few percent.
_SAMPLES = 100_000


def measure_level_and_deviation(sweeps: Sequence[np.ndarray]) -> tuple[float, float]:
    """Returns the median of a recording's samples and their median absolute deviation; zeros if there are none."""
    stretches = [sweep[:: max(1, len(sweep) * len(sweeps) // _SAMPLES)] for sweep in sweeps]
    samples = np.concatenate(stretches) if stretches else np.empty(0, np.float32)
    if not len(samples):
        return 0.0, 0.0
    level = np.median(samples)
    return float(level), float(np.median(np.abs(samples - level)))


def measure_recording_noise_pa(sweeps: Sequence[np.ndarray]) -> float:
    """Returns the standard deviation of the noise between the spikes."""
    return _SD_OVER_MAD * measure_level_and_deviation(sweeps)[1]
