"""Requests to stop: Ctrl-C, and SIGTERM, which schedulers send before they end a job or reclaim a spot machine."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType


class Interrupted(Exception):
    """A run was asked to stop and has saved its state.

    Attributes
    ----------
    signal_number : the signal that asked it to stop.
    """

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class StopRequests:
    """Within its context the first SIGINT or SIGTERM is a request to save and stop; a second SIGINT quits at once.

    Outside the main thread, where Python cannot handle signals, it never sees a request.

    Parameters
    ----------
    doing : what the first one is answered with on the terminal.

    Attributes
    ----------
    signal_number : the signal received, or None.
    """

    def __init__(self, doing: str = 'saving and stopping') -> None:
        self._doing = doing
        self.signal_number: int | None = None
        self._handlers: dict[int, signal._HANDLER] = {}

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
        print(f'\n{self._doing}; Ctrl-C again quits at once', file=sys.stderr)


@contextlib.contextmanager
def stopping_with_terminal() -> Iterator[None]:
    """Makes a request to stop of a closed terminal, which would end the process at once; not if that is ignored."""
    hangup: signal.Signals | None = getattr(signal, 'SIGHUP', None)  # Windows has none.
    if hangup is None or signal.getsignal(hangup) != signal.SIG_DFL:
        yield
        return
    signal.signal(hangup, lambda number, _: signal.raise_signal(signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(hangup, signal.SIG_DFL)


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Holds Ctrl-C back until the block ends; processes that the block starts never receive it.

    A terminal sends Ctrl-C to all processes of a command. Where there are no signal masks (Windows), a child process
    must ignore it by itself. Outside the main thread, which alone handles signals, only child processes are protected.
    """
    came = []
    mask = getattr(signal, 'pthread_sigmask', None)  # inherited by child processes
    masked_before = mask(signal.SIG_BLOCK, [signal.SIGINT]) if mask else None
    # A mask applies to one thread: any other thread of the process may still receive the signal.
    is_main = threading.current_thread() is threading.main_thread()
    handler_before = signal.signal(signal.SIGINT, lambda number, _: came.append(number)) if is_main else None
    try:
        yield
    finally:
        if mask:
            mask(signal.SIG_SETMASK, masked_before)
        if is_main:
            signal.signal(signal.SIGINT, handler_before)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raises KeyboardInterrupt if the block fails after Ctrl-C, whatever a library has made of it."""
    came = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    handler_before = signal.getsignal(signal.SIGINT)
    # Where the process ignores Ctrl-C or handles it otherwise, that stays; only the main thread can set a handler.
    is_ours = threading.current_thread() is threading.main_thread() and handler_before is signal.default_int_handler
    if is_ours:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, handler_before)
