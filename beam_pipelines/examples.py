"""Makes any range of a dataset's examples from its plan and the staged spikes of its cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from beam_pipelines import bijection, datasets, splits
from beam_pipelines.ingest import CellSpikes
from beam_pipelines.plan import DatasetPlan, PlannedCell
from beam_pipelines.synthesis import Synthesizer


@dataclasses.dataclass(frozen=True)
class Examples:
    """The values of n records.

    Attributes
    ----------
    waveform : (n, 160) float32, pA.
    label, cell, trigger, mask : (n,) int64, see ``docs/record_layout.md``.
    """

    waveform: np.ndarray
    label: np.ndarray
    cell: np.ndarray
    trigger: np.ndarray
    mask: np.ndarray


def read_planned_cell(planned: PlannedCell, read_staged: Callable[[str], bytes]) -> CellSpikes:
    """Reads what was staged for a cell.

    Raises
    ------
    RuntimeError
        If it is not what the plan was made of, which must never happen.
    """
    cell = CellSpikes.from_bytes(read_staged(planned.staged))
    if cell.fingerprint() != planned.fingerprint:
        raise RuntimeError(f'{planned.staged}: is not what was planned for cell {planned.cell_id}')
    return cell


class ExampleSource:
    """Makes the examples of one dataset.

    Parameters
    ----------
    plan : the dataset's plan.
    read_staged : gives the content of a staged file.
    """

    def __init__(self, plan: DatasetPlan, read_staged: Callable[[str], bytes]):
        cells = [read_planned_cell(cell, read_staged) for cell in plan.cells]
        self._plan = plan
        self._waveform = np.concatenate([cell.waveforms for cell in cells])
        self._trigger = np.concatenate([cell.triggers for cell in cells])
        self._cell = np.repeat(np.arange(len(cells)), [len(cell.waveforms) for cell in cells])
        self._label = np.array([cell.label for cell in plan.cells])[self._cell]
        self._rows = self._rows_of_splits()
        config = datasets.CONFIGS[plan.config]
        self._synthesizer = None
        if config.synthetic_examples:
            masks = [cell.masks[: planned.masks] for cell, planned in zip(cells, plan.cells, strict=True)]
            self._synthesizer = Synthesizer(
                self._waveform, self._label, np.concatenate(masks), config.synthetic_examples, plan.seed, plan.recipe
            )

    def make(self, split: str, first: int, stop: int) -> Examples:
        """Makes examples ``first..stop-1`` of a split."""
        if self._synthesizer:
            draws = self._synthesizer.draw(first, stop)
            row, mask, waveform = draws.spike, draws.masks[:, 0] + 1, self._synthesizer.make(draws)
        else:
            row = self._rows[split][first:stop]
            mask, waveform = np.zeros(len(row), np.int64), self._waveform[row]
        return Examples(waveform, self._label[row], self._cell[row], self._trigger[row], mask)

    def _rows_of_splits(self) -> dict[str, np.ndarray]:
        """Returns the rows of each split in the order in which they are stored: shuffled by the seed."""
        plan = self._plan
        if datasets.CONFIGS[plan.config].synthetic_examples:
            return {}
        if plan.protocol == 'published' and 'train' in plan.examples:
            rows = splits.split_spikes(len(self._cell), plan.seed)
        else:
            split_of_cell = np.array([cell.split for cell in plan.cells])
            rows = {split: np.flatnonzero(split_of_cell[self._cell] == split) for split in plan.examples}
        key = bijection.derive_key(plan.seed, len(self._cell))
        return {split: of[bijection.permute(np.arange(len(of)), len(of), key)] for split, of in rows.items()}
