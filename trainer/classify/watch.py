"""Classifies recordings during an experiment, each as soon as the acquisition program has finished writing it."""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Sequence

from beam_pipelines.cli.command import say
from beam_pipelines.cli.signals import StopRequests
from beam_pipelines.recordings.abf_header import check_abf_header
from beam_pipelines.recordings.cell_files import group_files, is_ignored
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.spikes.extraction import ExtractionReport, duplicate_cell, rejection_report
from trainer.classify.batch import Findings, findings_lines, read_results
from trainer.classify.classifier import Classifier
from trainer.classify.outputs import OutputInUse, write_outputs
from trainer.classify.reading_pool import ReadingPool
from trainer.evaluation.results import ClassifiedCell
from trainer.reports.terminal import verdict_line

_SECONDS_BETWEEN_LOOKS = 1.0

# Acquisition programs write every second or so while they record.
_STABLE_S = 3.0
# A header that promises more than the file holds may belong to a program that is paused. After this long without a
# change the file is read as it is, and once more if it changes later.
_BROKEN_S = 60.0

_Outcomes = dict[str, tuple[ClassifiedCell | None, ExtractionReport]]  # by path


def watch(
    classifier: Classifier, pool: ReadingPool, watched: str, folder: pathlib.Path, exports: Sequence[str]
) -> None:
    """Classifies each ``.abf`` file below ``watched`` when it is complete, and again when it has changed, until Ctrl-C.

    The outputs are rewritten each time, or as soon as no other program has them open. Of two files of the same name the
    first one is used.

    Parameters
    ----------
    classifier : the model.
    pool : reads the recordings.
    watched : the folder in which recordings appear, at any depth.
    folder, exports : see ``outputs.write_outputs``.
    """
    files = WatchedFolder(watched)
    outcomes: _Outcomes = {}
    report = write_outputs(folder, Findings(), classifier, exports)
    print(f'watching {watched}; Ctrl-C ends it; report: {report}', flush=True)
    in_use: OutputInUse | None = None
    with StopRequests() as requests:
        while requests.signal_number is None:
            ready = files.poll()
            for path in ready:
                outcomes[path] = _classify(path, classifier, pool, outcomes)
                print(_outcome_line(path, *outcomes[path]), flush=True)
            if ready or in_use:
                was_in_use, in_use = in_use, None
                try:
                    write_outputs(folder, _gather(outcomes), classifier, exports)
                except OutputInUse as error:
                    in_use = error
                    if not was_in_use:
                        say(f'{error}; they are written as soon as possible')
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    print('\n'.join(findings_lines(_gather(outcomes), classifier)))
    for path in files.unfinished():
        print(f'{path}: was still being written and has no verdict')
    print(f'report: {report}')
    if in_use:
        write_outputs(folder, _gather(outcomes), classifier, exports)


def _classify(
    path: str, classifier: Classifier, pool: ReadingPool, outcomes: _Outcomes
) -> tuple[ClassifiedCell | None, ExtractionReport]:
    recordings, of_no_cell = group_files([('original', 0, path)])
    if of_no_cell:
        return None, rejection_report(of_no_cell[0][1])
    (recording,) = recordings
    for other, (classified, _) in outcomes.items():
        if other != path and classified is not None and classified.result.cell == recording.cell_id:
            return None, rejection_report(duplicate_cell(path, recording.cell_id, other))
    ((cell, report),) = read_results(pool.read([recording]))
    return (None if cell is None else classifier.classify_cell(cell)), report


def _gather(outcomes: _Outcomes) -> Findings:
    findings = Findings()
    for outcome in outcomes.values():
        findings.add(*outcome)
    return findings


def _outcome_line(path: str, cell: ClassifiedCell | None, report: ExtractionReport) -> str:
    if cell is None:
        (rejected,) = report.rejected
        return f'{pathlib.Path(path).name}  rejected, {rejected.reason}: {rejected.detail}'
    return '\n    WARNING: '.join((verdict_line(cell.result), *cell.warnings))


class WatchedFolder:
    """The ``.abf`` files below a folder, at any depth: each is reported when complete, and again after each change."""

    def __init__(self, folder: str):
        self._folder = os.path.abspath(folder)
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}
        self._reported: dict[str, tuple[int, int]] = {}

    def poll(self) -> list[str]:
        """Returns the paths of the complete files that have not been reported in their present state."""
        now = time.monotonic()
        ready = []
        for path, state in self._states().items():
            if self._reported.get(path) == state:
                continue
            if path not in self._seen or self._seen[path][0] != state:
                self._seen[path] = (state, now)
                continue
            unchanged_s = now - self._seen[path][1]
            if unchanged_s >= _BROKEN_S or (unchanged_s >= _STABLE_S and _is_complete(path)):
                self._reported[path] = state
                ready.append(path)
        return ready

    def unfinished(self) -> list[str]:
        """Returns the paths of the files that have not been reported in their present state."""
        return [path for path, state in self._states().items() if self._reported.get(path) != state]

    def _states(self) -> dict[str, tuple[int, int]]:
        """Returns the size in bytes and the time of the last change, in ns, of each file."""
        states = {}
        for parent, folders, names in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if not name.startswith('.'))
            for name in sorted(names):
                path = os.path.join(parent, name)
                if not name.lower().endswith('.abf') or is_ignored(path):
                    continue
                try:
                    status = os.stat(path)
                except OSError:
                    continue  # removed since the folder was listed
                states[path] = (status.st_size, status.st_mtime_ns)
        return states


def _is_complete(path: str) -> bool:
    """Whether the file holds all that its header promises: the header of a recording in progress is not final."""
    try:
        check_abf_header(path)
    except (RecordingRejected, OSError):
        return False
    return True
