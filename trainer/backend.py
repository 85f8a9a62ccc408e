"""Starts Keras and TensorFlow without the lines that TensorFlow writes at every import."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import tempfile
from collections.abc import Iterator

from beam_pipelines.cli.command import standard_error_kept_back
from beam_pipelines.cli.environment import environment_with
from beam_pipelines.errors import UserError

_BACKENDS = ('tensorflow', 'jax')
# Whoever sets them reads what TensorFlow says: it ends the process at a flag that it does not know.
_FLAGS_OF_XLA = ('TF_XLA_FLAGS', 'XLA_FLAGS')
_KERAS_LIMITS = {'KERAS_MAX_EPOCHS': None, 'KERAS_MAX_STEPS_PER_EPOCH': None}


def start_keras(backend: str | None = None) -> None:
    """Imports TensorFlow and Keras, on the given backend or on that of KERAS_BACKEND, or else on TensorFlow.

    TensorFlow 2.21 reports CPU features and missing GPUs from C++ before any setting of it is read, which would bury a
    one-line error. If the import fails, what it wrote is shown.

    Raises
    ------
    UserError
        If the backend is another one, or not installed.
    """
    with contextlib.suppress(io.UnsupportedOperation):  # in some notebooks standard error is not a file
        if not faulthandler.is_enabled():
            faulthandler.enable()  # what kills the process in a compiled library: say where
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    backend = backend or os.environ.get('KERAS_BACKEND') or 'tensorflow'
    if backend not in _BACKENDS:
        raise UserError(f'KERAS_BACKEND {backend!r}: expected {" or ".join(_BACKENDS)}')
    os.environ['KERAS_BACKEND'] = backend
    is_shown = any(map(os.environ.get, _FLAGS_OF_XLA))
    with contextlib.nullcontext() if is_shown else standard_error_kept_back(), _no_settings_of_the_user():
        try:
            import keras
            import tensorflow as tf
        except ModuleNotFoundError as error:
            if error.name != backend:
                raise
            raise UserError(f"{backend} is not installed: pip install '{backend}'") from None
        tf.get_logger().setLevel('ERROR')
        # Looking for devices is what makes TensorFlow try CUDA.
        tf.config.list_physical_devices()
        if backend != 'tensorflow':
            # TensorFlow only reads the data here, and would fill any GPU that it sees.
            tf.config.set_visible_devices([], 'GPU')
            keras.distribution.list_devices()  # JAX also reports the devices that it has not found


@contextlib.contextmanager
def _no_settings_of_the_user() -> Iterator[None]:
    """Lets Keras find no ``keras.json`` while the block imports it, nor variables that limit its work.

    The user's ``floatx`` would train half of the weights in float64, in silence.
    """
    with tempfile.TemporaryDirectory() as folder, environment_with({'KERAS_HOME': folder, **_KERAS_LIMITS}):
        yield


def describe_device() -> str:
    """Names the devices that Keras computes on; within a strategy's scope, those that share a batch."""
    import keras
    import tensorflow as tf

    devices, elsewhere = keras.distribution.list_devices()[:1], 0
    if tf.distribute.has_strategy():
        strategy = tf.distribute.get_strategy()
        devices = [device.partition('device:')[2].lower() for device in strategy.extended.worker_devices]
        elsewhere = strategy.num_replicas_in_sync - len(devices)
    elif keras.distribution.distribution():
        devices = keras.distribution.distribution().device_mesh.devices.flatten()
    others = f' and {elsewhere} of other workers' if elsewhere else ''
    return f'{keras.backend.backend()} on {", ".join(devices)}{others}'
