"""Explains why no spike was found in a recording: what was there instead, and what would explain it."""

from __future__ import annotations

from beam_pipelines import domain
from beam_pipelines.cli.words import counted
from beam_pipelines.recordings.reading_options import SpikeCutting
from beam_pipelines.spikes.detection import DetectedSpikes, find_triggers
from beam_pipelines.spikes.events import DROP_REASONS
from beam_pipelines.spikes.preparation import LEAST_PEAK_TO_NOISE, PreparedCurrent, points_upward

# So many peaks that stand out of the noise are events.
_LEAST_EVENTS = 3


def explain_no_spikes(spikes: DetectedSpikes, current: PreparedCurrent, cutting: SpikeCutting) -> tuple[str, str]:
    """Returns the reason and the detail with which a recording without spikes is rejected.

    Parameters
    ----------
    spikes : what was found, without any spike.
    current : the current that was searched.
    cutting : how it was searched.

    Returns
    -------
    ``inverted`` if its events point upward, else ``no_spikes``; and one line with range, baseline, noise, the largest
    peaks, and what would explain them.
    """
    duration_s = sum(map(len, current.sweeps)) / domain.SAMPLING_RATE_HZ
    low = min((float(sweep.min(initial=0)) for sweep in current.sweeps), default=0.0)
    high = max((float(sweep.max(initial=0)) for sweep in current.sweeps), default=0.0)
    triggers = f'{counted(spikes.triggers_found, "trigger")} at {current.trigger_pa:.4g} pA in {duration_s:.1f} s'
    found = (
        f'{triggers}{_dropped_words(spikes)};'
        f' the current{_baseline_words(current)} has peaks of {low:.4g} and {high:+.4g} pA,'
        f' noise of {current.noise_pa:.3g} pA'
    )
    if cutting.polarity == 'down' and points_upward(current.sweeps, current.trigger_pa, current.noise_pa):
        return 'inverted', f'{found}; its events point upward: give --polarity=up'
    smaller = -LEAST_PEAK_TO_NOISE * current.noise_pa
    events = sum(len(find_triggers(sweep, smaller)) for sweep in current.sweeps)
    if events >= spikes.triggers_found + _LEAST_EVENTS and current.trigger_pa < smaller:
        return 'no_spikes', f'{found}; {events} events beyond {smaller:.3g} pA do not reach the threshold'
    return 'no_spikes', found


def _dropped_words(spikes: DetectedSpikes) -> str:
    return ''.join(f', {count} {DROP_REASONS[reason]}' for reason, count in spikes.dropped.items())


def _baseline_words(current: PreparedCurrent) -> str:
    if not current.baselines:
        return ''
    low = min(baseline.low_pa for baseline in current.baselines)
    high = max(baseline.high_pa for baseline in current.baselines)
    return f', relative to its baseline of {low:.4g} to {high:.4g} pA,'
