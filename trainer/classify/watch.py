"""Judges recordings as they are closed by the acquisition program, during an experiment."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Sequence

from beam_pipelines.cli.signals import StopRequests
from beam_pipelines.recordings.cell_files import group_files
from beam_pipelines.spikes.extraction import ExtractionReport, duplicate_cell, rejection_report
from trainer.classify.batch import Findings, read_results, write
from trainer.classify.classifier import Classifier
from trainer.classify.classify_summary import findings_lines, verdict_line
from trainer.classify.reading_pool import ReadingPool
from trainer.classify.watched_folder import WatchedFolder
from trainer.evaluation.classified_cell import ClassifiedCell

_SECONDS_BETWEEN_LOOKS = 1.0


def watch(
    classifier: Classifier, pool: ReadingPool, watched: str, folder: pathlib.Path, exports: Sequence[str]
) -> None:
    """Judges each ``.abf`` file below ``watched`` when it is whole, and once more when it has changed, until Ctrl-C.

    The outputs are written anew after each; of two files of one name that which came first is used.
    """
    files = WatchedFolder(watched)
    of_path: dict[str, tuple[ClassifiedCell | None, ExtractionReport]] = {}
    report = write(Findings(), classifier, folder, exports)
    print(f'watching {watched}; Ctrl-C ends it; report: {report}', flush=True)
    with StopRequests() as requests:
        while requests.signal_number is None:
            ready = files.poll()
            for path in ready:
                of_path[path] = _judge(path, classifier, pool, of_path)
                print(_say(path, *of_path[path]), flush=True)
            if ready:
                write(_gather(of_path), classifier, folder, exports)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    print('\n'.join(findings_lines(_gather(of_path), classifier)))
    for path in files.unfinished():
        print(f'{path}: was still being written and has no verdict')
    print(f'report: {report}')


def _judge(path, classifier, pool, of_path) -> tuple[ClassifiedCell | None, ExtractionReport]:
    recordings, of_no_cell = group_files([('original', 0, path)])
    if of_no_cell:
        return None, rejection_report(of_no_cell[0][1])
    (recording,) = recordings
    for other, (judged, _) in of_path.items():
        if other != path and judged is not None and judged.result.cell == recording.cell_id:
            return None, rejection_report(duplicate_cell(path, recording.cell_id, other))
    ((cell, report),) = read_results(pool.read([recording]))
    return (None if cell is None else classifier.judge(cell)), report


def _gather(of_path) -> Findings:
    findings = Findings()
    for outcome in of_path.values():
        findings.add(*outcome)
    return findings


def _say(path: str, cell: ClassifiedCell | None, report: ExtractionReport) -> str:
    if cell is None:
        (rejected,) = report.rejected
        return f'{pathlib.Path(path).name}  rejected, {rejected.reason}: {rejected.detail}'
    return '\n    WARNING: '.join((verdict_line(cell), *cell.warnings))
