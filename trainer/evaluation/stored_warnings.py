"""Warnings that the stored spikes of a cell tell, without its recording: those of ``sero-evaluate``."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np

from beam_pipelines.recordings.reading_options import SpikeCutting
from beam_pipelines.spikes.events import count_second_spikes
from trainer.evaluation.cell_warnings import CellWarning
from trainer.evaluation.out_of_distribution import SEEN_BY_MODEL, training_warnings
from trainer.evaluation.spike_warnings import burst_warning, saturation_warning
from trainer.evaluation.training_range import TrainingRange, measure_traits


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What tested cells are compared with.

    Attributes
    ----------
    training_range : of the training cells.
    train_cells : names of the cells that the model was trained on, as far as they are known.
    cutting : how the tested spikes were found and cut.
    whose : names the training cells in a sentence, after "any cell".
    """

    training_range: TrainingRange
    train_cells: Collection[str]
    cutting: SpikeCutting
    whose: str = SEEN_BY_MODEL

    def without_firing_rate(self) -> Comparison:
        """Returns the same for spikes that were drawn at random: they do not tell how often their cell fires."""
        unknown = np.full_like(self.training_range.firing_rate_hz, np.nan)
        return dataclasses.replace(
            self, training_range=dataclasses.replace(self.training_range, firing_rate_hz=unknown)
        )


def stored_warnings(
    cell: str, waveform: np.ndarray, trigger: np.ndarray, comparison: Comparison
) -> tuple[CellWarning, ...]:
    """Returns the warnings of a cell, in the same words as those of ``sero-classify`` on its recording.

    Parameters
    ----------
    cell : its name.
    waveform : (n, 160) float32, its spikes in pA.
    trigger : (n,) int64, their sample indices, in any order.
    comparison : what the cell is compared with.
    """
    cutting = comparison.cutting
    # In the published way, and where the threshold differs between recordings, nothing tells a second spike.
    second = 0
    if cutting.baseline == 'running' and cutting.trigger_sd is None:
        second = count_second_spikes(waveform, cutting.trigger_pa)
    of_spikes = (saturation_warning(waveform), burst_warning(second, len(waveform)))
    of_training = training_warnings(measure_traits(waveform, trigger), comparison.training_range, comparison.whose)
    seen = trained_on_warning(cell, comparison.train_cells)
    return tuple(warning for warning in (*of_spikes, *of_training, seen) if warning)


def trained_on_warning(cell: str, train_cells: Collection[str]) -> CellWarning | None:
    """Warns of a cell that has the name of one that the model was trained on."""
    if cell not in train_cells:
        return None
    return CellWarning(
        'trained_on_cell',
        f'The model was trained on a cell of this name ({cell}): if it is the same cell, the model has learnt it by'
        ' heart, and the verdict proves nothing.',
    )
