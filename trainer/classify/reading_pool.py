"""Reads recordings in worker processes, which never load TensorFlow, while the main process classifies them."""

from __future__ import annotations

import concurrent.futures.process
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from beam_pipelines.cli.signals import interrupts_held_back
from beam_pipelines.recordings.cell_files import RecordingFiles
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.rejection import RejectedFile

if TYPE_CHECKING:
    from trainer.classify.measured_cell import ReadCells

# Read ahead of the classifier; a reader returns the spikes of a recording, not the recording.
_AHEAD_PER_WORKER = 2

# Windows cannot wait for more processes at once.
_MOST_WORKERS = 61


class ReadingPool:
    """A pool of readers; leaving its context ends them.

    Parameters
    ----------
    options : how recordings are read and spikes cut.
    most_workers : how many readers at most; never more than there are cores, nor than 61.
    """

    def __init__(self, options: ReadingOptions, most_workers: int):
        self._options = options
        self._workers = min(most_workers, _count_cores(), _MOST_WORKERS) if most_workers > 1 else 1
        self._executor = self._new_executor()

    def __enter__(self) -> ReadingPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._executor.shutdown(cancel_futures=True)

    def read(self, recordings: Sequence[RecordingFiles], options: ReadingOptions | None = None) -> Iterator[ReadCells]:
        """Starts reading at once, and returns what ``measured_cell.read_measured_cells`` does as it becomes ready.

        A recording on which a reader dies is rejected.

        Parameters
        ----------
        recordings : the recordings.
        options : how they are read, in place of the pool's own options.
        """
        waiting = iter(recordings)
        first = itertools.islice(waiting, _AHEAD_PER_WORKER * self._workers)
        options = options or self._options
        return self._results(waiting, {self._submit(recording, options): recording for recording in first}, options)

    def _results(
        self,
        waiting: Iterator[RecordingFiles],
        pending: dict[concurrent.futures.Future, RecordingFiles],
        options: ReadingOptions,
    ) -> Iterator[ReadCells]:
        while pending:
            done, _ = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
            unread = []
            for future in done:
                recording = pending.pop(future)
                try:
                    yield future.result()
                except concurrent.futures.process.BrokenProcessPool:
                    unread.append(recording)
            if unread:
                # Whichever reader died, all that was being read is lost. Each is read alone, to find the one at fault.
                unread += pending.values()
                pending.clear()
                self._restart()
                yield from (self._read_alone(recording, options) for recording in unread)
            pending |= {
                self._submit(recording, options): recording for recording in itertools.islice(waiting, len(done))
            }

    def _read_alone(self, recording: RecordingFiles, options: ReadingOptions) -> ReadCells:
        try:
            return self._submit(recording, options).result()
        except concurrent.futures.process.BrokenProcessPool:
            from beam_pipelines.spikes.extraction import ExtractionReport

            self._restart()
            detail = 'the process that read it died, perhaps for lack of memory'
            paths = [path for files in (recording, *recording.spares) for path in files.paths]
            rejected = tuple(RejectedFile(path, 'unreadable', detail) for path in paths)
            return [(None, ExtractionReport(rejected=rejected))]

    def _submit(self, recording: RecordingFiles, options: ReadingOptions) -> concurrent.futures.Future:
        with interrupts_held_back():
            try:
                return self._executor.submit(_read, recording, options)
            except concurrent.futures.process.BrokenProcessPool as error:
                failed: concurrent.futures.Future = concurrent.futures.Future()
                failed.set_exception(error)
                return failed

    def _new_executor(self) -> concurrent.futures.ProcessPoolExecutor:
        return concurrent.futures.ProcessPoolExecutor(
            self._workers, multiprocessing.get_context('spawn'), initializer=_start_reader
        )

    def _restart(self) -> None:
        self._executor.shutdown(cancel_futures=True)
        self._executor = self._new_executor()


def _count_cores() -> int:
    import joblib  # Here, because the readers also import this module and do not need it.

    return joblib.cpu_count()


def _read(recording: RecordingFiles, options: ReadingOptions) -> ReadCells:
    """Imports here what reads a recording, so that readers start before the main process imports it too."""
    from trainer.classify.measured_cell import read_measured_cells

    return read_measured_cells(recording, options)


def _start_reader() -> None:
    """Leaves Ctrl-C to the main process, and ends this process when it has died.

    If the main process is killed, it cannot end its readers, and the pool would wait forever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
