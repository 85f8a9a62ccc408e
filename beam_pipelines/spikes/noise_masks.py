"""Cuts noise masks from the spike-free stretches of a recording."""

from __future__ import annotations

import hashlib

import numpy as np

from beam_pipelines import domain, keyed_random
from beam_pipelines.errors import UserError

MASK_SAMPLES = domain.SPIKE_SAMPLES

# No stretch lies between 2 ms before a trigger and 20 ms after it, when the after-hyperpolarisation has ended ...
_SAMPLES_BEFORE = 80
_SAMPLES_AFTER = 800
# ... and its current stays within half the threshold in both directions: neither a spike too small to trigger nor a
# stimulus artefact is noise.
_QUIET_SHARE = 0.5


def find_quiet_stretches(
    current_pa: np.ndarray, triggers: np.ndarray, trigger_pa: float = domain.TRIGGER_PA
) -> np.ndarray:
    """Finds non-overlapping spike-free stretches as long as a mask.

    Parameters
    ----------
    current_pa : (n,) float32, one sweep in pA.
    triggers : (k,) int64, all triggers of the sweep.
    trigger_pa : the threshold, negative.

    Returns
    -------
    (m,) int64, first sample of each stretch, in ascending order.
    """
    stretches = len(current_pa) // MASK_SAMPLES
    whole = current_pa[: stretches * MASK_SAMPLES].reshape(stretches, MASK_SAMPLES)
    quiet_pa = _QUIET_SHARE * abs(trigger_pa)
    quiet = (whole.min(axis=1, initial=0) > -quiet_pa) & (whole.max(axis=1, initial=0) < quiet_pa)
    first = np.maximum(triggers - _SAMPLES_BEFORE, 0) // MASK_SAMPLES
    last = (triggers + _SAMPLES_AFTER) // MASK_SAMPLES
    for start, stop in zip(first, last, strict=True):
        quiet[start : stop + 1] = False
    return np.flatnonzero(quiet) * MASK_SAMPLES


def spread_over_recordings(available: list[int], wanted: int) -> list[int]:
    """Decides how many masks each recording contributes, as evenly as possible.

    Parameters
    ----------
    available : how many masks each recording has.
    wanted : how many masks are needed in all.

    Returns
    -------
    How many to take from each recording.

    Raises
    ------
    UserError
        If all recordings together have fewer than wanted.
    """
    if sum(available) < wanted:
        raise UserError(
            f'not enough silence: {wanted} noise masks of {1000 * MASK_SAMPLES / domain.SAMPLING_RATE_HZ:g} ms wanted,'
            f' the spike-free stretches of the {len(available)} training recordings hold {sum(available)}'
        )
    taken = [0] * len(available)
    while wanted:
        open_recordings = [index for index, count in enumerate(available) if count > taken[index]]
        share = max(wanted // len(open_recordings), 1)
        for index in open_recordings[:wanted]:
            more = min(share, available[index] - taken[index])
            taken[index] += more
            wanted -= more
    return taken


def choose_starts(stretches: np.ndarray, most: int, seed: int, cell_id: str) -> np.ndarray:
    """Returns at most so many of (n,) int64 starts, in a random order that depends on the seed and the cell."""
    cell_number = int.from_bytes(hashlib.sha256(cell_id.encode()).digest()[:4], 'little')
    count = len(stretches)
    chosen = keyed_random.permute(np.arange(min(most, count)), count, keyed_random.derive_key(seed, cell_number))
    return stretches[chosen]


def cut_masks(sweeps: list[np.ndarray], mask_starts: np.ndarray) -> np.ndarray:
    """Cuts masks, (m, 160) float32 in pA, that start at (m,) int64 samples in the sweeps one after the other."""
    masks = np.empty((len(mask_starts), MASK_SAMPLES), np.float32)
    sweep_starts = np.cumsum([0, *map(len, sweeps)])
    for mask, start in zip(masks, mask_starts, strict=True):
        sweep = int(np.searchsorted(sweep_starts, start, side='right')) - 1
        first = start - sweep_starts[sweep]
        mask[:] = sweeps[sweep][first : first + len(mask)]
    return masks
