"""Makes any range of a dataset's examples from its plan and the spikes and masks in its bank."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from beam_pipelines import keyed_random
from beam_pipelines.datasets import record_layout
from beam_pipelines.planning import splits
from beam_pipelines.planning.plan import DatasetPlan
from beam_pipelines.planning.spike_bank import MappedBank
from beam_pipelines.storage.direct_writes import aligned_rows
from beam_pipelines.synthesis import numba_rows
from beam_pipelines.synthesis.synthesizer import Draws, Synthesizer

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


class ExampleSource:
    """Makes the examples of one dataset.

    Parameters
    ----------
    plan : the dataset's plan.
    bank : the spikes and masks that it is made from.
    """

    def __init__(self, plan: DatasetPlan, bank: MappedBank):
        self._bank = bank
        self._rows = {} if plan.synthetic_examples else _rows_of_splits(plan)
        self._synthesizer: Synthesizer | None = None
        self._row_maker: numba_rows.RowMaker | None = None
        if plan.synthetic_examples:
            self._synthesizer = Synthesizer(bank, plan.synthetic_examples, plan.seed, plan.recipe)
            if numba_rows.is_available():
                self._row_maker = numba_rows.RowMaker(self._synthesizer, bank.rows)

    def make(self, split: str, first: int, stop: int) -> Examples:
        """Makes examples ``first..stop-1`` of a split."""
        if self._synthesizer:
            return self._synthesize(self._synthesizer, self._synthesizer.draw(np.arange(first, stop)))
        records = record_layout.view_records(self._bank.records(self._rows[split].at(first, stop)))
        return _examples(records, records['waveform'], record_layout.decode_varints(records['mask']))

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
            yield self._bank.records(self._rows[split].at(start, min(start + _BLOCK, stop)))

    def _synthetic_blocks(self, synthesizer: Synthesizer, first: int, stop: int) -> Iterator[np.ndarray]:
        for start in range(first, stop, _DRAWN):
            draws = synthesizer.draw(np.arange(start, min(start + _DRAWN, stop)))
            for begin in range(0, len(draws.spike), _BLOCK):
                yield self._synthesize(synthesizer, draws.part(begin, begin + _BLOCK)).encode()

    def _synthesize(self, synthesizer: Synthesizer, draws: Draws) -> Examples:
        records = record_layout.view_records(self._bank.records(draws.spike))
        return _examples(records, synthesizer.make(draws), draws.masks[:, 0] + 1)


def _examples(records: np.ndarray, waveform: np.ndarray, mask: np.ndarray) -> Examples:
    label, cell, trigger = (record_layout.decode_varints(records[name]) for name in ('label', 'cell', 'trigger'))
    return Examples(waveform, label, cell, trigger, mask)


class _Rows:
    """The rows of the bank that are a split's examples, in stored order: shuffled by the seed.

    Parameters
    ----------
    firsts, lengths : (r,) int64, runs of rows that follow each other.
    key : of the order.
    """

    def __init__(self, firsts: np.ndarray, lengths: np.ndarray, key: np.uint64):
        self._stops = np.cumsum(lengths)
        self._shift = firsts - (self._stops - lengths)
        self._key = key

    def at(self, first: int, stop: int) -> np.ndarray:
        """Returns the rows of examples ``first..stop-1``."""
        number = keyed_random.permute(np.arange(first, stop), int(self._stops[-1]), self._key)
        return number + self._shift[np.searchsorted(self._stops, number, side='right')]


def _rows_of_splits(plan: DatasetPlan) -> dict[str, _Rows]:
    spikes = np.array([cell.spikes for cell in plan.cells])
    in_all = int(spikes.sum())
    key = keyed_random.derive_key(plan.seed, in_all)
    if plan.protocol == 'published' and 'train' in plan.examples:
        rows = splits.split_spikes(in_all, plan.seed)
        return {split: _Rows(of, np.ones_like(of), key) for split, of in rows.items()}
    firsts = np.cumsum(spikes) - spikes
    cells = {split: [cell.split == split for cell in plan.cells] for split in plan.examples}
    return {split: _Rows(firsts[of], spikes[of], key) for split, of in cells.items()}


def _compiled_blocks(row_maker: numba_rows.RowMaker, first: int, stop: int) -> Iterator[np.ndarray]:
    # All blocks share one buffer, so the system need not map and clear new memory each time.
    rows = aligned_rows(_COMPILED_BLOCK, record_layout.RECORD_BYTES)
    for start in range(first, stop, _COMPILED_BLOCK):
        block = rows[: min(_COMPILED_BLOCK, stop - start)]
        row_maker.make(start, block)
        yield block
