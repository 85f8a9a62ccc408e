"""From the scores of a cell's spikes to a verdict on the cell, with its interval."""

from __future__ import annotations

import dataclasses

import numpy as np

_RESAMPLES = 1000
_INTERVAL = (2.5, 97.5)  # percentiles

# With fewer, the bootstrap has too little to vary and its interval is too narrow to be believed.
_FEWEST_SPIKES = 5

UNDECIDED_RULE = (
    f'a cell is undecided if it has fewer than {_FEWEST_SPIKES} spikes, or if the 95 % interval of its probability'
    ' contains one half'
)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The call on one cell: ``SER``, ``NSER`` or ``undecided``, the probability of SER and its 95 % interval."""

    verdict: str
    p_ser: float
    p_ser_low: float
    p_ser_high: float


def spike_p_ser(scores: np.ndarray) -> np.ndarray:
    """Returns the consensus probability of SER of each spike: (n, m, 2) -> (n,)."""
    return _p_ser(scores.mean(axis=1))


def judge_cell(scores: np.ndarray, seed: int) -> Verdict:
    """Judges one cell by the published consensus: the mean of the members' two outputs over all its spikes.

    The interval is a bootstrap over both what varies: the cell's spikes and the members. Source of the consensus:
    ``published_method.md``, "Models".

    Parameters
    ----------
    scores : (n, m, 2) float, the scores of the cell's n spikes by m members.
    seed : seeds the bootstrap.
    """
    spikes, members, _ = scores.shape
    rng = np.random.default_rng(seed)
    spike_weights = rng.multinomial(spikes, np.full(spikes, 1 / spikes), _RESAMPLES) / spikes
    member_weights = rng.multinomial(members, np.full(members, 1 / members), _RESAMPLES) / members
    by_member = np.tensordot(spike_weights, scores, axes=1)  # (resamples, m, 2)
    resampled = _p_ser(np.einsum('rmk,rm->rk', by_member, member_weights))
    p_ser = float(_p_ser(scores.mean(axis=(0, 1))))
    low, high = np.percentile(resampled, _INTERVAL)
    # Rounding can leave the probability a little outside of the interval of resamples that are all alike.
    low, high = min(float(low), p_ser), max(float(high), p_ser)
    if low <= 0.5 <= high or spikes < _FEWEST_SPIKES:
        verdict = 'undecided'
    else:
        verdict = 'SER' if p_ser > 0.5 else 'NSER'
    return Verdict(verdict, p_ser, low, high)


def _p_ser(scores: np.ndarray) -> np.ndarray:
    """Turns (..., 2) scores of SER and NSER into a probability of SER: above one half where SER scores higher."""
    total = scores.sum(axis=-1)
    # Where both are 0, nothing speaks for either.
    return np.where(total > 0, scores[..., 0] / np.where(total > 0, total, 1), 0.5)
