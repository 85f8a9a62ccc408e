"""Synthetic spikes made inside the training step: recorded spikes and noise masks stay on the device."""

from __future__ import annotations

import keras
import numpy as np

from beam_pipelines.synthesis.synthesizer import Synthesizer


class SpikeSynthesis(keras.layers.Layer):
    """Makes synthetic spikes on the device: ``MA3(spike) + sum of w_i * mask_i``.

    Called with {spike (b,) integers, masks (b, 4) integers, weights (b, 4) float32}; returns (b, 160) float32 in pA.

    Parameters
    ----------
    bank : its spikes and noise masks are kept on the device as constants.
    """

    def __init__(self, bank: Synthesizer):
        super().__init__(name='spike_synthesis', trainable=False)
        self._spikes = self._constant('spikes', bank.smoothed)
        self._masks = self._constant('noise_masks', bank.noise_masks)

    def call(self, draws: dict[str, keras.KerasTensor]) -> keras.KerasTensor:
        spikes = keras.ops.take(self._spikes, draws['spike'], axis=0)
        masks = keras.ops.take(self._masks, draws['masks'], axis=0)
        return spikes + keras.ops.sum(keras.ops.expand_dims(draws['weights'], -1) * masks, axis=1)

    def _constant(self, name: str, values: np.ndarray) -> keras.Variable:
        return self.add_weight(name=name, shape=values.shape, initializer=lambda *_, **__: values, trainable=False)
