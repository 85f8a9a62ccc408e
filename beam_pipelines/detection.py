"""Finds spikes in a sweep: threshold triggers and the 160-sample windows around them."""

from __future__ import annotations

import numpy as np

from beam_pipelines import domain


def find_triggers(current_pa: np.ndarray, threshold_pa: float = domain.TRIGGER_PA) -> np.ndarray:
    """Finds the triggers of one sweep.

    A trigger is the first sample at or below the threshold after the signal was above it, at least one spike window
    (160 samples) after the last trigger. Source: ``published_method.md``, "Recordings".

    Parameters
    ----------
    current_pa : (n,) float, current in pA at 40 kHz.
    threshold_pa : threshold in pA.

    Returns
    -------
    (k,) int64, sample indices in rising order.
    """
    below = current_pa <= threshold_pa
    crossings = np.flatnonzero(below[1:] & ~below[:-1]) + 1
    triggers = []
    position = 0
    # One step an accepted trigger, however many times noise crosses the threshold within its window.
    while position < len(crossings):
        triggers.append(crossings[position])
        position = np.searchsorted(crossings, crossings[position] + domain.SPIKE_SAMPLES)
    return np.array(triggers, np.int64)


def cut_windows(current_pa: np.ndarray, triggers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cuts the spike window of each trigger that fits in the sweep.

    Parameters
    ----------
    current_pa : (n,) float32, one sweep in pA.
    triggers : (k,) int64, sample indices in the sweep.

    Returns
    -------
    waveforms : (m, 160) float32, from 40 samples before the trigger on.
    kept : (k,) bool, False where the window does not fit in the sweep; ``kept.sum() == m``.
    """
    first = triggers - domain.SAMPLES_BEFORE_TRIGGER
    kept = (first >= 0) & (first + domain.SPIKE_SAMPLES <= len(current_pa))
    windows = first[kept, np.newaxis] + np.arange(domain.SPIKE_SAMPLES)
    return current_pa[windows].astype(np.float32, copy=False), kept
