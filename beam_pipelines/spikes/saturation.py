"""Tells whether the amplifier or the converter could not follow: the current runs into a value and stays there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from beam_pipelines.spikes.waveform_features import measure_noise_pa

# The extreme value of a recording comes once or twice in a row by chance.
_SAMPLES_IN_RUN = 3
_LEAST_SAMPLES_IN_ALL = 12
# Nearer to the middle of the recording, the extreme value is noise or a current that is zero most of the time.
_LEAST_TO_NOISE = 6.0

# Within a spike, beyond which nothing is known. A trough is too steep to stay level for four samples.
_SAMPLES_IN_SPIKE = 4
# Taking off a baseline tilts what was level, by much less than the noise would move it.
_LEVEL_TO_NOISE = 0.05
# A slow filter and a coarse converter make a few spikes level by chance.
_LEAST_LEVEL_SPIKES, _LEAST_SHARE = 2, 0.1

# What is cut off ends in an edge. A coarse converter makes a rounded peak level too, but leaves it by single steps of
# its own; an edge is so many of them.
_LEAST_EDGE = 2.0
# No spike is level for 1 ms, however it ends.
_SAMPLES_WITHOUT_EDGE = 40
_SAMPLES_FOR_STEP = 100_000


@dataclasses.dataclass(frozen=True)
class Saturation:
    """Where a current stays at one of its extreme values.

    Attributes
    ----------
    value : its lowest or highest value, in its unit.
    places : how often it stays there for three samples or more.
    """

    value: float
    places: int


def find_saturation(sweeps: Sequence[np.ndarray], noise: float) -> Saturation | None:
    """Finds whether a current stays at its lowest or its highest value; the one with more places, None for neither.

    Parameters
    ----------
    sweeps : arrays of (n,) float32, as they were recorded: resampling would round off what was level.
    noise : standard deviation of the current between spikes, in the same unit.
    """
    step = _converter_step(sweeps[0], noise)
    found = []
    for extreme in (min(float(sweep.min()) for sweep in sweeps), max(float(sweep.max()) for sweep in sweeps)):
        stretches = [_level_stretches(sweep == extreme, sweep, step) for sweep in sweeps]
        lengths, is_cut_off = (np.concatenate([of_sweep[part] for of_sweep in stretches]) for part in (1, 2))
        is_long = lengths >= _SAMPLES_IN_RUN
        if lengths[is_long & is_cut_off].sum() >= _LEAST_SAMPLES_IN_ALL:
            found.append(Saturation(extreme, int(np.count_nonzero(is_long))))
    if found:  # The median of minutes takes longer than all the rest.
        middle = float(np.median([np.median(sweep) for sweep in sweeps]))
        found = [of for of in found if abs(of.value - middle) > _LEAST_TO_NOISE * max(noise, step)]
    return max(found, key=lambda saturation: saturation.places, default=None)


def count_level_spikes(waveforms: np.ndarray) -> int:
    """Counts spikes whose trough or peak is cut off level; 0 if they are so few that it may be chance.

    Parameters
    ----------
    waveforms : (n, 160) float32, spikes in pA, whose baseline may have been taken off.
    """
    noise_pa = measure_noise_pa(waveforms)
    tolerance = _LEVEL_TO_NOISE * noise_pa[:, np.newaxis]
    step = _converter_step(waveforms.ravel(), float(np.median(noise_pa)))
    is_level = np.zeros(len(waveforms), bool)
    for upright in (waveforms, -waveforms):
        near = upright <= upright.min(axis=1, keepdims=True) + tolerance
        # Windows are one after the other here, so none may end where the next begins.
        near[:, -1] = False
        first, lengths, is_cut_off = _level_stretches(near.ravel(), upright.ravel(), step)
        is_level[first[is_cut_off & (lengths >= _SAMPLES_IN_SPIKE)] // waveforms.shape[1]] = True
    count = int(np.count_nonzero(is_level))
    return count if count >= max(_LEAST_LEVEL_SPIKES, _LEAST_SHARE * len(waveforms)) else 0


def _level_stretches(
    is_level: np.ndarray, current: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds the stretches that are level.

    Parameters
    ----------
    is_level : (n,) bool.
    current : (n,) float.
    step : of the converter.

    Returns
    -------
    (k,), (k,) int, their first samples and lengths; (k,) bool, whether they end, on one side at least, in an edge, or
    are too long for a spike.
    """
    changes = np.diff(np.concatenate([[False], is_level, [False]]).astype(np.int8))
    first, stop = np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)
    before, after = np.maximum(first - 1, 0), np.minimum(stop, len(current) - 1)
    edge = np.maximum(np.abs(current[before] - current[first]), np.abs(current[after] - current[stop - 1]))
    return first, stop - first, (edge > _LEAST_EDGE * step) | (stop - first >= _SAMPLES_WITHOUT_EDGE)


def _converter_step(current: np.ndarray, noise: float) -> float:
    """Returns the step of the converter of a current, (n,) float; at least the tolerance for what is level."""
    steps = np.abs(np.diff(current[:_SAMPLES_FOR_STEP]))
    return float(steps.min(where=steps > _LEVEL_TO_NOISE * noise, initial=np.inf))
