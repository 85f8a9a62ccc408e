"""Reads recordings in worker processes, which never load TensorFlow, while the main process judges them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType

from beam_pipelines.recordings.cell_files import RecordingFiles
from beam_pipelines.spikes.extraction import IngestReport
from trainer.classify.measured_cell import MeasuredCell, read_cell

# Read ahead of the judging; what a reader gives back is the spikes of a recording, not the recording.
_AHEAD_A_WORKER = 2


class ReadingPool:
    """A pool of readers; leaving its context ends them.

    Parameters
    ----------
    resample : see ``abf_reader.read_abf``.
    most_workers : readers at the most; there are no more than cores.
    """

    def __init__(self, resample: bool, most_workers: int):
        self._resample = resample
        self._workers = max(1, min(most_workers, len(os.sched_getaffinity(0))))
        self._executor = concurrent.futures.ProcessPoolExecutor(
            self._workers, multiprocessing.get_context('spawn'), initializer=_end_with_parent
        )

    def __enter__(self) -> ReadingPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._executor.shutdown(cancel_futures=True)

    def read(self, recordings: Sequence[RecordingFiles]) -> Iterator[tuple[MeasuredCell | None, IngestReport]]:
        """Begins to read at once, and returns what comes out, see ``measured_cell.read_cell``, as it is ready."""
        waiting = iter(recordings)
        return self._results(
            waiting, set(map(self._submit, itertools.islice(waiting, _AHEAD_A_WORKER * self._workers)))
        )

    def _results(self, waiting, pending):
        while pending:
            done, pending = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
            pending |= set(map(self._submit, itertools.islice(waiting, len(done))))
            for future in done:
                yield future.result()

    def _submit(self, recording: RecordingFiles) -> concurrent.futures.Future:
        with _interrupts_held_back():
            return self._executor.submit(read_cell, recording, self._resample)


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Starts processes that Ctrl-C, which a terminal sends to all, does not reach: the main process ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """Ends this process when the main one is gone: killed outright it cannot say so, and the pool would wait."""

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
