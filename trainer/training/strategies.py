"""The devices that a run computes on: one, several of a machine, those of several machines, or a TPU.

Every strategy sees the same global batches and makes the same steps, except for the rounding of sums and the random
dropout.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from beam_pipelines.errors import UserError
from trainer.training import distributed_fit
from trainer.training.agreement import Agreement
from trainer.training.distributed_fit import Extent
from trainer.training.input_wait import InputWait
from trainer.training.one_device import Batches, Callbacks, OneDevice, batch_rows, rows_of_process


class Replicas(OneDevice):
    """The devices of a ``tf.distribute`` strategy within this process.

    Parameters
    ----------
    strategy : copies the model to its devices and sums up their gradients.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self.replicas = strategy.num_replicas_in_sync
        self.can_scale_loss = self.replicas == 1

    def scope(self) -> contextlib.AbstractContextManager:
        return self._strategy.scope()

    def share(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        return batches.rebatch(batch_rows(batches) // self.replicas, drop_remainder=True)

    def fit(self, model: keras.Model, batches: Batches, extent: Extent, callbacks: Callbacks) -> None:
        distributed_fit.fit(model, self._strategy, batches, extent, callbacks)

    def feed(self, parts: tf.data.Dataset, input_wait: InputWait) -> tf.distribute.DistributedDataset:
        measured = input_wait.measure(parts)
        return self._strategy.distribute_datasets_from_function(lambda _: measured)


class Workers(Agreement, Replicas):
    """The devices of several processes, which TF_CONFIG names; each of them runs the same command.

    Every worker reads all global batches and takes its rows, so that the steps do not depend on the number of workers.
    """

    def __init__(self, strategy: tf.distribute.MultiWorkerMirroredStrategy):
        Replicas.__init__(self, strategy)
        resolver = strategy.cluster_resolver
        cluster = resolver.cluster_spec()
        chiefs = cluster.num_tasks('chief') if 'chief' in cluster.jobs else 0
        self._worker = resolver.task_id + (chiefs if resolver.task_type == 'worker' else 0)
        self._workers = chiefs + (cluster.num_tasks('worker') if 'worker' in cluster.jobs else 0)
        self.is_chief = self._worker == 0
        Agreement.__init__(self, f'worker {self._worker} of {self._workers}', self._sum)

    def _sum(self, values: Sequence[float]) -> np.ndarray:
        with _lost_workers():
            return distributed_fit.sum_over_devices(self._strategy, values)

    def share(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        rows = batch_rows(batches) // self.replicas
        return rows_of_process(batches, self._worker, self._workers).rebatch(rows, drop_remainder=True)

    def fit(self, model: keras.Model, batches: Batches, extent: Extent, callbacks: Callbacks) -> None:
        with _lost_workers():
            super().fit(model, batches, extent, [self.stop_requests, *callbacks])


def open_strategy(name: str) -> OneDevice:
    """Opens the devices; before TensorFlow or JAX have computed anything.

    Parameters
    ----------
    name : ``one``, ``mirrored``, ``multi_worker``, ``tpu`` or ``auto``, which takes all available devices: several
        workers where TF_CONFIG names them, else all GPUs of this machine; on JAX all of its devices, and of
        the other hosts if there are any.

    Raises
    ------
    UserError
        If the backend lacks the strategy, or the machine lacks the devices.
    """
    backend = keras.backend.backend()
    if backend == 'jax':
        if name not in ('auto', 'one'):
            raise UserError(f'--strategy={name}: is of TensorFlow; with the backend jax there are auto and one')
        return _open_jax(name)
    if backend != 'tensorflow':
        raise UserError(f'backend {backend!r}: expected tensorflow or jax')
    if name == 'multi_worker' or (name == 'auto' and _has_other_workers()):
        return Workers(_connect_workers())
    gpus = tf.config.list_logical_devices('GPU')
    if name == 'mirrored' or (name == 'auto' and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices('CPU')
        return Replicas(tf.distribute.MirroredStrategy([device.name for device in devices]))
    if name == 'tpu':
        return Replicas(_connect_tpu())
    return OneDevice()


def _open_jax(name: str) -> OneDevice:
    # Both import JAX, which need not be installed.
    import jax

    from trainer.training.jax_devices import JaxDevices, JaxHosts

    if jax.process_count() > 1:
        return JaxHosts()
    devices = keras.distribution.list_devices()
    return JaxDevices(devices if name == 'auto' else devices[:1])


def _has_other_workers() -> bool:
    """Tells whether TF_CONFIG names other processes; Vertex AI sets it for jobs of a single machine too."""
    return bool(os.environ.get('TF_CONFIG')) and _count_workers() > 1


def _count_workers() -> int:
    """Returns how many processes TF_CONFIG names; raises UserError if it is none of a cluster that can be."""
    try:
        # Vertex AI adds fields to it, and to the task; they are of no concern here.
        config = json.loads(os.environ.get('TF_CONFIG', ''))
        jobs, task = config['cluster'], config['task']
        if set(jobs) - {'chief', 'worker'} or not 0 <= task['index'] < len(jobs[task['type']]):
            raise ValueError
        return sum(map(len, jobs.values()))
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f'TF_CONFIG {os.environ.get("TF_CONFIG", "")!r}: expected such as {{"cluster": {{"worker": ["host0:2222",'
            ' "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
        ) from None


def _connect_workers() -> tf.distribute.MultiWorkerMirroredStrategy:
    workers = _count_workers()
    print(f'waiting until all {workers} workers are there', file=sys.stderr)
    # TensorFlow waits where Python handles no signals, so let Ctrl-C end the process directly.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise UserError(f'--strategy=multi_worker: {" ".join(error.message.split())}') from None
    finally:
        signal.signal(signal.SIGINT, handler)


def _connect_tpu() -> tf.distribute.TPUStrategy:
    try:
        # The TPU of the machine that this runs on; a name would be looked up in Google's network.
        return tf.distribute.TPUStrategy(tf.distribute.cluster_resolver.TPUClusterResolver.connect('local'))
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise UserError(f'--strategy=tpu: {str(error).partition(". ")[0]}') from None


@contextlib.contextmanager
def _lost_workers() -> Iterator[None]:
    """Reports in one line that another worker has ended; TensorFlow raises it from any operation that was waiting."""
    try:
        yield
    except tf.errors.OpError as error:
        if 'ollective' not in error.message:
            raise
        raise UserError(
            'another worker has ended or cannot be reached; the same command on all of them goes on from the last'
            ' checkpoint'
        ) from None
