"""What is fitted: the ensemble, behind what is done to its spikes in training only."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from beam_pipelines.synthesis.synthesizer import Synthesizer
from trainer.models.augmentation import Augmentation
from trainer.models.online_synthesis import SpikeSynthesis


class TrainingModel(keras.Model):
    """An ensemble that trains on spikes made from draws, or augmented, or both, and is validated on stored spikes.

    Called with waveforms (b, 160) in pA, which reach the ensemble as they are, or with a dict of the columns
    ``waveform`` or those of ``SpikeSynthesis``, and ``augmentation`` if there is one.

    Parameters
    ----------
    ensemble : from (b, 160) in pA. Only it is saved.
    bank : what draws are from; None if the spikes are stored ones.
    augmentations : what of the rig is varied, see ``augmentation.augment``.
    """

    def __init__(self, ensemble: keras.Model, bank: Synthesizer | None = None, augmentations: Sequence[str] = ()):
        super().__init__(name='training_model')
        self._ensemble = ensemble
        self._synthesis = SpikeSynthesis(bank) if bank else None
        self._augmentation = Augmentation(augmentations) if augmentations else None

    def call(
        self, inputs: keras.KerasTensor | dict[str, keras.KerasTensor], training: bool | None = None
    ) -> dict[str, keras.KerasTensor]:
        if not isinstance(inputs, dict):
            return self._ensemble(inputs, training=training)
        waveform = self._synthesis(inputs) if self._synthesis else inputs['waveform']
        if self._augmentation:
            waveform = self._augmentation(waveform, inputs['augmentation'])
        return self._ensemble(waveform, training=training)
