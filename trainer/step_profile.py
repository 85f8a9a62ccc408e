"""A profile of some early steps, for TensorBoard."""

from __future__ import annotations

import glob
import os

import keras
import tensorflow as tf

_FIRST, _LAST = 11, 20  # the first steps compile, and fill the input's buffers


class StepProfile(keras.callbacks.Callback):
    """Records the steps 11 to 20 that this process makes: what each operation takes, on which device.

    Parameters
    ----------
    folder : the profile is written into a folder of its own below it.
    """

    def __init__(self, folder: str):
        super().__init__()
        self._folder = folder
        self._steps = 0
        self._records = False

    def on_train_batch_begin(self, batch, logs=None):
        self._steps += 1
        if self._steps == _FIRST:
            _start(self._folder)
            self._records = True

    def on_train_batch_end(self, batch, logs=None):
        if self._steps == _LAST:
            self._end()

    def on_train_end(self, logs=None):
        self._end()

    def result(self) -> str:
        """Says where the profile is, or why there is none."""
        if self._steps < _FIRST:
            return f'no profile: it begins with step {_FIRST}, and {self._steps} were made'
        newest = max(glob.glob(os.path.join(self._folder, 'plugins', 'profile', '*')), key=os.path.getmtime)
        last = min(_LAST, self._steps)
        return f'profile of steps {_FIRST} to {last} in {newest} (TensorBoard shows it with tensorboard-plugin-profile)'

    def _end(self) -> None:
        if self._records:
            self._records = False
            _stop()


def _start(folder: str) -> None:
    if keras.backend.backend() == 'jax':
        import jax

        jax.profiler.start_trace(folder)
    else:
        tf.profiler.experimental.start(folder)


def _stop() -> None:
    if keras.backend.backend() == 'jax':
        import jax

        jax.profiler.stop_trace()
    else:
        tf.profiler.experimental.stop()
