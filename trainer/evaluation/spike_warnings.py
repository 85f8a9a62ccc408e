"""Warnings that single spikes tell, from a recording as from a dataset.

Nothing here loads TensorFlow, because the processes that read recordings do without it.
"""

from __future__ import annotations

import numpy as np

from beam_pipelines.cli.words import counted
from beam_pipelines.spikes.saturation import Saturation, count_level_spikes, find_saturation
from beam_pipelines.spikes.waveform_features import measure_noise_pa
from trainer.evaluation.cell_warnings import CellWarning


def saturation_warning(waveform: np.ndarray, found: Saturation | None = None) -> CellWarning | None:
    """Warns of a saturated amplifier or converter.

    Parameters
    ----------
    waveform : (n, 160) float32, the spikes in pA.
    found : what is known of the whole recording, in pA; None if nothing, and the spikes alone tell.
    """
    found = found or find_saturation([waveform.ravel()], float(np.median(measure_noise_pa(waveform))))
    if found:
        where = (
            f'At {counted(found.places, "place")} the current stays at its extreme value, {found.value:.4g} pA, for'
            ' three samples or more'
        )
    elif level := count_level_spikes(waveform):
        where = f'{level} of {counted(len(waveform), "spike")} are cut off level at the trough or at the peak'
    else:
        return None
    return CellWarning(
        'saturation',
        f'{where}: the amplifier or the converter was saturated, and such spikes have lost their shape. Record with a'
        ' smaller gain.',
    )


def burst_warning(second_spikes: int, spikes: int) -> CellWarning | None:
    """Warns of windows in which another spike begins: ``second_spikes`` of all ``spikes``."""
    if not second_spikes:
        return None
    return CellWarning(
        'bursts',
        f'In {second_spikes} of {counted(spikes, "spike window")} another spike begins (a burst, closer than 4 ms). It'
        ' is not counted, and the window shows both.',
    )
