"""What the recordings were like that a model was trained on, to compare a new one with: ``training_range.npz``."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class TrainingRange:
    """Of each of the n cells of ``original/train``.

    Attributes
    ----------
    label : (n,) int64, 0 SER, 1 NSER.
    mean_waveform : (n, 160) float32, pA.
    udi_ms : (n,) float64, of the mean spike; NaN where it cannot be measured.
    amplitude_pa : (n,) float64, depth of the mean spike's trough below the level before it.
    noise_pa : (n,) float64, standard deviation of the samples before the spikes.
    firing_rate_hz : (n,) float64, by the median interval between triggers; NaN with fewer than two spikes.
    n_spikes : (n,) int64.
    """

    label: np.ndarray
    mean_waveform: np.ndarray
    udi_ms: np.ndarray
    amplitude_pa: np.ndarray
    noise_pa: np.ndarray
    firing_rate_hz: np.ndarray
    n_spikes: np.ndarray
