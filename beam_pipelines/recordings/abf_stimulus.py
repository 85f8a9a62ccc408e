"""When the stimulus of an ABF file changed, by the epochs in its header."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyabf

_FROM_EPOCHS = 1
_EPISODIC_MODE = 5
_ABF1_EPOCHS = 20
# More epochs, over all sweeps and outputs, or more pulses are no protocol that anybody runs, and would take minutes.
_MOST_EPOCHS = 200_000
_MOST_PULSES = 1_000_000


def find_stimulus_steps(abf: pyabf.ABF) -> list[np.ndarray]:
    """Finds the samples at which a command or a digital output jumps.

    Parameters
    ----------
    abf : an episodic recording. Others have no epochs.

    Returns
    -------
    (k,) int64 for each sweep, samples in the sweep, ascending. Empty for all sweeps if the file has no epochs, or pyABF
    cannot make sense of them: what the stimulus was is a hint, and no part of the recording.
    """
    nothing = [np.empty(0, np.int64) for _ in range(abf.sweepCount)]
    if abf.nOperationMode != _EPISODIC_MODE:
        return nothing
    tables = _epoch_tables(abf)
    waveforms = [waveform for table in tables for waveform in table.epochWaveformsBySweep]
    if sum(_count_pulses(waveform, abf.sweepPointCount) for waveform in waveforms) > _MOST_PULSES:
        return nothing
    steps = nothing
    for table in tables:
        steps = [
            np.union1d(of_sweep, _jumps(epochs, abf.sweepPointCount))
            for of_sweep, epochs in zip(steps, table.epochWaveformsBySweep, strict=True)
        ]
    return steps


def _epoch_tables(abf: pyabf.ABF) -> list[pyabf.waveform.EpochTable]:
    """Returns the epochs of each output that plays epochs, and not a file: no path in a header is ever opened."""
    from pyabf.waveform import EpochTable

    is_abf1 = abf.abfVersion['major'] == 1
    header = abf._headerV1 if is_abf1 else abf._dacSection
    outputs = range(min(len(header.nWaveformEnable), len(abf.holdingCommand)))
    epochs = _ABF1_EPOCHS if is_abf1 else len(abf._epochPerDacSection.nEpochNum) + 2 * len(outputs)
    if epochs * abf.sweepCount > _MOST_EPOCHS:
        return []
    try:
        return [
            EpochTable(abf, dac)
            for dac in outputs
            if header.nWaveformEnable[dac] and header.nWaveformSource[dac] == _FROM_EPOCHS
        ]
    except Exception:  # Damaged epochs can make pyABF raise anything.
        return []


def _count_pulses(epochs: pyabf.waveform.EpochSweepWaveform, samples: int) -> int:
    return sum(
        max(0, min(stop, samples) - max(first, 0)) // period
        for first, stop, period in zip(epochs.p1s, epochs.p2s, epochs.pulsePeriods, strict=True)
        if period > 0
    )


def _jumps(epochs: pyabf.waveform.EpochSweepWaveform, samples: int) -> np.ndarray:
    found = [np.empty(0, np.int64)]
    level, digital = epochs.levels[0], epochs.digitalStates[0]
    for number, kind in enumerate(epochs.types):
        first, stop = epochs.p1s[number], epochs.p2s[number]
        if epochs.digitalStates[number] != digital or (kind == 'Step' and epochs.levels[number] != level):
            found.append(_inside([first], samples))
        period, width = epochs.pulsePeriods[number], epochs.pulseWidths[number]
        if kind in ('Pulse', 'BiPhsc') and period > 0:
            starts = range(first, min(stop, samples), period)
            starts = starts[bisect.bisect_left(starts, 0) :]
            found += [_inside([start + edge for start in starts], samples) for edge in (0, width // 2, width)]
        level, digital = epochs.levels[number], epochs.digitalStates[number]
    return np.unique(np.concatenate(found))


def _inside(samples: list[int], length: int) -> np.ndarray:
    """Returns those of some samples that are in a sweep; a damaged header can place them anywhere."""
    return np.array([sample for sample in samples if 0 < sample < length], np.int64)
