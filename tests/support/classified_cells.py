"""Cells as sero-classify finds them, made up for the tests of what is written about them."""

import dataclasses
import pathlib
import types
from collections.abc import Sequence

import numpy as np

from tests.support.spikes import make_spikes
from trainer.classify.batch import Findings
from trainer.classify.outputs import write_outputs
from trainer.evaluation.results import CellResult, ClassifiedCell, ClassifiedSpikes
from trainer.evaluation.training_range import TrainingRange

INFO = {
    'source': 'recorded',
    'protocol': 'by_cell',
    'trained_on': 'original',
    'members': ['k20'],
    'created': '2026-11-22T08:14:09+00:00',
    'calibration': {'method': 'temperature'},
}


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


def write_verdicts(folder: pathlib.Path, cells: Sequence[ClassifiedCell], exports: Sequence[str] = ()) -> pathlib.Path:
    """Writes the outputs of sero-classify on cells, by a model of which only the description is there."""
    measures = {name: np.full(4, 1.0) for name in ('udi_ms', 'amplitude_pa', 'noise_pa', 'firing_rate_hz', 'n_spikes')}
    means = np.array([cells[place % len(cells)].result.mean_waveform for place in range(4)])
    classifier = types.SimpleNamespace(
        description=INFO,
        training_range=TrainingRange(label=np.arange(4) % 2, mean_waveform=means, **measures),
    )
    write_outputs(folder, Findings({cell.result.cell: cell for cell in cells}), classifier, exports)
    return folder
