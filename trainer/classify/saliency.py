"""Saliency: which samples of a mean spike speak for SER and which for NSER, by integrated gradients.

    baseline = midway_spikes(training_range, mean_waveform)          # (c, 160) in pA, one for each of c cells
    saliency = consensus_saliencies(scorer, mean_waveform, baseline)

The first layer of the networks divides a spike by its size, so they see only its shape. A path from zero current would
therefore change nothing until its very end. The path starts instead at a spike that is midway between the classes and
as large as the cell's. The saliency says which differences from that spike move the verdict.
"""

from __future__ import annotations

import numpy as np

from beam_pipelines import domain
from trainer.evaluation.training_range import TrainingRange
from trainer.models.scorers import SpikeScorer

# Points on the path from the baseline to the spike, by Gauss-Legendre quadrature.
_STEPS = 16
_CELLS_AT_ONCE = 8


def midway_spikes(training_range: TrainingRange, mean_waveform: np.ndarray) -> np.ndarray:
    """Returns for each cell a spike that is midway between the classes and as large as the cell's own.

    Its shape is the mean of the mean shapes of the SER and of the NSER training cells. Its mean and standard deviation
    over the 160 samples are those of the cell's spike; the first layer removes both.

    Parameters
    ----------
    training_range : of the model.
    mean_waveform : (..., 160) float, mean spikes in pA.

    Returns
    -------
    (..., 160) float32, pA.
    """
    shape = _centred(training_range.mean_waveform)
    shape /= shape.std(axis=-1, keepdims=True)
    of_classes = [shape[training_range.label == label].mean(axis=0) for label in np.unique(training_range.label)]
    midway = np.mean(of_classes, axis=0)
    size = np.std(mean_waveform, axis=-1, keepdims=True) / midway.std()
    return (np.mean(mean_waveform, axis=-1, keepdims=True) + size * midway).astype(np.float32)


def consensus_saliencies(scorer: SpikeScorer, mean_waveform: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Returns how much each sample of each mean spike speaks for SER (positive) or for NSER (negative).

    Integrated gradients (Sundararajan, Taly and Yan, 2017, arXiv 1703.01365) of the log-odds of the published
    consensus, ``log(mean SER score / mean NSER score)``, along the straight line from the baseline to the mean spike.
    The saliencies of a spike's samples add up to the difference between its log-odds and those of its baseline.

    Parameters
    ----------
    scorer : the ensemble.
    mean_waveform : (c, 160) float, mean spikes of c cells in pA.
    baseline : (c, 160) or (160,) float, pA; see ``midway_spikes``.

    Returns
    -------
    (c, 160) float32, log-odds.
    """
    mean_waveform = np.asarray(mean_waveform, np.float32)
    baseline = np.broadcast_to(np.asarray(baseline, np.float32), mean_waveform.shape)
    nodes, weights = np.polynomial.legendre.leggauss(_STEPS)
    place, weight = ((nodes + 1) / 2).astype(np.float32), weights / 2  # from -1..1 to 0..1
    saliency = np.empty_like(mean_waveform)
    for first in range(0, len(mean_waveform), _CELLS_AT_ONCE):
        cells = slice(first, first + _CELLS_AT_ONCE)
        difference = mean_waveform[cells] - baseline[cells]
        path = baseline[cells, np.newaxis] + place[:, np.newaxis] * difference[:, np.newaxis]
        gradient = scorer.log_odds_gradient(path.reshape(-1, domain.SPIKE_SAMPLES)).reshape(path.shape)
        saliency[cells] = difference * np.einsum('s,csk->ck', weight, gradient)
    return saliency


def consensus_saliency(scorer: SpikeScorer, mean_waveform: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Does the same as ``consensus_saliencies`` for a single cell: (160,), (160,) -> (160,)."""
    return consensus_saliencies(scorer, np.asarray(mean_waveform)[np.newaxis], baseline)[0]


def _centred(waveform: np.ndarray) -> np.ndarray:
    waveform = np.asarray(waveform, np.float64)
    return waveform - waveform.mean(axis=-1, keepdims=True)
