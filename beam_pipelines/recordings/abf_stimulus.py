"""When the stimulus of an ABF file changed, by the epochs in its header."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyabf

_FROM_EPOCHS = 1
_EPISODIC_MODE = 5
# More is no protocol that anybody runs, and pyABF would take minutes to lay it out.
_MOST_SWEEPS = 10_000


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
    if abf.nOperationMode != _EPISODIC_MODE or abf.sweepCount > _MOST_SWEEPS:
        return nothing
    from pyabf.waveform import EpochTable

    header = abf._headerV1 if abf.abfVersion['major'] == 1 else abf._dacSection
    steps = nothing
    try:
        for dac in range(min(len(header.nWaveformEnable), len(abf.holdingCommand))):
            if header.nWaveformEnable[dac] and header.nWaveformSource[dac] == _FROM_EPOCHS:
                table = EpochTable(abf, dac)
                steps = [
                    np.union1d(of_sweep, _jumps(epochs, abf.sweepPointCount))
                    for of_sweep, epochs in zip(steps, table.epochWaveformsBySweep, strict=True)
                ]
    except Exception:  # Damaged epochs can make pyABF raise anything.
        return nothing
    return steps


def _jumps(epochs: pyabf.waveform.EpochSweepWaveform, samples: int) -> np.ndarray:
    found: list[int] = []
    level, digital = epochs.levels[0], epochs.digitalStates[0]
    for number, kind in enumerate(epochs.types):
        first, stop = epochs.p1s[number], epochs.p2s[number]
        if epochs.digitalStates[number] != digital:
            found.append(first)
        if kind == 'Step' and epochs.levels[number] != level:
            found.append(first)
        period, width = epochs.pulsePeriods[number], epochs.pulseWidths[number]
        if kind in ('Pulse', 'BiPhsc') and period > 0:
            starts = range(first, min(stop, samples), period)
            found.extend(edge for start in starts for edge in (start, start + width // 2, start + width))
        level, digital = epochs.levels[number], epochs.digitalStates[number]
    inside = np.array(sorted(set(found)), np.int64)
    return inside[(inside > 0) & (inside < samples)]
