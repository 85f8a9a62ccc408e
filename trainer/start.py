"""Starts Keras and TensorFlow without the lines that TensorFlow writes at every import."""

from __future__ import annotations

import faulthandler
import os
import sys
import tempfile

from beam_pipelines import standard_error


def start_keras() -> None:
    """Imports TensorFlow and Keras; the environment may still choose another Keras backend or log level.

    TensorFlow 2.21 reports CPU features and missing GPUs from C++ before any setting of it is read, which would bury a
    one-line error. If the import fails, what it wrote is shown.
    """
    faulthandler.enable()  # a mapped shard that is cut off while it is read ends the process: say where
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    os.environ.setdefault('KERAS_BACKEND', 'tensorflow')
    with tempfile.TemporaryFile() as log:
        try:
            with standard_error.redirected(log):
                import keras  # noqa: F401
                import tensorflow as tf

                # Looking for devices is what makes TensorFlow try CUDA.
                tf.config.list_physical_devices()
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors='replace'))
            raise


def describe_device() -> str:
    """Names the device that Keras computes on."""
    import keras

    devices = keras.distribution.list_devices()
    accelerators = [device for device in devices if not device.startswith('cpu')]
    return f'{keras.backend.backend()} on {", ".join(accelerators or devices)}'
