"""Judges the recordings that readers give, and keeps count of what became of each file."""

from __future__ import annotations

import concurrent.futures.process
import dataclasses
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence

from beam_pipelines.recordings.cell_files import RecordingFiles, RejectedFile
from beam_pipelines.spikes.extraction import IngestReport
from trainer.classify.classifier import Classifier, load_classifier
from trainer.classify.inputs import count_files
from trainer.classify.measured_cell import MeasuredCell
from trainer.classify.outputs import write_outputs
from trainer.evaluation.calibration import CalibrationError
from trainer.evaluation.classified_cell import ClassifiedCell
from trainer.evaluation.training_range import TrainingRangeError
from trainer.evaluation.verdicts import undecided_rule
from trainer.training.checkpoints import ModelError

_SECONDS_BETWEEN_LINES = 15.0  # where the output is a file, a line that rewrites itself is of no use


class ClassifyError(Exception):
    """The recordings cannot be judged; the message is one line for the user."""


@dataclasses.dataclass
class Findings:
    """What became of the files so far.

    Attributes
    ----------
    cells : by name.
    rejected : files that are not used.
    counts : of files, triggers and spikes; what it says of rejected files is in ``rejected`` too.
    """

    cells: dict[str, ClassifiedCell] = dataclasses.field(default_factory=dict)
    rejected: list[RejectedFile] = dataclasses.field(default_factory=list)
    counts: IngestReport = IngestReport(0, (), 0, 0, 0, 0.0)

    def add(self, cell: ClassifiedCell | None, report: IngestReport) -> None:
        """Notes what became of the files of one cell."""
        if cell is not None:
            self.cells[cell.result.cell] = cell
        self.rejected.extend(report.rejected)
        self.counts = self.counts.plus(report)

    def sorted_cells(self) -> list[ClassifiedCell]:
        return [self.cells[name] for name in sorted(self.cells)]


def load(model: str) -> Classifier:
    """Loads a model; ClassifyError, one line, if it cannot be."""
    try:
        return load_classifier(model)
    except (CalibrationError, ModelError, TrainingRangeError) as error:
        raise ClassifyError(str(error)) from None


def judge_all(
    classifier: Classifier,
    reading: Iterator[tuple[MeasuredCell | None, IngestReport]],
    recordings: Sequence[RecordingFiles],
    rejected: Sequence[RejectedFile],
) -> Findings:
    """Judges each recording as it is read, and shows how far it is.

    Parameters
    ----------
    classifier : the model.
    reading : what comes out of the recordings.
    recordings, rejected : all files: those that belong to a cell and those that do not.
    """
    findings = Findings(rejected=list(rejected))
    progress = _Progress(len(recordings))
    for cell, report in read_results(reading):
        findings.add(None if cell is None else classifier.judge(cell), report)
        progress.show(findings)
    progress.end()
    files = count_files(recordings) + len(rejected)
    assert files == findings.counts.used_files + len(findings.rejected), 'a file was forgotten'
    findings.rejected.sort(key=lambda file: file.path)
    return findings


def read_results(
    reading: Iterator[tuple[MeasuredCell | None, IngestReport]],
) -> Iterator[tuple[MeasuredCell | None, IngestReport]]:
    """Passes on what is read; ClassifyError if a reader has died."""
    try:
        yield from reading
    except concurrent.futures.process.BrokenProcessPool:
        raise ClassifyError('a process that read recordings has died, perhaps for lack of memory') from None


def write(findings: Findings, classifier: Classifier, folder: pathlib.Path, exports: Sequence[str]) -> pathlib.Path:
    """Writes all outputs and returns the report."""
    info = classifier.ensemble.info | {
        'title': classifier.ensemble.title,
        'calibration': dataclasses.asdict(classifier.calibration),
        'undecided_rule': undecided_rule(classifier.calibration),
    }
    return write_outputs(folder, findings.sorted_cells(), findings.rejected, info, classifier.training_range, exports)


class _Progress:
    def __init__(self, recordings: int):
        self._recordings = recordings
        self._done = 0
        self._rewrites = sys.stderr.isatty()
        self._shown = time.monotonic()

    def show(self, findings: Findings) -> None:
        self._done += 1
        line = f'{self._done} of {self._recordings} recordings judged, {len(findings.rejected)} files rejected'
        if self._rewrites:
            print(f'\r\033[K{line}', end='', file=sys.stderr, flush=True)
        elif time.monotonic() - self._shown > _SECONDS_BETWEEN_LINES:
            self._shown = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._rewrites and self._done:
            print('\r\033[K', end='', file=sys.stderr, flush=True)
