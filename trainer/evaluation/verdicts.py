"""From the scores of a cell's spikes to a verdict on the cell, with its interval."""

from __future__ import annotations

import dataclasses

import numpy as np

from trainer.evaluation.calibration import Calibration

_RESAMPLES = 1000
_INTERVAL = (2.5, 97.5)  # percentiles

# With fewer, the bootstrap has too little to vary to be believed.
_FEWEST_SPIKES = 5


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The call on one cell.

    Attributes
    ----------
    verdict : ``SER``, ``NSER`` or ``undecided``.
    p_ser : calibrated probability of SER; ``p_ser_low`` and ``p_ser_high`` bound its 95 % interval.
    p_ser_published : the published consensus, which is not calibrated.
    """

    verdict: str
    p_ser: float
    p_ser_low: float
    p_ser_high: float
    p_ser_published: float


def undecided_rule(calibration: Calibration) -> str:
    """Says in words when a cell is undecided."""
    rule = (
        f'a cell is undecided if it has fewer than {_FEWEST_SPIKES} spikes, or if the 95 % interval of its probability'
        ' contains one half'
    )
    if calibration.confidence > 0.5:
        rule += f', or if neither class has a probability of at least {calibration.confidence:.2f}'
    elif not calibration.has_chosen_confidence:
        cells = f'{calibration.cells} validation cells were' if calibration.cells else 'the validation cells were'
        rule += f'; {cells} too few to choose a confidence on, so how many verdicts are wrong is not known'
    return rule


def spike_p_ser(scores: np.ndarray) -> np.ndarray:
    """Returns the consensus probability of SER of each spike: (n, m, 2) -> (n,)."""
    return _p_ser(scores.mean(axis=1))


def consensus(scores: np.ndarray) -> float:
    """Returns the published consensus of one cell: (n, m, 2) -> probability of SER, not calibrated."""
    return float(_p_ser(scores.mean(axis=(0, 1))))


def judge_cell(scores: np.ndarray, calibration: Calibration, seed: int) -> Verdict:
    """Judges one cell.

    The published consensus is the mean of the members' two outputs over all its spikes; the probability is that
    consensus, calibrated. The interval is a bootstrap over both what varies: the cell's spikes and the members; of one
    spike alone nothing varies, and it is 0 to 1. Source of the consensus: ``published_method.md``, "Models".

    Parameters
    ----------
    scores : (n, m, 2) float, the scores of the cell's n spikes by m members.
    calibration : of the ensemble.
    seed : seeds the bootstrap.
    """
    published = consensus(scores)
    p_ser = float(calibration.apply(published))
    low, high = _interval(scores, calibration, seed)
    # Rounding can leave the probability a little outside of the interval of resamples that are all alike.
    low, high = min(low, p_ser), max(high, p_ser)
    if low <= 0.5 <= high or len(scores) < _FEWEST_SPIKES or max(p_ser, 1 - p_ser) < calibration.confidence:
        verdict = 'undecided'
    else:
        verdict = 'SER' if p_ser > 0.5 else 'NSER'
    return Verdict(verdict, p_ser, low, high, published)


def _interval(scores: np.ndarray, calibration: Calibration, seed: int) -> tuple[float, float]:
    spikes, members, _ = scores.shape
    if spikes < 2:
        return 0.0, 1.0
    rng = np.random.default_rng(seed)
    # One spike less than there are: resamples of n spikes vary less than other n spikes of the cell would, by
    # (n - 1) / n, which is a fifth of a cell's variance with five spikes. Source: Efron 1982, section 8.
    spike_weights = rng.multinomial(spikes - 1, np.full(spikes, 1 / spikes), _RESAMPLES) / (spikes - 1)
    member_weights = rng.multinomial(members, np.full(members, 1 / members), _RESAMPLES) / members
    by_member = np.tensordot(spike_weights, scores, axes=1)  # (resamples, m, 2)
    resampled = calibration.apply(_p_ser(np.einsum('rmk,rm->rk', by_member, member_weights)))
    low, high = np.percentile(resampled, _INTERVAL)
    return float(low), float(high)


def _p_ser(scores: np.ndarray) -> np.ndarray:
    """Turns (..., 2) scores of SER and NSER into a probability of SER: above one half where SER scores higher."""
    total = scores.sum(axis=-1)
    # Where both are 0, nothing speaks for either.
    return np.where(total > 0, scores[..., 0] / np.where(total > 0, total, 1), 0.5)
