"""Judges the recordings that readers give, and keeps count of what became of each file."""

from __future__ import annotations

import concurrent.futures.process
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from beam_pipelines.cli.progress_line import ProgressLine
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.cell_files import RecordingFiles
from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.spikes.extraction import ExtractionReport
from trainer.classify.classifier import Classifier
from trainer.classify.inputs import count_files
from trainer.classify.measured_cell import MeasuredCell
from trainer.classify.outputs import write_outputs
from trainer.evaluation.classified_cell import ClassifiedCell
from trainer.evaluation.verdicts import undecided_rule


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
    counts: ExtractionReport = ExtractionReport()

    def add(self, cell: ClassifiedCell | None, report: ExtractionReport) -> None:
        """Notes what became of the files of one cell."""
        if cell is not None:
            self.cells[cell.result.cell] = cell
        self.rejected.extend(report.rejected)
        self.counts = self.counts.plus(report)

    def sorted_cells(self) -> list[ClassifiedCell]:
        return [self.cells[name] for name in sorted(self.cells)]


def judge_all(
    classifier: Classifier,
    reading: Iterator[tuple[MeasuredCell | None, ExtractionReport]],
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
    progress = ProgressLine()
    for done, (cell, report) in enumerate(read_results(reading), start=1):
        findings.add(None if cell is None else classifier.judge(cell), report)
        if progress.is_due():
            progress.show(f'{done} of {len(recordings)} recordings classified, {len(findings.rejected)} files rejected')
    progress.clear()
    files = count_files(recordings) + len(rejected)
    assert files == findings.counts.used_files + len(findings.rejected), 'a file was forgotten'
    findings.rejected.sort(key=lambda file: file.path)
    return findings


def read_results(
    reading: Iterator[tuple[MeasuredCell | None, ExtractionReport]],
) -> Iterator[tuple[MeasuredCell | None, ExtractionReport]]:
    """Passes on what is read; UserError if a reader has died."""
    try:
        yield from reading
    except concurrent.futures.process.BrokenProcessPool:
        raise UserError('a process that read recordings has died, perhaps for lack of memory') from None


def write(findings: Findings, classifier: Classifier, folder: pathlib.Path, exports: Sequence[str]) -> pathlib.Path:
    """Writes all outputs and returns the report."""
    info = classifier.ensemble.info | {
        'title': classifier.ensemble.title,
        'calibration': dataclasses.asdict(classifier.calibration),
        'undecided_rule': undecided_rule(classifier.calibration),
    }
    return write_outputs(folder, findings.sorted_cells(), findings.rejected, info, classifier.training_range, exports)
