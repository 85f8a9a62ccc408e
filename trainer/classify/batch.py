"""Classifies recordings as they are read, and counts what became of each file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from beam_pipelines.cli.progress_line import ProgressLine
from beam_pipelines.cli.words import counted
from beam_pipelines.recordings.cell_files import RecordingFiles, look_alikes
from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.recordings.sources import MADE
from beam_pipelines.spikes.events import dropped_words, second_spikes_words
from beam_pipelines.spikes.extraction import ExtractionReport, duplicate_cell, rejection_report
from trainer.classify.classifier import Classifier
from trainer.classify.inputs import count_files
from trainer.classify.measured_cell import ReadCells
from trainer.evaluation.results import ClassifiedCell
from trainer.reports.terminal import calibration_words, training_range_line


@dataclasses.dataclass
class Findings:
    """What became of the files so far.

    Attributes
    ----------
    cells : by name.
    rejected : files that are not used.
    counts : of files, triggers and spikes; its rejected files are in ``rejected`` too.
    """

    cells: dict[str, ClassifiedCell] = dataclasses.field(default_factory=dict)
    rejected: list[RejectedFile] = dataclasses.field(default_factory=list)
    counts: ExtractionReport = ExtractionReport()

    def add(self, cell: ClassifiedCell | None, report: ExtractionReport) -> None:
        """Records what became of the files of one cell; a second cell of the same name is rejected."""
        first = self.cells.get(cell.result.cell) if cell is not None else None
        if cell is not None and first is not None:
            report = rejection_report(duplicate_cell(cell.path, cell.result.cell, first.path))
        elif cell is not None:
            self.cells[cell.result.cell] = cell
        self.rejected.extend(report.rejected)
        self.counts = self.counts.plus(report)

    def sorted_cells(self) -> list[ClassifiedCell]:
        """Returns the cells in the order of their names."""
        return [self.cells[name] for name in sorted(self.cells)]


def classify_all(
    classifier: Classifier,
    reading: Iterator[ReadCells],
    recordings: Sequence[RecordingFiles],
    rejected: Sequence[RejectedFile],
) -> Findings:
    """Classifies each recording as it is read, and shows progress.

    Parameters
    ----------
    classifier : the model.
    reading : what the readers return for each recording.
    recordings, rejected : all files: those that belong to a cell and those that do not.
    """
    findings = Findings(rejected=list(rejected))
    progress = ProgressLine()
    for done, cells in enumerate(reading, start=1):
        for cell, report in cells:
            findings.add(None if cell is None else classifier.classify_cell(cell), report)
        if progress.is_due():
            progress.show(
                f'{done} of {counted(len(recordings), "recording")} classified,'
                f' {counted(len(findings.rejected), "file")} rejected'
            )
    progress.clear()
    files = count_files(recordings) + len(rejected)
    # A file of several cells counts as so many.
    assert files <= findings.counts.used_files + len(findings.rejected), 'a file was forgotten'
    findings.rejected.sort(key=lambda file: file.path)
    return findings


def findings_lines(findings: Findings, classifier: Classifier) -> list[str]:
    """Returns what became of all files, triggers and cells, what calibrated the model, and what nobody recorded."""
    cells, counts, rejected = findings.sorted_cells(), findings.counts, len(findings.rejected)
    verdicts = [cell.result.verdict for cell in cells]
    warned = sum(bool(cell.result.warnings) for cell in cells)
    by_verdict = ', '.join(f'{verdicts.count(name)} {name}' for name in ('SER', 'NSER', 'undecided'))
    lines = [
        f'{counted(counts.used_files + rejected, "file")} = {counts.used_files:,} used + {rejected:,} rejected;'
        f' {counted(counts.triggers, "trigger")} = {counted(counts.spikes, "spike")}'
        f' + {dropped_words(counts.dropped_by_reason)}{second_spikes_words(counts.second_spikes)}',
        f'{counted(len(cells), "cell")}: {by_verdict}; {warned} with warnings',
        *([training_range_line([cell.result for cell in cells])] if cells else []),
        f'{classifier.info.title}: {calibration_words(classifier.calibration)}',
    ]
    lines += look_alikes(cell.result.cell for cell in cells)
    for made in MADE:
        if count := sum(cell.source == made.name for cell in cells):
            verb, whose = ('is', 'its verdict says') if count == 1 else ('are', 'their verdicts say')
            lines.append(f'{count} of the recordings {verb} {made.predicate}; {whose} nothing about {made.not_about}.')
    if made_model := classifier.source:
        lines.append(
            f'The model was trained on {made_model.recordings}; its verdicts say nothing about {made_model.not_about}.'
        )
    return lines
