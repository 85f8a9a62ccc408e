"""Saliency: which samples of a mean spike speak for SER and which for NSER, by integrated gradients.

    baseline = midway_spikes(training_range, mean_waveform)          # (c, 160) in pA, one for each of c cells
    saliency = consensus_saliencies(ensemble.model, mean_waveform, baseline)

The first layer of the networks divides a spike by its size, so they see only its shape. A path from zero current would
therefore change nothing until its very end. The path starts instead at a spike that is midway between the classes and
as large as the cell's. The saliency says which differences from that spike move the verdict.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from beam_pipelines import domain
from trainer.evaluation.training_range import TrainingRange

# Points on the path from the baseline to the spike, by Gauss-Legendre quadrature.
_STEPS = 16
_CELLS_AT_ONCE = 8

# The logarithm of a score of 0 would be infinite; this bounds the log-odds at 14 and keeps them smooth.
_LEAST_SCORE = 1e-6


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


def consensus_saliencies(model: keras.Model, mean_waveform: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Returns how much each sample of each mean spike speaks for SER (positive) or for NSER (negative).

    Integrated gradients (Sundararajan, Taly and Yan, 2017, arXiv 1703.01365) of the log-odds of the published
    consensus, ``log(mean SER score / mean NSER score)``, along the straight line from the baseline to the mean spike.
    The saliencies of a spike's samples add up to the difference between its log-odds and those of its baseline.

    Parameters
    ----------
    model : the ensemble, from (n, 160) float32 in pA to {member: (n, 2) scores of SER and NSER}; on TensorFlow or JAX.
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
        gradient = _gradient(model, path.reshape(-1, domain.SPIKE_SAMPLES)).reshape(path.shape)
        saliency[cells] = difference * np.einsum('s,csk->ck', weight, gradient)
    return saliency


def consensus_saliency(model: keras.Model, mean_waveform: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Does the same as ``consensus_saliencies`` for a single cell: (160,), (160,) -> (160,)."""
    return consensus_saliencies(model, np.asarray(mean_waveform)[np.newaxis], baseline)[0]


def _centred(waveform: np.ndarray) -> np.ndarray:
    waveform = np.asarray(waveform, np.float64)
    return waveform - waveform.mean(axis=-1, keepdims=True)


def _log_odds(model: keras.Model, waveform: keras.KerasTensor) -> keras.KerasTensor:
    scores = model(waveform, training=False)
    mean = ops.mean(ops.stack([ops.cast(scores[name], 'float32') for name in model.output_names]), axis=0)
    ser, nser = mean[:, 0] + _LEAST_SCORE, mean[:, 1] + _LEAST_SCORE
    return ops.log(ser) - ops.log(nser)


def _gradient(model: keras.Model, waveform: np.ndarray) -> np.ndarray:
    """Returns (n, 160), the gradient of each spike's log-odds; Keras has no gradients of its own."""
    if keras.backend.backend() == 'jax':
        import jax

        return np.asarray(jax.grad(lambda spikes: ops.sum(_log_odds(model, spikes)))(jax.numpy.asarray(waveform)))
    import tensorflow as tf

    spikes = tf.convert_to_tensor(waveform)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(spikes)
        total = ops.sum(_log_odds(model, spikes))
    return tape.gradient(total, spikes).numpy()
