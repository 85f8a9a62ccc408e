"""Scores of spikes through Keras: for runs without ``consensus.onnx``, and where ONNX Runtime is not installed."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from trainer.models.ensemble import join_members, uses_xla
from trainer.models.model_info import ModelInfo
from trainer.models.onnx_graph import LEAST_SCORE
from trainer.models.scoring import score_spikes
from trainer.models.trained import load_members


class KerasScorer:
    """An ensemble in Keras, on TensorFlow or JAX; a ``SpikeScorer``.

    Parameters
    ----------
    model : from (n, 160) float32 in pA to {member: (n, 2) scores of SER and NSER}.
    """

    def __init__(self, model: keras.Model):
        self._model = model

    def score(self, waveform: np.ndarray) -> np.ndarray:
        return score_spikes(self._model, waveform)

    def log_odds_gradient(self, waveform: np.ndarray) -> np.ndarray:
        """Keras has no gradients of its own."""
        waveform = np.asarray(waveform, np.float32)
        if keras.backend.backend() == 'jax':
            import jax

            return np.asarray(jax.grad(lambda spikes: ops.sum(self._log_odds(spikes)))(jax.numpy.asarray(waveform)))
        import tensorflow as tf

        spikes = tf.convert_to_tensor(waveform)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(spikes)
            total = ops.sum(self._log_odds(spikes))
        return tape.gradient(total, spikes).numpy()

    def _log_odds(self, waveform: keras.KerasTensor) -> keras.KerasTensor:
        scores = self._model(waveform, training=False)
        mean = ops.mean(ops.stack([ops.cast(scores[name], 'float32') for name in self._model.output_names]), axis=0)
        ser, nser = mean[:, 0] + LEAST_SCORE, mean[:, 1] + LEAST_SCORE
        return ops.log(ser) - ops.log(nser)


def load_keras_scorer(workdir: str, info: ModelInfo) -> KerasScorer:
    """Loads the members of a run; ModelError if one is missing or damaged, see ``load_members``."""
    model = join_members(load_members(workdir, info))
    # Otherwise Keras may compile with XLA, which would delay the first verdict.
    model.compile(jit_compile=uses_xla())
    return KerasScorer(model)
