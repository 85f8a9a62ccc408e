"""Finds spikes in a sweep: threshold triggers and the 160-sample windows around them."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from beam_pipelines import domain
from beam_pipelines.spikes.events import are_at_steps, find_non_spikes

_NO_STEPS = np.empty(0, np.int64)


@dataclasses.dataclass(frozen=True)
class DetectedSpikes:
    """The spikes of a recording.

    Attributes
    ----------
    waveforms : (s, 160) float32, pA.
    triggers : (s,) int64, sample indices in the recording, ascending.
    found : all triggers of each sweep, (k,) int64, sample indices in the sweep; not all of them are spikes. Empty for
        spike CSVs, which have no sweeps.
    dropped : how many triggers are no spikes, by reason, see ``events.DROP_REASONS``.
    second_spikes : how many windows hold the beginning of another spike, which has no window of its own.
    """

    waveforms: np.ndarray
    triggers: np.ndarray
    found: tuple[np.ndarray, ...] = ()
    dropped: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    second_spikes: int = 0

    @property
    def triggers_found(self) -> int:
        """Number of triggers in all sweeps."""
        return sum(map(len, self.found))


def detect_spikes(sweeps: Sequence[np.ndarray], trigger_pa: float = domain.TRIGGER_PA) -> DetectedSpikes:
    """Finds the spikes of a recording and cuts them out; no window crosses a sweep boundary.

    Parameters
    ----------
    sweeps : arrays of (n,) float32 in pA at 40 kHz.
    trigger_pa : the threshold, negative.
    """
    waveforms, triggers, found, start = [], [], [], 0
    for current_pa in sweeps:
        found.append(find_triggers(current_pa, trigger_pa))
        cut, kept = cut_windows(current_pa, found[-1])
        waveforms.append(cut)
        triggers.append(found[-1][kept] + start)
        start += len(current_pa)
    spikes = DetectedSpikes(np.concatenate(waveforms), np.concatenate(triggers), tuple(found))
    without_window = spikes.triggers_found - len(spikes.triggers)
    return dataclasses.replace(spikes, dropped=+collections.Counter({'window': without_window}))


def drop_non_spikes(
    spikes: DetectedSpikes, recorded: Sequence[np.ndarray], stimulus_steps: np.ndarray = _NO_STEPS
) -> DetectedSpikes:
    """Leaves out the events that are no usable spikes, and counts them.

    Parameters
    ----------
    spikes : all events, from ``detect_spikes``.
    recorded : the recording's sweeps as they were recorded, before anything was taken off.
    stimulus_steps : (k,) int64, at which samples of the recording the stimulus jumped.
    """
    if not len(spikes.triggers):
        return spikes
    current = np.concatenate(recorded) if len(recorded) > 1 else recorded[0]
    windows, _ = cut_windows(current, spikes.triggers)
    rails = float(current.min()), float(current.max())
    reason = find_non_spikes(spikes.waveforms, windows, rails)
    reason[are_at_steps(spikes.triggers, stimulus_steps) & (reason != 'clipped')] = 'stimulus'
    kept = reason == ''
    dropped = spikes.dropped + collections.Counter(reason[~kept].tolist())
    return DetectedSpikes(spikes.waveforms[kept], spikes.triggers[kept], spikes.found, dropped)


def find_triggers(current_pa: np.ndarray, trigger_pa: float = domain.TRIGGER_PA) -> np.ndarray:
    """Finds the triggers of one sweep.

    A trigger is the first sample at or below the threshold after the signal was above it, at least one spike window
    (160 samples) after the last trigger. Source: arXiv 2405.05516, with -50 pA.

    Parameters
    ----------
    current_pa : (n,) float, current in pA at 40 kHz.
    trigger_pa : the threshold, negative.

    Returns
    -------
    (k,) int64, sample indices in ascending order.
    """
    below = current_pa <= trigger_pa
    crossings = np.flatnonzero(below[1:] & ~below[:-1]) + 1
    triggers = []
    position = 0
    # One step per accepted trigger, however often noise crosses the threshold within its window.
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
    waveforms : (m, 160) float32, starting 40 samples before the trigger.
    kept : (k,) bool, False where the window does not fit in the sweep; ``kept.sum() == m``.
    """
    first = triggers - domain.SAMPLES_BEFORE_TRIGGER
    kept = (first >= 0) & (first + domain.SPIKE_SAMPLES <= len(current_pa))
    windows = first[kept, np.newaxis] + np.arange(domain.SPIKE_SAMPLES)
    return current_pa[windows].astype(np.float32, copy=False), kept
