"""Prepares a recording's current (scale, polarity, baseline) and finds the spikes in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from beam_pipelines.recordings.reading_options import SpikeCutting
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.spikes.baseline import Baseline, subtract_baseline
from beam_pipelines.spikes.detection import DetectedSpikes, detect_spikes, drop_non_spikes, find_triggers
from beam_pipelines.spikes.events import count_second_spikes
from beam_pipelines.spikes.recording_noise import measure_recording_noise_pa
from beam_pipelines.spikes.scale import check_scale

# Smaller events may be noise, which has no direction.
LEAST_PEAK_TO_NOISE = 6.0
# Peaks of one sign must be this much larger than those of the other before a recording counts as upside down.
_LEAST_RATIO_OF_PEAKS = 1.2
# The larger phase of a spike is searched within 0.5 ms before and 1.5 ms after the threshold is crossed.
_SAMPLES_BEFORE, _SAMPLES_AFTER = 20, 60


_NO_STEPS = np.empty(0, np.int64)


@dataclasses.dataclass(frozen=True)
class PreparedCurrent:
    """The current of a recording, ready for detection.

    Attributes
    ----------
    sweeps : arrays of (n,) float32 in pA, in which spikes point downward.
    trigger_pa : the threshold, negative.
    noise_pa : the standard deviation of the current between the spikes.
    is_inverted : whether spikes point upward in the recording.
    baselines : what was taken off each sweep; empty without a baseline.
    """

    sweeps: list[np.ndarray]
    trigger_pa: float
    noise_pa: float
    is_inverted: bool
    baselines: tuple[Baseline, ...]


def find_spikes(
    recorded: Sequence[np.ndarray], cutting: SpikeCutting, stimulus_steps: np.ndarray = _NO_STEPS
) -> tuple[PreparedCurrent, DetectedSpikes]:
    """Finds the spikes of a recording.

    Parameters
    ----------
    recorded : its sweeps as they were recorded, arrays of (n,) float32 in pA at 40 kHz.
    cutting : how spikes are found; with a running baseline, events that are no spikes are left out.
    stimulus_steps : (k,) int64, at which samples the stimulus jumped, in the sweeps one after the other.

    Returns
    -------
    The current that was searched, and the spikes, perhaps none.

    Raises
    ------
    RecordingRejected
        If the current makes no sense in its unit, or most of the events are clipped.
    """
    check_scale(recorded, cutting.scale)
    current = prepare(recorded, cutting)
    spikes = detect_spikes(current.sweeps, current.trigger_pa)
    if cutting.baseline == 'none':
        return current, spikes
    spikes = drop_non_spikes(spikes, recorded, stimulus_steps)
    second = count_second_spikes(spikes.waveforms, current.trigger_pa)
    spikes = dataclasses.replace(spikes, second_spikes=second)
    clipped = spikes.dropped['clipped']
    if clipped > len(spikes.triggers):
        low, high = min(sweep.min() for sweep in recorded), max(sweep.max() for sweep in recorded)
        raise RecordingRejected(
            'saturated',
            f'{clipped} of {spikes.triggers_found} events are clipped at {low:.4g} or {high:.4g} pA: the amplifier or'
            ' the converter could not follow; record with a smaller gain',
        )
    return current, spikes


def prepare(sweeps: Sequence[np.ndarray], cutting: SpikeCutting) -> PreparedCurrent:
    """Prepares the sweeps of one recording.

    Parameters
    ----------
    sweeps : arrays of (n,) float32 in pA at 40 kHz, as they were recorded.
    cutting : how spikes are found.
    """
    prepared = [sweep if cutting.scale == 1 else sweep * np.float32(cutting.scale) for sweep in sweeps]
    baselines: tuple[Baseline, ...] = ()
    if cutting.baseline == 'running':
        subtracted = [subtract_baseline(sweep) for sweep in prepared]
        prepared, baselines = [sweep for sweep, _ in subtracted], tuple(baseline for _, baseline in subtracted)
    noise_pa = measure_recording_noise_pa(prepared)
    trigger_pa = cutting.trigger_pa if cutting.trigger_sd is None else -cutting.trigger_sd * noise_pa
    inverted = cutting.polarity == 'up' or (
        cutting.polarity == 'auto' and points_upward(prepared, trigger_pa, noise_pa)
    )
    return PreparedCurrent(
        [-sweep for sweep in prepared] if inverted else prepared, trigger_pa, noise_pa, inverted, baselines
    )


def points_upward(sweeps: Sequence[np.ndarray], trigger_pa: float, noise_pa: float) -> bool:
    """Whether the larger phase of most events beyond threshold and noise, of either sign, points upward."""
    trigger_pa = min(trigger_pa, -LEAST_PEAK_TO_NOISE * noise_pa)
    upward = downward = 0
    for sweep in sweeps:
        first = np.unique(np.concatenate([find_triggers(sweep, trigger_pa), find_triggers(-sweep, trigger_pa)]))
        near = first[:, np.newaxis] + np.arange(-_SAMPLES_BEFORE, _SAMPLES_AFTER)
        around = sweep[np.clip(near, 0, max(len(sweep) - 1, 0))] if len(first) else np.zeros((0, 1))
        high, low = around.max(axis=1), -around.min(axis=1)
        upward += int(np.count_nonzero(high > _LEAST_RATIO_OF_PEAKS * low))
        downward += int(np.count_nonzero(low >= high))
    return upward > downward
