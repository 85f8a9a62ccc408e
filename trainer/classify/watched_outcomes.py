"""What became of each file of a watched folder, while files are moved, replaced and deleted."""

from __future__ import annotations

import os
from typing import NamedTuple

from beam_pipelines.recordings.cell_files import group_files
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.spikes.extraction import ExtractionReport, duplicate_cell, rejection_report
from trainer.classify.batch import Findings
from trainer.classify.classifier import Classifier
from trainer.classify.measured_cell import MeasuredCell
from trainer.classify.reading_pool import ReadingPool
from trainer.evaluation.results import ClassifiedCell

Outcome = tuple[ClassifiedCell | None, ExtractionReport]


class _Original(NamedTuple):
    """The file that is used in place of a duplicate, and the cell that is in both; None: they are one file."""

    path: str
    cell: str | None


class WatchedOutcomes:
    """The outcome of each file; the verdict on a file that is gone stays until another file holds the cell.

    Parameters
    ----------
    classifier : the model.
    pool : reads the recordings.
    """

    def __init__(self, classifier: Classifier, pool: ReadingPool):
        self._classifier, self._pool = classifier, pool
        self._of_file: dict[str, list[Outcome]] = {}  # one for each cell in the file
        self._duplicate_of: dict[str, list[_Original]] = {}
        self._stands_in_for: dict[str, set[str]] = {}  # a duplicate -> rejected files whose cells it holds
        self._outdated: list[str] = []

    def classify(self, path: str, options: ReadingOptions | None = None) -> list[Outcome]:
        """Classifies the cells of a file and keeps the outcome, in place of an earlier one; returns it.

        A file that is gone before it has been read, perhaps with its folder, has no new outcome; if it comes back it
        may be looked at again.

        Parameters
        ----------
        path : of the file.
        options : how it is read, in place of the pool's own options.
        """
        before = self._of_file.get(path)
        self.forget(path)
        self._drop_rejections_of_gone(os.path.basename(path))
        found = self._classify(path, options)
        if all(cell is None for cell, _ in found) and not os.path.exists(path):
            self.forget(path)
            if before is not None:
                self._of_file[path] = before
            self._outdated.append(path)
            return []
        self._of_file[path] = found
        return found

    def take_outdated(self) -> list[str]:
        """Drops the outcomes that are no longer true and returns their files, which may be looked at again.

        These are the files that were rejected because of others that are gone or have no verdict on the cell any more,
        and the files that were gone when another one of the same cell or name came.
        """
        for path, originals in list(self._duplicate_of.items()):
            if os.path.exists(path) and not all(map(self._is_used, originals)):
                self.forget(path)
                rejected = {original.path for original in originals if os.path.exists(original.path)}
                self._stands_in_for.setdefault(path, set()).update(rejected)
                self._outdated.append(path)
        outdated, self._outdated = self._outdated, []
        return outdated

    def forget(self, path: str) -> None:
        """Drops the outcome of a file; the files that were rejected because of it become outdated once it is gone."""
        self._of_file.pop(path, None)
        self._duplicate_of.pop(path, None)

    def of_file(self, path: str) -> tuple[Outcome, ...]:
        """Returns the outcomes of a file, one for each cell in it; empty if there are none."""
        return tuple(self._of_file.get(path, ()))

    def gather(self) -> Findings:
        """Returns the findings on all files."""
        findings = Findings()
        for of_file in self._of_file.values():
            for outcome in of_file:
                findings.add(*outcome)
        return findings

    def _classify(self, path: str, options: ReadingOptions | None) -> list[Outcome]:
        recordings, of_no_cell = group_files([('original', 0, path)])
        if of_no_cell:
            return [(None, rejection_report(of_no_cell[0][1]))]
        for other in self._of_file:
            if _is_same_file(path, other):
                self._duplicate_of[path] = [_Original(other, None)]
                detail = f'it is the same file as {other}'
                return [(None, rejection_report(RejectedFile(path, 'duplicate_file', detail)))]
        ((*cells,),) = self._pool.read(recordings, options)
        return [(None, report) if cell is None else self._outcome(path, cell, report) for cell, report in cells]

    def _outcome(self, path: str, cell: MeasuredCell, report: ExtractionReport) -> Outcome:
        other = self._file_of(cell.cell)
        if other is not None and path in self._stands_in_for.get(other, ()):
            self.forget(other)  # The first file has its verdict again.
            self._outdated.append(other)
        elif other is not None and os.path.exists(other):
            self._duplicate_of.setdefault(path, []).append(_Original(other, cell.cell))
            return None, rejection_report(duplicate_cell(path, cell.cell, other))
        elif other is not None:  # It was moved, or deleted and recorded anew.
            self._drop_cell(other, cell.cell)
        return self._classifier.classify_cell(cell), report

    def _is_used(self, original: _Original) -> bool:
        holds = original.cell is None or self._holds_cell(original.path, original.cell)
        return holds and os.path.exists(original.path)

    def _holds_cell(self, path: str, cell: str) -> bool:
        return any(found is not None and found.result.cell == cell for found, _ in self._of_file.get(path, ()))

    def _file_of(self, cell: str) -> str | None:
        return next((path for path in self._of_file if self._holds_cell(path, cell)), None)

    def _drop_cell(self, path: str, cell: str) -> None:
        kept = [outcome for outcome in self._of_file[path] if outcome[0] is None or outcome[0].result.cell != cell]
        self._of_file[path] = kept
        self._outdated.append(path)
        if not kept:
            self.forget(path)

    def _drop_rejections_of_gone(self, name: str) -> None:
        for path, of_file in list(self._of_file.items()):
            is_rejected = all(cell is None for cell, _ in of_file)
            if os.path.basename(path) == name and is_rejected and not os.path.exists(path):
                self.forget(path)
                self._outdated.append(path)


def _is_same_file(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:  # One of them is gone.
        return False
