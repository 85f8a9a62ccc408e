"""Classifies recordings during an experiment, each as soon as the acquisition program has finished writing it."""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Sequence

from beam_pipelines.cli.command import os_error_words, say, show
from beam_pipelines.cli.signals import StopRequests
from beam_pipelines.cli.words import printable
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.cell_files import is_ignored
from beam_pipelines.recordings.formats import is_complete, is_recording
from beam_pipelines.recordings.rejection import screen_line
from beam_pipelines.recordings.verdict_files import WRITTEN, without_verdicts
from beam_pipelines.spikes.extraction import ExtractionReport
from beam_pipelines.storage.walk import walk_files
from trainer.classify.batch import Findings, findings_lines
from trainer.classify.classifier import Classifier
from trainer.classify.outputs import write_outputs
from trainer.classify.reading_pool import ReadingPool
from trainer.classify.watched_outcomes import WatchedOutcomes
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.results import ClassifiedCell
from trainer.reports.terminal import verdict_line

_SECONDS_BETWEEN_LOOKS = 1.0

# Acquisition programs write every second or so while they record.
_STABLE_S = 3.0
# A header that promises more than the file holds may belong to a program that is paused. After this long without a
# change the file is read as it is, and once more if it changes later.
_BROKEN_S = 60.0


def watch(
    classifier: Classifier, pool: ReadingPool, watched: str, folder: pathlib.Path, exports: Sequence[str]
) -> None:
    """Classifies each recording below ``watched`` when it is complete, and again when it has changed, until Ctrl-C.

    The outputs are rewritten each time, or as soon as they can be: when no other program has them open, when the disk
    has room again. Of two files of the same name the first one is used, as long as it is there
    and not rejected.

    Parameters
    ----------
    classifier : the model.
    pool : reads the recordings.
    watched : the folder in which recordings appear, at any depth.
    folder, exports : see ``outputs.write_outputs``.
    """
    files = WatchedFolder(watched, str(folder))
    outcomes = WatchedOutcomes(classifier, pool)
    report = write_outputs(folder, Findings(), classifier, exports)
    show(f'watching {watched}; Ctrl-C ends it; report: {report}')
    unwritten: Exception | None = None
    with StopRequests() as requests:
        while requests.signal_number is None:
            ready = files.poll()
            for path in ready:
                shown = outcomes.classify(path)
                show(*(line for outcome in shown for line in _outcome_lines(*outcome, classifier.calibration)))
            for path in outcomes.take_outdated():
                files.forget(path)
            if ready or unwritten:
                said_before, unwritten = unwritten, None
                try:
                    write_outputs(folder, outcomes.gather(), classifier, exports)
                except (OSError, UserError) as error:  # Work of hours must not end because a disk is full for a minute.
                    unwritten = error
                    if not said_before:
                        say(f'{os_error_words(error)}; the outputs are written as soon as possible')
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    show(
        *findings_lines(outcomes.gather(), classifier),
        *(f'{printable(path)}: was still being written and has no verdict' for path in files.unfinished()),
        f'report: {report}',
    )
    if unwritten:
        write_outputs(folder, outcomes.gather(), classifier, exports)


def _outcome_lines(cell: ClassifiedCell | None, report: ExtractionReport, calibration: Calibration) -> list[str]:
    if cell is None:
        return [screen_line(file) for file in report.rejected]
    warnings = [f'    WARNING: {printable(str(warning))}' for warning in cell.result.warnings]
    return [verdict_line(cell.result, calibration), *warnings]


def _unreadable_words(path: str, why: str) -> str:
    return f'{path}: {why}; what is recorded there is classified when it can be read'


class WatchedFolder:
    """The recordings below a folder, at any depth: each is reported when complete, and again after each change.

    A folder that cannot be read is named on standard error, once until it can be read again.
    """

    def __init__(self, folder: str, output_dir: str):
        self._folder = os.path.abspath(folder)
        self._output_dir = os.path.realpath(output_dir)
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}
        self._reported: dict[str, tuple[int, int]] = {}
        self._unreadable: dict[str, str] = {}  # folder or file -> why

    def poll(self) -> list[str]:
        """Returns the paths of the complete files that have not been reported in their present state."""
        now = time.monotonic()
        ready = []
        said_before = self._unreadable
        states = self._states()
        for path in sorted(self._unreadable.keys() - said_before.keys()):
            say(_unreadable_words(path, self._unreadable[path]))
        for path, state in states.items():
            if self._reported.get(path) == state:
                continue
            if path not in self._seen or self._seen[path][0] != state:
                self._seen[path] = (state, now)
                continue
            unchanged_s = now - self._seen[path][1]
            if unchanged_s >= _BROKEN_S or (unchanged_s >= _STABLE_S and is_complete(path)):
                self._reported[path] = state
                ready.append(path)
        return ready

    def forget(self, path: str) -> None:
        """Reports a file again, although it has not changed."""
        self._reported.pop(path, None)

    def unfinished(self) -> list[str]:
        """Returns the paths of the files that have not been reported in their present state."""
        return [path for path, state in self._states().items() if self._reported.get(path) != state]

    def _states(self) -> dict[str, tuple[int, int]]:
        """Returns the size in bytes and the time of the last change, in ns, of each file; notes unreadable folders."""
        states = {}
        self._unreadable = {}
        for path in self._paths():
            try:
                status = os.stat(path)
            except FileNotFoundError:
                continue  # removed since the folder was listed
            except PermissionError as error:  # The folder may be listed, but not entered.
                self._note(os.path.dirname(path), error)
                continue
            except OSError as error:  # such as of a link to itself
                self._note(path, error)
                continue
            states[path] = (status.st_size, status.st_mtime_ns)
        return states

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be read at the last look, a line each."""
        return tuple(_unreadable_words(path, why) for path, why in sorted(self._unreadable.items()))

    def _note(self, path: str, error: OSError) -> None:
        self._unreadable[path] = error.strerror or str(error)

    def _note_unlisted(self, error: OSError) -> None:
        # A folder below the watched one may be removed while its parent is listed.
        if error.filename == self._folder or not isinstance(error, FileNotFoundError):
            self._note(error.filename, error)

    def _paths(self) -> list[str]:
        def is_foreign(parent: str, name: str) -> bool:
            return name not in WRITTEN or os.path.realpath(parent) != self._output_dir

        def enters(parent: str, name: str) -> bool:
            return not name.startswith('.') and is_foreign(parent, name)

        return [
            path
            for path in without_verdicts(walk_files(self._folder, enters, self._note_unlisted))
            if is_recording(path) and not is_ignored(path) and is_foreign(*os.path.split(path))
        ]
