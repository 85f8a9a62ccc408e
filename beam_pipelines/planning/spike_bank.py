"""The spikes and noise masks that a dataset is made from: one file, which workers map and never load whole.

The file begins with the plan's fingerprint. A row for each spike follows, cell by cell: its record as
``docs/record_layout.md`` has it, with mask 0, and for a synthetic dataset its smoothed waveform. Then come the masks.
"""

from __future__ import annotations

import concurrent.futures
import errno
import itertools
import mmap
from collections.abc import Callable, Iterator

import numpy as np

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from beam_pipelines.planning.plan import DatasetPlan, PlannedCell
from beam_pipelines.spikes.cell_spikes import CellSpikes
from beam_pipelines.synthesis.numba_rows import BANK_WORDS, RECORD_WORDS
from beam_pipelines.synthesis.synthesizer import smooth

_ID_BYTES = 64
_MASK_BYTES = 4 * domain.SPIKE_SAMPLES

# So that an object store is not asked for one cell after the other. Each thread keeps the memory of a cell.
_CELLS_AT_A_TIME = 4


def encode_bank(plan: DatasetPlan, read_staged: Callable[[str], bytes]) -> Iterator[bytes]:
    """Makes the file's content from the staged spikes and masks of a dataset's cells, a few cells at a time.

    Parameters
    ----------
    plan : the dataset's plan.
    read_staged : returns the content of a staged file.

    Yields
    ------
    One piece after the other.

    Raises
    ------
    OSError
        If a staged file cannot be read.
    RuntimeError
        If one differs from what the plan was made from. This must never happen.
    """
    yield plan.fingerprint.encode()
    masks: list[bytes] = []
    number = itertools.count()
    with concurrent.futures.ThreadPoolExecutor(_CELLS_AT_A_TIME) as pool:
        for start in range(0, len(plan.cells), _CELLS_AT_A_TIME):
            group = plan.cells[start : start + _CELLS_AT_A_TIME]
            contents = pool.map(read_staged, [planned.staged for planned in group])
            for planned, content in zip(group, contents, strict=True):
                cell = _decode_cell(planned, content)
                masks.append(cell.masks[: planned.masks].tobytes())  # The others are not needed.
                yield _encode_rows(planned, next(number), cell, is_smoothed=plan.synthetic_examples is not None)
    yield from masks


def _decode_cell(planned: PlannedCell, content: bytes) -> CellSpikes:
    cell = CellSpikes.from_bytes(content)
    if cell.fingerprint() != planned.fingerprint or len(cell.waveforms) != planned.spikes:
        raise RuntimeError(f'{planned.staged}: is not what was planned for cell {planned.cell_id}')
    return cell


def _encode_rows(planned: PlannedCell, number: int, cell: CellSpikes, is_smoothed: bool) -> bytes:
    label, numbers, mask = (np.full(planned.spikes, value) for value in (planned.label, number, 0))
    records = record_layout.encode_records(cell.waveforms, label, numbers, cell.triggers, mask)
    words = records.view(np.uint32)
    rows = np.hstack([words, smooth(cell.waveforms).view(np.uint32)]) if is_smoothed else words
    return rows.tobytes()


class MappedBank:
    """The spikes and noise masks of a dataset.

    Parameters
    ----------
    plan : the dataset's plan.
    content : the file that ``encode_bank`` made, mapped.
    path : its name, for errors.

    Attributes
    ----------
    rows : (s, 349) uint32, for a dataset of recorded spikes (s, 189); see the module.
    noise_masks : (m, 160) float32, pA; none for a dataset of recorded spikes.

    Raises
    ------
    OSError
        If it is another file, or not whole.
    """

    def __init__(self, plan: DatasetPlan, content: mmap.mmap | bytes, path: str):
        spikes, masks = sum(cell.spikes for cell in plan.cells), sum(cell.masks for cell in plan.cells)
        words = BANK_WORDS if plan.synthetic_examples else RECORD_WORDS
        masks_at = _ID_BYTES + 4 * words * spikes
        if len(content) != masks_at + _MASK_BYTES * masks or content[:_ID_BYTES] != plan.fingerprint.encode():
            raise OSError(errno.EIO, 'does not hold the spikes of this dataset, or not all', path)
        self.rows = np.frombuffer(content, '<u4', words * spikes, _ID_BYTES).reshape(spikes, words)
        self.noise_masks = np.frombuffer(content, '<f4', domain.SPIKE_SAMPLES * masks, masks_at).reshape(
            masks, domain.SPIKE_SAMPLES
        )
        self._plan = plan

    def records(self, row: np.ndarray | slice) -> np.ndarray:
        """Returns records as a shard holds them, copied: (n, 756) uint8."""
        return np.ascontiguousarray(self.rows[row, :RECORD_WORDS]).view(np.uint8)

    def smoothed(self) -> np.ndarray:
        """Returns the smoothed waveforms of a synthetic dataset's spikes, not copied: (s, 160) float32, pA."""
        return self.rows[:, RECORD_WORDS:].view(np.float32)

    def rows_of_class(self) -> list[np.ndarray]:
        """Returns the rows of each class, int64."""
        label = np.repeat([cell.label for cell in self._plan.cells], [cell.spikes for cell in self._plan.cells])
        return [np.flatnonzero(label == value) for value in range(len(domain.LABEL_NAMES))]
