"""Cells as sero-classify finds them, made up for the tests of what is written about them."""

import dataclasses
import pathlib

import numpy as np

from tests.support.spikes import make_spikes
from trainer.evaluation.results import CellResult, ClassifiedCell, ClassifiedSpikes


def make_cell(name: str, path: str | pathlib.Path, spikes: int = 7, seed: int = 0, **changes: object) -> ClassifiedCell:
    """Makes a cell; ``changes`` are fields of its result or of the cell itself."""
    waveform, _ = make_spikes(spikes, seed)
    trigger = 1_000 + 4_000 * np.arange(spikes)
    result = CellResult(name, 'SER', 0.91, 0.8, 0.97, 0.88, spikes, 0.9, None, waveform.mean(axis=0))
    cell = ClassifiedCell(
        path=str(path),
        result=result,
        spikes=ClassifiedSpikes(
            trigger=trigger,
            time_s=trigger / 40_000,
            waveform=waveform,
            p_ser=np.full(spikes, 0.9),
            amplitude_pa=np.full(spikes, 80.0),
            udi_ms=np.full(spikes, np.nan),
            snr=np.full(spikes, 20.0),
        ),
        trace=None,
        duration_s=5.0,
        intervals_s=((0.0, 5.0),),
        saliency=np.zeros(160),
        source='recorded',
    )
    of_result = {field.name for field in dataclasses.fields(CellResult)} & changes.keys()
    result = dataclasses.replace(result, **{field: changes.pop(field) for field in of_result})
    return dataclasses.replace(cell, result=result, **changes)
