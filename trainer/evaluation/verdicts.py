"""From the scores of a cell's spikes to a verdict on the cell, with its interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from scipy.special import logit

from beam_pipelines import domain
from beam_pipelines.cli.words import counted
from beam_pipelines.spikes.waveform_features import measure_udi_ms
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.cell_warnings import UNLIKE, CellWarning
from trainer.evaluation.results import CellResult

_RESAMPLES = 1000
_INTERVAL = (2.5, 97.5)  # percentiles

# The same for all cells, so that a cell has the same interval alone, among others, from Python and in every command.
_BOOTSTRAP_SEED = 0

# With fewer, the bootstrap says too little about how the spikes vary.
_FEWEST_SPIKES = 5

# In log-odds: 0.05 at a probability of one half, 0.01 at 0.95.
_CLOSE = 0.2
# A probability is at its limit if it is nearer to it than this, which two digits do not show, and than half of what
# the limit leaves to certainty.
_NEAR_LIMIT = 0.005


def undecided_rule(calibration: Calibration) -> str:
    """Says when a cell is undecided."""
    rule = (
        f'a cell is undecided if it has fewer than {_FEWEST_SPIKES} spikes, if its mean spike is not shaped like that'
        ' of any training cell, or if the 95 % interval of its probability contains one half'
    )
    if calibration.confidence > 0.5:
        rule += f', or if neither class has a probability of at least {calibration.confidence:.2f}'
    elif not calibration.has_chosen_confidence:
        cells = f'{counted(calibration.cells, "calibrating cell")}' if calibration.cells else 'the calibrating cells'
        rule += f'; {cells} were too few to choose a confidence on, so how many verdicts are wrong is not known'
    return rule


def spike_p_ser(scores: np.ndarray) -> np.ndarray:
    """Returns the consensus probability of SER of each spike: (n, m, 2) -> (n,)."""
    return _p_ser(scores.mean(axis=1))


def consensus(scores: np.ndarray) -> float:
    """Returns the published consensus of one cell: (n, m, 2) -> probability of SER, not calibrated."""
    return float(_p_ser(scores.mean(axis=(0, 1))))


def classify_cell(
    scores: np.ndarray, waveform: np.ndarray, calibration: Calibration, cell: str, label: int | None = None
) -> CellResult:
    """Makes the verdict on one cell.

    The published consensus is the mean of the members' two outputs over all spikes; the probability is that consensus,
    calibrated. The interval is a bootstrap over spikes and members. With a single spike nothing varies, and the
    interval is 0 to 1. Source of the consensus: arXiv 2405.05516.

    Parameters
    ----------
    scores : (n, m, 2) float, the scores of the cell's n spikes by m members. The spikes must be in the order of their
        triggers: the bootstrap draws them by position, and every command must find the same interval.
    waveform : (n, 160) float32, the spikes in pA.
    calibration : of the ensemble.
    cell : the cell's name.
    label : 0 SER, 1 NSER, None where unknown.
    """
    published = consensus(scores)
    p_ser = float(calibration.apply(np.asarray(published)))
    low, high = _interval(scores, calibration)
    # Where all resamples are alike, rounding can put the probability just outside the interval.
    low, high = min(low, p_ser), max(high, p_ser)
    mean_waveform = waveform.mean(axis=0)
    result = CellResult(
        cell=cell,
        verdict='SER' if p_ser > 0.5 else 'NSER',
        p_ser=p_ser,
        p_ser_low=low,
        p_ser_high=high,
        p_ser_published=published,
        n_spikes=len(scores),
        udi_ms=measure_udi_ms(mean_waveform, domain.SAMPLING_RATE_HZ),
        label=label,
        mean_waveform=mean_waveform,
    )
    return dataclasses.replace(result, verdict='undecided') if _doubt(result, calibration) else result


def limit_reached(p_ser: float, calibration: Calibration) -> float | None:
    """Returns the lowest or the highest probability that a calibration gives, if ``p_ser`` is as good as there.

    Networks that are surer still would be given the same probability: the calibration cells are too few to tell.
    """
    lowest, highest = calibration.limits
    if p_ser <= 0.5:
        return lowest if abs(p_ser - lowest) < min(_NEAR_LIMIT, lowest / 2) else None
    return highest if abs(highest - p_ser) < min(_NEAR_LIMIT, (1 - highest) / 2) else None


def is_close_to_undecided(cell: CellResult, calibration: Calibration) -> bool:
    """Whether a verdict would be ``undecided`` if its interval or its probability were a little different."""
    if cell.verdict == 'undecided':
        return False
    is_ser = cell.verdict == domain.LABEL_NAMES[0]
    nearest, p_class = (cell.p_ser_low, cell.p_ser) if is_ser else (1 - cell.p_ser_high, 1 - cell.p_ser)
    if logit(nearest) < _CLOSE:
        return True
    # At the limit, no cell can be further above the confidence.
    if calibration.confidence <= 0.5 or limit_reached(cell.p_ser, calibration) is not None:
        return False
    return bool(logit(p_class) < logit(calibration.confidence) + _CLOSE)


def why_undecided(cell: CellResult, calibration: Calibration) -> str:
    """Returns in words why a cell is undecided, the first reason that holds; empty if it is not."""
    if cell.verdict != 'undecided':
        return ''
    if _is_unlike_all(cell.warnings):
        return 'its mean spike is unlike those of all training cells'
    return _doubt(cell, calibration)


def _doubt(cell: CellResult, calibration: Calibration) -> str:
    """Returns in words why the spikes of a cell are no evidence for a verdict; empty if they are."""
    if cell.n_spikes < _FEWEST_SPIKES:
        return f'fewer than {_FEWEST_SPIKES} spikes'
    if cell.p_ser_low <= 0.5 <= cell.p_ser_high:
        return 'the interval contains one half'
    if max(cell.p_ser, 1 - cell.p_ser) < calibration.confidence:
        return f'neither class has a probability of {calibration.confidence:.2f}'
    return ''


def _is_unlike_all(warnings: Iterable[CellWarning]) -> bool:
    return any(warning.code == UNLIKE for warning in warnings)


def with_warnings(result: CellResult, warnings: Iterable[CellWarning]) -> CellResult:
    """Returns a cell with its warnings; one whose mean spike resembles that of no training cell is undecided."""
    warnings = tuple(warnings)
    verdict = 'undecided' if _is_unlike_all(warnings) else result.verdict
    return dataclasses.replace(result, verdict=verdict, warnings=warnings)


def _interval(scores: np.ndarray, calibration: Calibration) -> tuple[float, float]:
    spikes, members, _ = scores.shape
    if spikes < 2:
        return 0.0, 1.0
    rng = np.random.default_rng(_BOOTSTRAP_SEED)
    # Each resample has n - 1 spikes. Resamples of n spikes vary less than n other spikes of the cell would, by a factor
    # of (n - 1) / n; with five spikes that is a fifth of the variance. Source: Efron 1982, section 8.
    spike_weights = rng.multinomial(spikes - 1, np.full(spikes, 1 / spikes), _RESAMPLES) / (spikes - 1)
    member_weights = rng.multinomial(members, np.full(members, 1 / members), _RESAMPLES) / members
    by_member = np.tensordot(spike_weights, scores, axes=1)  # (resamples, m, 2)
    resampled = calibration.apply(_p_ser(np.einsum('rmk,rm->rk', by_member, member_weights)))
    low, high = np.percentile(resampled, _INTERVAL)
    return float(low), float(high)


def _p_ser(scores: np.ndarray) -> np.ndarray:
    """Turns (..., 2) scores of SER and NSER into a probability of SER: above one half where SER scores higher."""
    total = scores.sum(axis=-1)
    # If both are 0, there is no evidence for either class.
    return np.where(total > 0, scores[..., 0] / np.where(total > 0, total, 1), 0.5)
