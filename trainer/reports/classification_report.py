"""The report of ``sero-classify``: one HTML file with the verdicts first, and then the evidence for each cell.

    write_report(pathlib.Path('verdicts'), cells, rejected, ensemble.info, training_range)

writes ``verdicts/report.html``, a single file that needs no network.
"""

from __future__ import annotations

import collections
import pathlib
import time
from collections.abc import Sequence

import beam_pipelines
from beam_pipelines import domain
from beam_pipelines.cli.words import counted
from beam_pipelines.recordings.rejection import REASONS, RejectedFile
from beam_pipelines.recordings.sources import MADE, RECORDED, find_source
from beam_pipelines.storage.atomic_files import write_files
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.cell_warnings import count_outside_training_range
from trainer.evaluation.results import ClassifiedCell
from trainer.evaluation.training_range import TrainingRange
from trainer.reports import page as report_page
from trainer.reports.cell_section import CellSections
from trainer.reports.page import REPORT_NAME
from trainer.reports.probability import template_words

_VERDICTS = (*domain.LABEL_NAMES, 'undecided')


def write_report(
    folder: pathlib.Path,
    cells: Sequence[ClassifiedCell],
    rejected: Sequence[RejectedFile],
    info: dict,
    training_range: TrainingRange,
) -> pathlib.Path:
    """Writes ``report.html``; an old one is replaced once the new one is complete.

    Parameters
    ----------
    folder : made if it does not exist.
    cells : the verdicts, in the order in which they are shown.
    rejected : the files that could not be used.
    info : the model's ``model_info.json`` with its ``calibration``; its ``path`` and ``undecided_rule`` are quoted,
        if it has them.
    training_range : of the model.

    Returns
    -------
    The path of ``report.html``.
    """
    template = report_page.environment().get_template('classification.html')
    html = template.render(_page(cells, rejected, info, training_range))
    # File names that are not UTF-8 hold lone surrogates, which cannot be encoded.
    write_files(folder, {REPORT_NAME: html.encode(errors='backslashreplace')})
    return folder / REPORT_NAME


def _page(
    cells: Sequence[ClassifiedCell], rejected: Sequence[RejectedFile], info: dict, training_range: TrainingRange
) -> dict:
    sections = CellSections(training_range)
    return {
        'sections': [sections.of(cell, f'cell-{place}') for place, cell in enumerate(cells, 1)],
        'shared_pictures': sections.shared_pictures,
        'summary': summary(cells),
        'rejected': [{'path': file.path, 'reason': REASONS[file.reason], 'detail': file.detail} for file in rejected],
        'rejected_count': counted(len(rejected), 'file'),
        'warned_words': warned_words(cells),
        **source_words(cells, info),
        **model_words(info),
        'model_path': info.get('path'),
        'written': time.strftime('%Y-%m-%d'),
        'version': beam_pipelines.__version__,
    }


def summary(cells: Sequence[ClassifiedCell]) -> list[tuple[str, int]]:
    """Returns how many cells have each verdict."""
    counts = collections.Counter(cell.result.verdict for cell in cells)
    return [(verdict, counts[verdict]) for verdict in _VERDICTS]


def source_words(cells: Sequence[ClassifiedCell], info: dict) -> dict:
    """Says what made the recordings of the model and of the cells; no words if all were recorded."""
    words = []
    model_source = info.get('source', RECORDED)
    if made := find_source([model_source]):
        words.append(f'trained on {made.recordings.lower()}')
    for made in MADE:
        if count := sum(cell.source == made.name for cell in cells):
            which = 'the recordings are' if count == len(cells) else f'{count} of {len(cells)} recordings are'
            words.append(f'{which} {made.predicate.lower()}')
    least_real = find_source({model_source, *(cell.source for cell in cells)})
    return {'source_words': '; '.join(words), 'not_about': least_real and least_real.not_about}


def warned_words(cells: Sequence[ClassifiedCell]) -> str:
    """Says how many cells have warnings."""
    warned = sum(bool(cell.result.warnings) for cell in cells)
    if not warned:
        return 'There are no warnings.'
    outside, _ = count_outside_training_range(cell.result.warnings for cell in cells)
    by_range = f' ({outside} outside the range of the training cells)' if outside else ''
    return f'There are warnings on {counted(warned, "cell")}{by_range}: read them before you trust a verdict.'


def model_words(info: dict) -> dict:
    """Returns what the templates say of the model, and the words for its probabilities."""
    return {
        'model': _title(info),
        'is_published_protocol': info.get('protocol') == 'published',
        'is_calibrated': info['calibration']['method'] != 'none',
        'undecided_rule': info.get('undecided_rule'),
        **template_words(Calibration(**info['calibration'])),
        'colours': report_page.COLOURS,
    }


def _title(info: dict) -> str:
    members = len(info.get('members') or [])
    ensemble = f'An ensemble of {counted(members, "network")}' if members else 'An ensemble'
    words = [f'{ensemble}, trained on {info.get("trained_on") or "data unknown here"}']
    if info.get('created'):
        words.append(f'made {str(info["created"])[:16].replace("T", " ")}')
    return ', '.join(words)
