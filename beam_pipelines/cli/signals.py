"""Requests to stop a run: Ctrl-C, and SIGTERM, which schedulers and spot machines send before they take it away."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType


class Interrupted(Exception):
    """A run was asked to stop and has saved where it stood.

    Attributes
    ----------
    signal_number : what asked for it.
    """

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class StopRequests:
    """Within its context the first SIGINT or SIGTERM is a request to save and stop; a second SIGINT quits at once.

    Outside the main thread, where Python cannot handle signals, it never sees a request.

    Attributes
    ----------
    signal_number : the signal that came, or None.
    """

    def __init__(self):
        self.signal_number = None
        self._handlers = {}

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal_number = number
        print('\nsaving and stopping; Ctrl-C again quits at once', file=sys.stderr)
