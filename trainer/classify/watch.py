"""Classifies recordings during an experiment, each as soon as the acquisition program has finished writing it."""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Sequence

from beam_pipelines.cli.command import say, show
from beam_pipelines.cli.signals import StopRequests
from beam_pipelines.cli.words import printable
from beam_pipelines.recordings.cell_files import group_files, is_ignored
from beam_pipelines.recordings.formats import is_complete, is_recording
from beam_pipelines.recordings.rejection import RejectedFile, screen_line
from beam_pipelines.spikes.extraction import ExtractionReport, duplicate_cell, rejection_report
from beam_pipelines.storage.walk import walk_files
from trainer.classify.batch import Findings, findings_lines
from trainer.classify.classifier import Classifier
from trainer.classify.outputs import OUTPUT_NAMES, OutputInUse, write_outputs
from trainer.classify.reading_pool import ReadingPool
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.results import ClassifiedCell
from trainer.reports.terminal import verdict_line

_SECONDS_BETWEEN_LOOKS = 1.0

# Acquisition programs write every second or so while they record.
_STABLE_S = 3.0
# A header that promises more than the file holds may belong to a program that is paused. After this long without a
# change the file is read as it is, and once more if it changes later.
_BROKEN_S = 60.0

_Outcome = tuple[ClassifiedCell | None, ExtractionReport]
_Outcomes = dict[str, list[_Outcome]]  # by path, one for each cell in the file


def watch(
    classifier: Classifier, pool: ReadingPool, watched: str, folder: pathlib.Path, exports: Sequence[str]
) -> None:
    """Classifies each recording below ``watched`` when it is complete, and again when it has changed, until Ctrl-C.

    The outputs are rewritten each time, or as soon as no other program has them open. Of two files of the same name the
    first one is used.

    Parameters
    ----------
    classifier : the model.
    pool : reads the recordings.
    watched : the folder in which recordings appear, at any depth.
    folder, exports : see ``outputs.write_outputs``.
    """
    files = WatchedFolder(watched, str(folder))
    outcomes: _Outcomes = {}
    report = write_outputs(folder, Findings(), classifier, exports)
    show(f'watching {watched}; Ctrl-C ends it; report: {report}')
    in_use: OutputInUse | None = None
    with StopRequests() as requests:
        while requests.signal_number is None:
            ready = files.poll()
            for path in ready:
                outcomes[path] = _classify(path, classifier, pool, outcomes)
                calibration = classifier.calibration
                show(*(line for outcome in outcomes[path] for line in _outcome_lines(*outcome, calibration)))
            if ready or in_use:
                was_in_use, in_use = in_use, None
                try:
                    write_outputs(folder, _gather(outcomes), classifier, exports)
                except OutputInUse as error:
                    in_use = error
                    if not was_in_use:
                        say(f'{error}; they are written as soon as possible')
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    show(
        *findings_lines(_gather(outcomes), classifier),
        *(f'{printable(path)}: was still being written and has no verdict' for path in files.unfinished()),
        f'report: {report}',
    )
    if in_use:
        write_outputs(folder, _gather(outcomes), classifier, exports)


def _classify(path: str, classifier: Classifier, pool: ReadingPool, outcomes: _Outcomes) -> list[_Outcome]:
    recordings, of_no_cell = group_files([('original', 0, path)])
    if of_no_cell:
        return [(None, rejection_report(of_no_cell[0][1]))]
    (recording,) = recordings
    for other in outcomes:
        if other != path and _is_same_file(path, other):
            detail = f'it is the same file as {other}'
            return [(None, rejection_report(RejectedFile(path, 'duplicate_file', detail)))]
    path_of = {
        cell.result.cell: other
        for other, of_other in outcomes.items()
        if other != path
        for cell, _ in of_other
        if cell is not None
    }
    ((*cells,),) = pool.read([recording])
    return [
        (None, rejection_report(duplicate_cell(path, cell.cell, path_of[cell.cell])))
        if cell is not None and cell.cell in path_of
        else (None if cell is None else classifier.classify_cell(cell), report)
        for cell, report in cells
    ]


def _is_same_file(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:  # One of them is gone.
        return False


def _gather(outcomes: _Outcomes) -> Findings:
    findings = Findings()
    for of_file in outcomes.values():
        for outcome in of_file:
            findings.add(*outcome)
    return findings


def _outcome_lines(cell: ClassifiedCell | None, report: ExtractionReport, calibration: Calibration) -> list[str]:
    if cell is None:
        return [screen_line(file) for file in report.rejected]
    warnings = [f'    WARNING: {printable(str(warning))}' for warning in cell.result.warnings]
    return [verdict_line(cell.result, calibration), *warnings]


def _ignore(error: OSError) -> None:
    """A folder that cannot be read now may be readable at the next look."""


class WatchedFolder:
    """The recordings below a folder, at any depth: each is reported when complete, and again after each change."""

    def __init__(self, folder: str, output_dir: str):
        self._folder = os.path.abspath(folder)
        self._output_dir = os.path.realpath(output_dir)
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
            if unchanged_s >= _BROKEN_S or (unchanged_s >= _STABLE_S and is_complete(path)):
                self._reported[path] = state
                ready.append(path)
        return ready

    def unfinished(self) -> list[str]:
        """Returns the paths of the files that have not been reported in their present state."""
        return [path for path, state in self._states().items() if self._reported.get(path) != state]

    def _states(self) -> dict[str, tuple[int, int]]:
        """Returns the size in bytes and the time of the last change, in ns, of each file."""
        states = {}
        for path in self._paths():
            try:
                status = os.stat(path)
            except OSError:
                continue  # removed since the folder was listed
            states[path] = (status.st_size, status.st_mtime_ns)
        return states

    def _paths(self) -> list[str]:
        def is_foreign(parent: str, name: str) -> bool:
            return name not in OUTPUT_NAMES or os.path.realpath(parent) != self._output_dir

        def enters(parent: str, name: str) -> bool:
            return not name.startswith('.') and is_foreign(parent, name)

        return [
            path
            for path in walk_files(self._folder, enters, on_error=_ignore)
            if is_recording(path) and not is_ignored(path) and is_foreign(*os.path.split(path))
        ]
