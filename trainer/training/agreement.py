"""What the processes of one run agree on: whether they see the same, the values that they use, and when to stop."""

from __future__ import annotations

import signal
import zlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import keras
import numpy as np

from beam_pipelines.cli.signals import StopRequests
from beam_pipelines.errors import UserError

# From a process's values, (n,), to their sums over all processes, in float64; all processes call it together.
Sums: TypeAlias = Callable[[Sequence[float]], np.ndarray]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class SharedStopRequests(keras.callbacks.Callback):
    """Stop requests to any process, known to all processes after the same step.

    A process that stopped alone would leave the others waiting for its gradients. It must come before the callback that
    reads them.

    Attributes
    ----------
    signal_number : the signal that came to one of the processes, or None.
    """

    def __init__(self, sums: Sums, stop_requests: StopRequests):
        super().__init__()
        self._sums = sums
        self._stop_requests = stop_requests
        self.signal_number: int | None = None

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._share()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._share()

    def _share(self) -> None:
        came = self._sums([float(self._stop_requests.signal_number == number) for number in _SIGNALS])
        self.signal_number = next((number for number, count in zip(_SIGNALS, came, strict=True) if count), None)


class Agreement:
    """The part that one of several processes has in it; a base class of their strategies.

    Parameters
    ----------
    process : its name for the user, such as ``worker 0 of 2``.
    sums : raises UserError if another process has ended.
    """

    def __init__(self, process: str, sums: Sums):
        self._process = process
        self._sums = sums

    def listen(self, stop_requests: StopRequests) -> SharedStopRequests:
        self.stop_requests = SharedStopRequests(self._sums, stop_requests)
        return self.stop_requests

    def agree(self, values: Sequence[float]) -> Sequence[float]:
        return mean_over_processes(self._sums, values)

    def check_same(self, **seen: object) -> None:
        for name, value in seen.items():
            if not is_same(self._sums, value):
                kind = self._process.partition(' ')[0]
                raise UserError(
                    f'{self._process}: the {kind}s do not see the same {name}; they need the same flags, and a'
                    ' --workdir and --data_dir that they share'
                )


def is_same(sums: Sums, value: object) -> bool:
    """Tells whether all processes call it with a value of the same ``repr``."""
    # Halves of a checksum have squares that are exact in float64.
    halves = np.array(divmod(zlib.crc32(repr(value).encode()), 1 << 16), np.float64)
    count, *rest = sums([1, *halves, *halves**2])
    total, squares = np.split(np.array(rest), 2)
    # The variance is zero only if all numbers are equal.
    return bool((total**2 == count * squares).all())


def mean_over_processes(sums: Sums, values: Sequence[float]) -> list[float]:
    """Returns the mean over all processes, the same on each of them."""
    count, *totals = sums([1, *values])
    return (np.array(totals) / count).tolist()
