"""Tells spikes from other events: clipped ones, artefacts, and what is unlike the rest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from beam_pipelines import domain

# Why a trigger gives no spike.
DROP_REASONS = {
    'window': 'without a whole window in the sweep',
    'clipped': 'clipped by the amplifier or the converter',
    'artefact': 'too fast for a spike',
    'stimulus': 'at a step of the stimulus',
    'unlike': 'unlike the other events',
}

# The extreme value of a sweep comes once or twice by chance, and for longer only where the amplifier or the converter
# cannot follow.
_SAMPLES_AT_RAIL = 4

# The steepest step between two samples, as a share of the event's whole height. It is at most 0.33 in 224 real spikes
# recorded with glass pipettes and brought to 40 kHz; a stimulus artefact jumps in one sample.
_MOST_STEP = 0.5

# An event up to 0.5 ms after a step of the stimulus is the step: an evoked spike comes later.
_SAMPLES_BEFORE_STEP, _SAMPLES_AFTER_STEP = 2, 20

# An event is unlike the others if its correlation with their median is below this share of what is usual.
_LEAST_LIKENESS = 0.65
_LEAST_EVENTS_TO_COMPARE = 5

# A second spike begins at least 1 ms after the trigger, and is at least half as deep: less is the end of the first.
_SAMPLES_TO_SECOND, _LEAST_SECOND = 40, 0.5


def dropped_words(dropped: Mapping[str, int]) -> str:
    """Returns how many triggers gave no spike, such as ``3 dropped (2 too fast for a spike, 1 unlike the others)``."""
    by_reason = ', '.join(f'{count} {DROP_REASONS[reason]}' for reason, count in sorted(dropped.items()))
    return f'{sum(dropped.values()):,} dropped' + (f' ({by_reason})' if by_reason else '')


def are_at_steps(triggers: np.ndarray, stimulus_steps: np.ndarray) -> np.ndarray:
    """Tells which triggers, (n,) int64, are at one of the steps of a stimulus, (k,) int64 ascending: (n,) bool."""
    if not len(stimulus_steps):
        return np.zeros(len(triggers), bool)
    last = np.searchsorted(stimulus_steps, triggers + _SAMPLES_BEFORE_STEP, side='right') - 1
    return (last >= 0) & (triggers - stimulus_steps[np.maximum(last, 0)] <= _SAMPLES_AFTER_STEP)


def count_second_spikes(waveforms: np.ndarray, trigger_pa: float) -> int:
    """Counts windows that hold the beginning of another spike: in a burst, closer than one window.

    Parameters
    ----------
    waveforms : (n, 160) float32, spikes in pA.
    trigger_pa : the threshold, negative.
    """
    first = domain.SAMPLES_BEFORE_TRIGGER + _SAMPLES_TO_SECOND
    later = waveforms[:, first:]
    crosses = (later[:, 1:] <= trigger_pa) & (later[:, :-1] > trigger_pa)
    is_deep = later.min(axis=1) <= _LEAST_SECOND * waveforms[:, :first].min(axis=1)
    return int(np.count_nonzero(crosses.any(axis=1) & is_deep))


def second_spikes_words(count: int) -> str:
    """Returns what is said of windows that hold the beginning of another spike, to be appended to a line."""
    return (
        f'; {count:,} of the spikes hold the beginning of the next, closer than 4 ms, which is not counted'
        if count
        else ''
    )


def find_non_spikes(waveforms: np.ndarray, recorded: np.ndarray, rails: tuple[float, float]) -> np.ndarray:
    """Finds the events of a recording that are no usable spikes.

    Parameters
    ----------
    waveforms : (n, 160) float32, the windows relative to the baseline.
    recorded : (n, 160) float32, the same windows as they were recorded.
    rails : lowest and highest value in the recording.

    Returns
    -------
    (n,) str, the reason why an event is no spike, a key of ``DROP_REASONS``; empty for spikes.
    """
    reason = np.full(len(waveforms), '', '<U8')
    at_rail = np.maximum(*(np.count_nonzero(recorded == rail, axis=1) for rail in rails))
    reason[at_rail >= _SAMPLES_AT_RAIL] = 'clipped'
    step = np.abs(np.diff(waveforms, axis=1)).max(axis=1)
    artefact = step > _MOST_STEP * np.ptp(waveforms, axis=1)
    reason[artefact & (reason == '')] = 'artefact'
    left = np.flatnonzero(reason == '')
    if len(left) >= _LEAST_EVENTS_TO_COMPARE:
        likeness = _correlate(waveforms[left], np.median(waveforms[left], axis=0))
        reason[left[likeness < _LEAST_LIKENESS * np.median(likeness)]] = 'unlike'
    return reason


def _correlate(waveforms: np.ndarray, reference: np.ndarray) -> np.ndarray:
    centred = waveforms - waveforms.mean(axis=1, keepdims=True)
    reference = reference - reference.mean()
    norm = np.linalg.norm(centred, axis=1) * np.linalg.norm(reference)
    return centred @ reference / np.maximum(norm, np.finfo(np.float32).tiny)
