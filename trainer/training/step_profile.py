"""A profile of some early steps, for TensorBoard."""

from __future__ import annotations

import os
import sys

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

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._steps += 1
        if self._steps == _FIRST:
            _start(self._folder)
            self._records = True

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self._steps == _LAST:
            self._end()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self._end()
        if self._steps < _FIRST:
            print(f'no profile: it begins with step {_FIRST}, and {self._steps} were made', file=sys.stderr)

    def _end(self) -> None:
        if not self._records:
            return
        self._records = False
        _stop()
        folder = os.path.join(self._folder, 'plugins', 'profile')
        print(
            f'\nprofile of steps {_FIRST} to {self._steps} in {folder} (TensorBoard shows it with'
            ' tensorboard-plugin-profile)',
            file=sys.stderr,
        )


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
