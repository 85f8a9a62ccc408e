"""What ``sero-classify`` prints: verdicts, what became of the files, and whether anything is simulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainer.evaluation.classified_cell import ClassifiedCell
from trainer.reports.terminal import calibration_words

if TYPE_CHECKING:
    from trainer.classify.batch import Findings
    from trainer.classify.classifier import Classifier

_MOST_VERDICTS = 40


def verdict_line(cell: ClassifiedCell) -> str:
    """Returns the verdict on one cell."""
    result = cell.result
    return (
        f'{result.cell:<14} {result.verdict:<9} p(SER) {result.p_ser:.2f} [{result.p_ser_low:.2f},'
        f' {result.p_ser_high:.2f}]  {result.n_spikes:>4} spikes'
    )


def verdict_lines(cells: Sequence[ClassifiedCell]) -> list[str]:
    """Returns a line a cell, as many as a screen takes, each with how many warnings there are."""
    lines = [f'{verdict_line(cell)}{_warnings(cell)}' for cell in cells[:_MOST_VERDICTS]]
    if len(cells) > _MOST_VERDICTS:
        lines.append(f'... {len(cells) - _MOST_VERDICTS} more in cells.csv')
    return lines


def findings_lines(findings: Findings, classifier: Classifier) -> list[str]:
    """Returns what became of all files, triggers and cells, how far to believe it, and if any of it is simulated."""
    cells, counts = findings.sorted_cells(), findings.counts
    verdicts = [cell.result.verdict for cell in cells]
    lines = [
        f'{counts.used_files + len(findings.rejected)} files = {counts.used_files} used'
        f' + {len(findings.rejected)} rejected;'
        f' {counts.triggers} triggers = {counts.spikes} spikes + {counts.dropped} dropped',
        f'{len(cells)} cells: {", ".join(f"{verdicts.count(name)} {name}" for name in ("SER", "NSER", "undecided"))};'
        f' {sum(bool(cell.warnings) for cell in cells)} with warnings',
    ]
    lines.append(f'{classifier.ensemble.title}: {calibration_words(classifier.calibration)}')
    simulated = sum(cell.is_simulated for cell in cells)
    if simulated:
        lines.append(f'{simulated} of the recordings are SIMULATED; their verdicts say nothing about real neurons.')
    if classifier.is_simulated:
        lines.append('The model was trained on SIMULATED recordings; its verdicts say nothing about real neurons.')
    return lines


def _warnings(cell: ClassifiedCell) -> str:
    count = len(cell.warnings)
    return f'  {count} warning{"s" if count > 1 else ""}' if count else ''
