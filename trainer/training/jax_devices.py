"""The devices of JAX: those of this machine, or of several hosts, by Keras's data parallelism."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import jax
import keras
import numpy as np
import tensorflow as tf
from jax.experimental import multihost_utils

from trainer.training import jax_fit
from trainer.training.agreement import Agreement
from trainer.training.distributed_fit import Extent
from trainer.training.input_wait import InputWait
from trainer.training.jax_hosts import noticing_lost_hosts
from trainer.training.one_device import Callbacks, OneDevice, Score, rows_of_process


class JaxDevices(OneDevice):
    """Devices of this machine, which split each global batch between them.

    Parameters
    ----------
    devices : their names, of ``keras.distribution.list_devices``.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        # Keras would split a dataset between hosts; here each takes its rows of the global batches.
        self._distribution = keras.distribution.DataParallel(devices=list(devices), auto_shard_dataset=False)
        self.replicas = len(devices)

    def scope(self) -> contextlib.AbstractContextManager:
        return self._distribution.scope()

    def feed(self, parts: tf.data.Dataset, input_wait: InputWait) -> jax_fit.PlacedBatches:
        return jax_fit.PlacedBatches(parts, self.place, input_wait)

    def place(self, rows: np.ndarray) -> jax.Array:
        """Puts this process's rows of a batch on its devices; returns the whole batch, of all processes."""
        layout = self._distribution.get_data_layout(rows.shape).backend_layout
        return jax.make_array_from_process_local_data(layout, rows)

    def fit(self, model: keras.Model, batches: jax_fit.PlacedBatches, extent: Extent, callbacks: Callbacks) -> None:
        jax_fit.fit(model, batches, extent, callbacks, self.scope)

    def score(self, ensemble: keras.Model) -> Score:
        def score(waveform: np.ndarray) -> dict[str, np.ndarray]:
            with self.scope():
                return ensemble.predict_on_batch(waveform)

        return score


class JaxHosts(Agreement, JaxDevices):
    """The devices of several hosts that ``jax_hosts.connect`` has connected; each runs the same command.

    Every host reads all global batches and puts its rows on its devices, so that the steps do not depend on the number
    of hosts.
    """

    def __init__(self) -> None:
        JaxDevices.__init__(self, keras.distribution.list_devices())
        Agreement.__init__(self, f'host {jax.process_index()} of {jax.process_count()}', _sum_over_hosts)
        self.is_chief = jax.process_index() == 0
        # JAX compares what hosts put on shared devices, also the weights that loaded ones are about to replace.
        keras.utils.set_random_seed(0)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        with noticing_lost_hosts(), super().scope():
            yield

    def share(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        return rows_of_process(batches, jax.process_index(), jax.process_count())

    def fit(self, model: keras.Model, batches: jax_fit.PlacedBatches, extent: Extent, callbacks: Callbacks) -> None:
        with noticing_lost_hosts():
            super().fit(model, batches, extent, [self.stop_requests, *callbacks])

    def score(self, ensemble: keras.Model) -> Score:
        """Each host scores all rows by itself, on its first device: the batches are not shared."""

        @jax.jit
        def run(variables: tuple, waveform: jax.Array) -> dict[str, jax.Array]:
            outputs, _ = ensemble.stateless_call(*variables, waveform, training=False)
            return outputs

        def score(waveform: np.ndarray) -> dict[str, jax.Array]:
            variables = (ensemble.trainable_variables, ensemble.non_trainable_variables)
            here = jax.tree.map(lambda variable: variable.value.addressable_data(0), variables)
            return run(here, waveform)

        return score


def _sum_over_hosts(values: Sequence[float]) -> np.ndarray:
    # JAX's own numbers have 32 bits, so the bits are gathered and added here.
    bits = np.array(values, np.float64).view(np.uint32)
    with noticing_lost_hosts():
        gathered = multihost_utils.process_allgather(bits)
    return np.ascontiguousarray(gathered).view(np.float64).sum(axis=0)
