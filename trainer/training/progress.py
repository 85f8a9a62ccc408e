"""A progress line for training: rate, time left, loss."""

from __future__ import annotations

import re
import time

import keras

from beam_pipelines.cli.progress_line import ProgressLine


class TrainingProgress(keras.callbacks.Callback):
    """Writes a progress line to standard error; must come after ``LogInputWait``.

    Parameters
    ----------
    batch_size, steps_per_epoch, epochs : of the run, to estimate the time left.
    steps_made : how many steps of its first epoch were already made.
    """

    def __init__(self, batch_size: int, steps_per_epoch: int, epochs: int, steps_made: int = 0):
        super().__init__()
        self._batch_size = batch_size
        self._steps_per_epoch = steps_per_epoch
        self._epochs = epochs
        self._steps_made = steps_made
        self._line = ProgressLine()

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._started: float | None = None
        self._steps = 0
        self._line.show_passing('compiling the training step')

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        if self._started is None:
            self._started = time.monotonic()  # The first step compiles; it says nothing about the rate.
            return
        self._steps += 1
        if self._line.is_due():
            made = self._steps_made + batch + 1
            self._line.show(
                f'epoch {self._epoch + 1}/{self._epochs}  {100 * made // self._steps_per_epoch:3d} %'
                f'{self._rate_and_time_left(made)}  loss {logs["loss"]:.4f}'
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        # The consensus is never the worst; `val_loss` itself is the sum over the members.
        worst = max(value for name, value in logs.items() if re.fullmatch('val_.+_loss', name))
        self._line.keep(
            f'epoch {epoch + 1}/{self._epochs}{self._rate_and_time_left(self._steps_per_epoch)}  '
            f'loss {logs["loss"]:.4f}  worst member on validation {worst:.4f}  input wait {logs["input_wait"]:.2%}'
        )

    def _rate_and_time_left(self, steps_of_epoch: int) -> str:
        if self._started is None or not self._steps:
            return ''
        rate = self._steps / (time.monotonic() - self._started)
        left = (self._epochs - self._epoch) * self._steps_per_epoch - steps_of_epoch
        return f'  {rate * self._batch_size:,.0f} examples/s  {left / rate:,.0f} s left'
