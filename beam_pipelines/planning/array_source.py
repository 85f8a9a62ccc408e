"""Makes any range of the published synthetic spikes' records from the arrays that hold them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from beam_pipelines import domain, keyed_random
from beam_pipelines.datasets import record_layout
from beam_pipelines.planning.plan import DatasetPlan
from beam_pipelines.recordings.published_arrays import SpikeArrays, cell_of

# Neighbouring rows are read together, because a disk is slow at single ones.
_BLOCK = 64
# Rows that are shuffled among each other: the blocks that fall together come from all of the arrays.
_WINDOW = 8192


class ArraySource:
    """Makes the records of a dataset whose spikes are in arrays.

    The arrays may be sorted by class and cell, and training expects a stored order that is random. So blocks of rows
    come in a random order, and rows are shuffled within a window of blocks.

    Parameters
    ----------
    plan : the dataset's plan.
    """

    def __init__(self, plan: DatasetPlan):
        self._plan = plan
        self._number_of = {cell.cell_id: number for number, cell in enumerate(plan.cells)}
        self._first = np.cumsum([0, *(arrays.examples for arrays in plan.arrays)])
        self._key = keyed_random.derive_key(plan.seed, int(self._first[-1]))

    def blocks(self, split: str, first: int, stop: int) -> Iterator[np.ndarray]:
        """Makes the rows of examples ``first..stop-1`` of a split, a block at a time.

        Yields
        ------
        (n, 756) uint8, whole records.

        Raises
        ------
        RecordingRejected
            If a value is not finite.
        """
        del split  # There is only one.
        numbers: dict[str, int] = {}
        for start in range(first, stop, _WINDOW):
            position = np.arange(start, min(start + _WINDOW, stop))
            key = keyed_random.derive_key(self._plan.seed, start)
            rows = self._rows_at(position)[keyed_random.permute(np.arange(len(position)), len(position), key)]
            # Mapped anew for each window, so that no process holds more than a window's pages.
            yield self._encode([SpikeArrays(of.files) for of in self._plan.arrays], rows, numbers)

    def _rows_at(self, position: np.ndarray) -> np.ndarray:
        """Returns the rows at positions of the stored order, (n,) int64: whole blocks change their places."""
        blocks = int(self._first[-1]) // _BLOCK
        block = position // _BLOCK
        moved = block < blocks
        rows = position.copy()
        rows[moved] = keyed_random.permute(block[moved], blocks, self._key) * _BLOCK + position[moved] % _BLOCK
        return rows

    def _encode(self, arrays: list[SpikeArrays], rows: np.ndarray, numbers: dict[str, int]) -> np.ndarray:
        waveform = np.empty((len(rows), domain.SPIKE_SAMPLES), np.float32)
        label, cell = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        array = np.searchsorted(self._first, rows, side='right') - 1
        for number in np.unique(array):
            here = np.flatnonzero(array == number)
            # In the order of the file, which a disk reads faster.
            here = here[np.argsort(rows[here])]
            waveform[here], label[here], names = arrays[number].read(rows[here] - self._first[number])
            for name in set(names) - numbers.keys():
                numbers[name] = self._number_of[cell_of(name)]
            cell[here] = [numbers[name] for name in names]
        unknown = np.zeros(len(rows), np.int64)
        return record_layout.encode_records(waveform, label, cell, unknown, unknown)
