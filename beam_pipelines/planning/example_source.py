"""Makes any range of a dataset's examples from its plan and the staged spikes of its cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from beam_pipelines import keyed_random
from beam_pipelines.datasets import record_layout
from beam_pipelines.planning import splits
from beam_pipelines.planning.plan import DatasetPlan, PlannedCell
from beam_pipelines.spikes.cell_spikes import CellSpikes
from beam_pipelines.storage.direct_writes import aligned_rows
from beam_pipelines.synthesis import numba_rows
from beam_pipelines.synthesis.synthesizer import Draws, SpikeBank, Synthesizer

# Rows made at a time: enough to keep Python's overhead small, few enough to fit in the processor's cache.
_BLOCK = 2048

# Examples drawn at a time: more, because drawing takes many small steps on small arrays.
_DRAWN = 8 * _BLOCK

# Compiled rows made and written at a time. 1024 rows are whole pages, see direct_writes.
_COMPILED_BLOCK = 4096


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

    def encode(self) -> np.ndarray:
        """Returns the records: (n, 756) uint8, CRCs included."""
        return record_layout.encode_records(self.waveform, self.label, self.cell, self.trigger, self.mask)


def read_planned_cell(planned: PlannedCell, read_staged: Callable[[str], bytes]) -> CellSpikes:
    """Reads the staged spikes and masks of a cell.

    Raises
    ------
    RuntimeError
        If they differ from what the plan was made from. This must never happen.
    """
    cell = CellSpikes.from_bytes(read_staged(planned.staged))
    if cell.fingerprint() != planned.fingerprint:
        raise RuntimeError(f'{planned.staged}: is not what was planned for cell {planned.cell_id}')
    return cell


def read_bank(plan: DatasetPlan, read_staged: Callable[[str], bytes]) -> tuple[Examples, np.ndarray]:
    """Reads the spikes and noise masks that a dataset is made from, in the order of the plan's cells.

    Parameters
    ----------
    plan : the dataset's plan.
    read_staged : returns the content of a staged file.

    Returns
    -------
    spikes : the s recorded spikes, as cut; ``mask`` is 0.
    noise_masks : (m, 160) float32, pA; none for a dataset of recorded spikes.

    Raises
    ------
    RuntimeError
        See ``read_planned_cell``.
    """
    cells = []
    for planned in plan.cells:
        cell = read_planned_cell(planned, read_staged)
        # A copy frees the unused masks: every cell stages as many masks as the whole dataset may need.
        cells.append(dataclasses.replace(cell, masks=cell.masks[: planned.masks].copy()))
    number = np.repeat(np.arange(len(cells)), [len(cell.waveforms) for cell in cells])
    spikes = Examples(
        waveform=np.concatenate([cell.waveforms for cell in cells]),
        label=np.array([cell.label for cell in plan.cells])[number],
        cell=number,
        trigger=np.concatenate([cell.triggers for cell in cells]),
        mask=np.zeros(len(number), np.int64),
    )
    return spikes, np.concatenate([cell.masks for cell in cells])


class ExampleSource:
    """Makes the examples of one dataset.

    Parameters
    ----------
    plan : the dataset's plan.
    read_staged : returns the content of a staged file.
    """

    def __init__(self, plan: DatasetPlan, read_staged: Callable[[str], bytes]):
        self._plan = plan
        self._bank, masks = read_bank(plan, read_staged)
        self._rows = self._rows_of_splits()
        self._synthesizer: Synthesizer | None = None
        self._row_maker: numba_rows.RowMaker | None = None
        if plan.synthetic_examples:
            bank = self._bank
            self._synthesizer = Synthesizer(
                SpikeBank(bank.waveform, bank.label, masks), plan.synthetic_examples, plan.seed, plan.recipe
            )
            if numba_rows.is_available():
                self._row_maker = numba_rows.RowMaker(self._synthesizer, bank.label, bank.cell, bank.trigger)

    def make(self, split: str, first: int, stop: int) -> Examples:
        """Makes examples ``first..stop-1`` of a split."""
        if self._synthesizer:
            return self._synthesize(self._synthesizer, self._synthesizer.draw(np.arange(first, stop)))
        row = self._rows[split][first:stop]
        return self._examples(row, self._bank.mask[row], self._bank.waveform[row])

    def blocks(self, split: str, first: int, stop: int) -> Iterator[np.ndarray]:
        """Makes the rows of examples ``first..stop-1`` of a split, a block at a time.

        Yields
        ------
        (n, 756) uint8, whole records; valid until the next block is requested.
        """
        if self._row_maker:
            yield from _compiled_blocks(self._row_maker, first, stop)
            return
        if self._synthesizer:
            yield from self._synthetic_blocks(self._synthesizer, first, stop)
            return
        for start in range(first, stop, _BLOCK):
            yield self.make(split, start, min(start + _BLOCK, stop)).encode()

    def _synthetic_blocks(self, synthesizer: Synthesizer, first: int, stop: int) -> Iterator[np.ndarray]:
        for start in range(first, stop, _DRAWN):
            draws = synthesizer.draw(np.arange(start, min(start + _DRAWN, stop)))
            for begin in range(0, len(draws.spike), _BLOCK):
                yield self._synthesize(synthesizer, draws.part(begin, begin + _BLOCK)).encode()

    def _synthesize(self, synthesizer: Synthesizer, draws: Draws) -> Examples:
        return self._examples(draws.spike, draws.masks[:, 0] + 1, synthesizer.make(draws))

    def _examples(self, row: np.ndarray, mask: np.ndarray, waveform: np.ndarray) -> Examples:
        return Examples(waveform, self._bank.label[row], self._bank.cell[row], self._bank.trigger[row], mask)

    def _rows_of_splits(self) -> dict[str, np.ndarray]:
        """Returns the rows of each split in stored order: shuffled by the seed."""
        plan, cell = self._plan, self._bank.cell
        if plan.synthetic_examples:
            return {}
        if plan.protocol == 'published' and 'train' in plan.examples:
            rows = splits.split_spikes(len(cell), plan.seed)
        else:
            split_of_cell = np.array([cell.split for cell in plan.cells])
            rows = {split: np.flatnonzero(split_of_cell[cell] == split) for split in plan.examples}
        key = keyed_random.derive_key(plan.seed, len(cell))
        return {split: of[keyed_random.permute(np.arange(len(of)), len(of), key)] for split, of in rows.items()}


def _compiled_blocks(row_maker: numba_rows.RowMaker, first: int, stop: int) -> Iterator[np.ndarray]:
    # All blocks share one buffer, so the system need not map and clear new memory each time.
    rows = aligned_rows(_COMPILED_BLOCK, record_layout.RECORD_BYTES)
    for start in range(first, stop, _COMPILED_BLOCK):
        block = rows[: min(_COMPILED_BLOCK, stop - start)]
        row_maker.make(start, block)
        yield block
