"""The ensemble: members of several kernel sizes that share each batch and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from beam_pipelines import domain
from trainer.models.architectures import build_member


@keras.saving.register_keras_serializable('sero_spikes')
class AddTimeColumn(keras.layers.Layer):
    """Puts the published time column before the current: (n, 160) in pA -> (n, 160, 2, 1)."""

    def call(self, current_pa: keras.KerasTensor) -> keras.KerasTensor:
        time_s = np.arange(domain.SPIKE_SAMPLES, dtype=np.float32) / domain.SAMPLING_RATE_HZ
        time_column = keras.ops.zeros_like(current_pa) + keras.ops.cast(time_s, current_pa.dtype)
        return keras.ops.expand_dims(keras.ops.stack([time_column, current_pa], axis=-1), -1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, 2, 1)


def build_ensemble(
    architecture: str, kernel_sizes: Sequence[int], seed: int, precision: str = 'float32'
) -> keras.Model:
    """Builds an untrained ensemble.

    Parameters
    ----------
    architecture, kernel_sizes, precision : see ``models.build_member``; one member per kernel size.
    seed : seeds the members' weights and dropout.

    Returns
    -------
    Model from (n, 160) float32 in pA to {member name: (n, 2) scores of SER and NSER}.
    """
    keras.utils.set_random_seed(seed)
    return join_members([build_member(architecture, kernel_size, precision) for kernel_size in kernel_sizes])


def uses_xla() -> bool:
    """Whether training steps are compiled by XLA, which Keras would do by default.

    TensorFlow's own convolutions are twice as fast on a CPU; JAX always needs it.
    """
    return keras.backend.backend() != 'tensorflow'


def join_members(members: Sequence[keras.Model]) -> keras.Model:
    """Joins members into one model over one input; each keeps its own weights."""
    waveform = keras.Input((domain.SPIKE_SAMPLES,), name='waveform')
    with_time = AddTimeColumn(name='add_time_column')(waveform)
    outputs = {member.name: member(with_time if len(member.input_shape) == 4 else waveform) for member in members}
    return keras.Model(waveform, outputs, name='ensemble')


def members_of(ensemble: keras.Model) -> list[keras.Model]:
    """Returns the members, in the order of the ensemble's outputs."""
    return [ensemble.get_layer(name) for name in ensemble.output_names]
