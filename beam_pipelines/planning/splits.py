"""Splits cells (for the published protocol: spikes) into training, validation and test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from beam_pipelines import domain, keyed_random
from beam_pipelines.errors import UserError

SPLITS = ('train', 'validation', 'test')
PROTOCOLS = ('by_cell', 'published')

_HELD_OUT_FRACTION = 0.15  # for validation, and the same again for test


def _boundaries(count: int) -> tuple[int, int]:
    held_out = max(round(_HELD_OUT_FRACTION * count), 1)
    return count - 2 * held_out, count - held_out


def split_cells(cell_ids: Sequence[str], labels: Sequence[int], seed: int) -> dict[str, str]:
    """Splits the cells of each class 70/15/15 by a seeded hash of the cell id.

    Parameters
    ----------
    cell_ids, labels : the cells and their classes, in any order.
    seed : the split's seed.

    Returns
    -------
    The split of each cell id.

    Raises
    ------
    UserError
        If a class has fewer than three cells, one for each split.
    """

    def order(cell_id: str) -> bytes:
        return hashlib.sha256(f'{seed}/{cell_id}'.encode()).digest()

    split_of = {}
    for label, name in enumerate(domain.LABEL_NAMES):
        cells = sorted((cell for cell, of in zip(cell_ids, labels, strict=True) if of == label), key=order)
        if len(cells) < len(SPLITS):
            raise UserError(
                f'{len(cells)} usable {name} cells: a split by cell needs at least {len(SPLITS)} of each class'
            )
        train_stop, validation_stop = _boundaries(len(cells))
        for rank, cell in enumerate(cells):
            split_of[cell] = SPLITS[(rank >= train_stop) + (rank >= validation_stop)]
    return split_of


def split_spikes(count: int, seed: int) -> dict[str, np.ndarray]:
    """Splits spikes at random 70/15/15, as the published protocol does: a cell's spikes are in several splits.

    Parameters
    ----------
    count : how many spikes there are.
    seed : the split's seed.

    Returns
    -------
    The rows of each split, in ascending order.

    Raises
    ------
    UserError
        If there are fewer than three spikes.
    """
    if count < len(SPLITS):
        raise UserError(f'{count} spikes: a split needs at least {len(SPLITS)}')
    shuffled = keyed_random.permute(np.arange(count), count, keyed_random.derive_key(seed, count))
    train_stop, validation_stop = _boundaries(count)
    parts = np.split(shuffled, [train_stop, validation_stop])
    return {split: np.sort(part) for split, part in zip(SPLITS, parts, strict=True)}
