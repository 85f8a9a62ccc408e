"""A progress line for training: rate, time left, loss."""

from __future__ import annotations

import re
import sys
import time

import keras

_SECONDS_BETWEEN_UPDATES = 0.5
_SECONDS_BETWEEN_LINES = 15.0  # where the output is a file, a line that rewrites itself is of no use


class ProgressLine(keras.callbacks.Callback):
    """Writes one line to standard error that follows the training; it stands behind ``LogInputWait``.

    Parameters
    ----------
    batch_size, steps_per_epoch, epochs : of the run, to reckon the time left.
    steps_made : how many steps of its first epoch were made before.
    """

    def __init__(self, batch_size: int, steps_per_epoch: int, epochs: int, steps_made: int = 0):
        super().__init__()
        self._batch_size = batch_size
        self._steps_per_epoch = steps_per_epoch
        self._epochs = epochs
        self._steps_made = steps_made
        self._rewrites = sys.stderr.isatty()

    def on_train_begin(self, logs=None):
        self._started = self._shown = None
        self._steps = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if self._started is None:
            self._started = self._shown = now  # The first step compiles; it says nothing about the rate.
            return
        self._steps += 1
        wait = _SECONDS_BETWEEN_UPDATES if self._rewrites else _SECONDS_BETWEEN_LINES
        if now - self._shown >= wait:
            self._shown = now
            made = self._steps_made + batch + 1
            self._write(
                f'epoch {self._epoch + 1}/{self._epochs}  {100 * made // self._steps_per_epoch:3d} %'
                f'{self._rate_and_time_left(made)}  loss {logs["loss"]:.4f}'
            )

    def on_epoch_end(self, epoch, logs=None):
        # The consensus is never the worst; `val_loss` itself is the sum over the members.
        worst = max(value for name, value in logs.items() if re.fullmatch('val_.+_loss', name))
        self._write(
            f'epoch {epoch + 1}/{self._epochs}{self._rate_and_time_left(self._steps_per_epoch)}  '
            f'loss {logs["loss"]:.4f}  worst member on validation {worst:.4f}  input wait {logs["input_wait"]:.2%}'
        )
        if self._rewrites:
            print(file=sys.stderr)

    def _rate_and_time_left(self, steps_of_epoch: int) -> str:
        if not self._steps:
            return ''
        rate = self._steps / (time.monotonic() - self._started)
        left = (self._epochs - self._epoch) * self._steps_per_epoch - steps_of_epoch
        return f'  {rate * self._batch_size:,.0f} examples/s  {left / rate:,.0f} s left'

    def _write(self, line: str) -> None:
        if self._rewrites:
            print(f'\r\033[K{line}', end='', file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
