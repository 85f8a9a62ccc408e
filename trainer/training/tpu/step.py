"""The training step of ``--backend=jax``, lowered for devices that need not be here."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import jax
import keras
import numpy as np
import tensorflow as tf
from ml_collections import FrozenConfigDict

from beam_pipelines import domain
from beam_pipelines.synthesis.synthesizer import Recipe, SpikeBank, Synthesizer
from trainer.data.augmentation_draws import add_draws
from trainer.models.ensemble import build_ensemble
from trainer.training.held_out_days import groups_of_days
from trainer.training.loop import check_devices, model_to_fit, with_targets
from trainer.training.one_device import OneDevice
from trainer.training.optimization import compile_ensemble, learning_rate_over_run

# The published sizes: 70 % of the recorded spikes train, and 600 noise masks were cut from their recordings.
_BANK_SPIKES = 30_328
_BANK_MASKS = 600


class DescribedDevices(OneDevice):
    """Devices that share each batch as those of ``jax_devices.JaxDevices`` do, but need not be here.

    Parameters
    ----------
    devices : of a topology.
    """

    def __init__(self, devices: Sequence[jax.Device]):
        self._distribution = keras.distribution.DataParallel(devices=list(devices))
        self.replicas = len(devices)

    def scope(self) -> contextlib.AbstractContextManager:
        return self._distribution.scope()

    def place_variable(self, variable: keras.Variable) -> jax.ShapeDtypeStruct:
        """Returns the shape of a variable that each device has a copy of."""
        layout = self._distribution.get_variable_layout(variable)
        return jax.ShapeDtypeStruct(variable.shape, variable.dtype, sharding=layout.backend_layout)

    def place_batch(self, column: tf.TensorSpec) -> jax.ShapeDtypeStruct:
        """Returns the shape of a column of a batch, of which each device has some rows."""
        layout = self._distribution.get_data_layout(column.shape)
        return jax.ShapeDtypeStruct(column.shape, column.dtype.as_numpy_dtype, sharding=layout.backend_layout)


def lower_step(
    config: FrozenConfigDict, devices: DescribedDevices, bank: Synthesizer | None = None
) -> jax.stages.Lowered:
    """Lowers the step that a run of a config makes on these devices: the same model, inputs and shardings.

    The variables are made on this machine's CPU. Nothing is read, and nothing is computed.

    Parameters
    ----------
    config : from ``trainer.config.check_config``.
    devices : share each batch.
    bank : what the input ``online`` draws from; by default zeros of the published sizes.

    Raises
    ------
    UserError
        If the devices cannot share a batch.
    """
    check_devices(config, devices)
    ensemble = build_ensemble(config.architecture, config.kernel_sizes, config.seed, config.precision)
    compile_ensemble(ensemble, config.precision, learning_rate_over_run(config))
    if config.input == 'online':
        bank = bank or _published_bank()
    model = model_to_fit(ensemble, bank, config.augment)
    batch = jax.tree.map(devices.place_batch, _columns(config, ensemble.output_names))
    # As ``keras.Model.fit`` does before its first step: it makes the variables of the metrics and of the optimizer.
    model._symbolic_build(data_batch=batch)
    variables = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = jax.tree.map(devices.place_variable, tuple(map(list, variables)))
    shardings = jax.tree.map(lambda variable: variable.sharding, state)
    with devices.scope():
        # As Keras's ``make_train_function`` does, which keeps the jitted function to itself.
        return jax.jit(model.train_step, donate_argnums=0, out_shardings=(None, shardings)).lower(state, batch)


def _columns(config: FrozenConfigDict, output_names: Sequence[str]) -> tuple:
    """Returns what the step gets of a batch, as tensor specs: what ``training.loop`` feeds, without its data."""
    label = cell = tf.constant(0, tf.int64)
    row: tuple = (_draws_of_a_row() if config.input == 'online' else tf.zeros(domain.SPIKE_SAMPLES), label)
    leaves_out_days = groups_of_days(config.held_out_days, len(config.kernel_sizes)) > 0
    if leaves_out_days and config.input != 'online':
        row = (*row, cell)
    batches = tf.data.Dataset.from_tensors(row).repeat().batch(config.batch_size, drop_remainder=True)
    if config.augment:
        batches = add_draws(batches, config.seed)
    weights = np.ones((len(output_names), 1), np.float32) if leaves_out_days else None
    return with_targets(batches, output_names, weights).element_spec


def _draws_of_a_row() -> dict[str, tf.Tensor]:
    return {'spike': tf.constant(0, tf.int32), 'masks': tf.zeros(4, tf.int32), 'weights': tf.zeros(4)}


def _published_bank() -> Synthesizer:
    spikes = np.zeros((_BANK_SPIKES, domain.SPIKE_SAMPLES), np.float32)
    labels = np.arange(_BANK_SPIKES) % len(domain.LABEL_NAMES)
    masks = np.zeros((_BANK_MASKS, domain.SPIKE_SAMPLES), np.float32)
    return Synthesizer(SpikeBank(spikes, labels, masks), (1, 1), 0, Recipe())
