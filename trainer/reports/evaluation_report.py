"""The report of an evaluation: one HTML file that a person opens, and its figures as PNG files.

    write_report(pathlib.Path('run/evaluation'), model, baseline)

writes ``run/evaluation/report.html``, which needs no network, and ``run/evaluation/*.png``.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence

import jinja2
from matplotlib.figure import Figure

from beam_pipelines import domain
from beam_pipelines.cli.words import counted
from beam_pipelines.recordings.sources import find_source
from beam_pipelines.storage.atomic_files import write_files
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.results import CellResult, ModelResult, SplitResult
from trainer.models.model_info import ModelInfo
from trainer.published import results as published_results
from trainer.reports import figures, waveform_figures
from trainer.reports import page as report_page
from trainer.reports.page import REPORT_NAME, UNDEFINED, is_defined, number
from trainer.reports.terminal import calibration_line, source_of, trained_on_warnings

HEADLINE_SPLIT = 'non_homogeneous/test'
# The splits of a report, the headline first: name, heading, and which cells these are.
_SPLITS = (
    (HEADLINE_SPLIT, 'Cells of other days', 'cells recorded on other days than those trained on'),
    ('original/test', 'Original recordings, test', 'test cells of the original recordings'),
)

_NO_BREAK_SPACE = '\N{NO-BREAK SPACE}'


@dataclasses.dataclass(frozen=True)
class _Column:
    """A column of the headline table: a metric of a split and unit, and how to show it."""

    split: str
    unit: str
    key: str
    as_percent: bool = True


_HEADLINE_COLUMNS = (
    _Column(HEADLINE_SPLIT, 'cell', 'accuracy'),
    _Column(HEADLINE_SPLIT, 'cell', 'sensitivity'),
    _Column(HEADLINE_SPLIT, 'cell', 'specificity'),
    _Column(HEADLINE_SPLIT, 'cell', 'auc', as_percent=False),
    _Column(HEADLINE_SPLIT, 'spike', 'accuracy'),
    _Column(HEADLINE_SPLIT, 'spike', 'auc', as_percent=False),
    _Column('original/test', 'cell', 'accuracy'),
    _Column('original/test', 'spike', 'accuracy'),
    _Column('original/test', 'spike', 'auc', as_percent=False),
)


def write_report(folder: pathlib.Path, model: ModelResult, baseline: ModelResult | None) -> pathlib.Path:
    """Writes ``report.html`` and its figures; everything is made before the first file is written.

    Parameters
    ----------
    folder : made if it does not exist; a report in it is replaced.
    model : the model that the report is about.
    baseline : a second model to compare with, such as one trained on ``original`` alone; None to leave it out.

    Returns
    -------
    The path of ``report.html``.
    """
    models = [model] if baseline is None else [model, baseline]
    sections = [_section(*split, models) for split in _SPLITS if split[0] in model.splits]
    html = _template().render(_page(models, sections))
    files = {figure.file_name: figures.to_png(figure.drawing) for section in sections for figure in section.figures}
    files[REPORT_NAME] = html.encode()
    write_files(folder, files)
    return folder / REPORT_NAME


@dataclasses.dataclass(frozen=True)
class _Illustration:
    """A figure with the name of its PNG file, a description for screen readers, and its caption."""

    file_name: str
    drawing: Figure
    description: str
    caption: str
    half_width: bool = False

    @property
    def data_uri(self) -> str:
        return figures.svg_data_uri(self.drawing)


@dataclasses.dataclass(frozen=True)
class _Section:
    """What the page shows of one split."""

    name: str
    heading: str
    statements: list[str]
    metrics: list[dict]
    cells: list[CellResult]
    wrong: list[CellResult]
    widths: dict
    figures: list[_Illustration]


def _section(name: str, heading: str, which_cells: str, models: Sequence[ModelResult]) -> _Section:
    split = models[0].splits[name]
    return _Section(
        name=name,
        heading=heading,
        statements=_statements(name, which_cells, models),
        metrics=[
            {'title': model.title, 'unit': unit, **model.splits[name].metrics.get(unit, {})}
            for model in models
            if name in model.splits
            for unit in ('cell', 'spike')
        ],
        cells=split.cells,
        wrong=_wrong_cells(split.cells),
        widths=split.metrics.get('cell', {}),
        figures=_illustrations(split, models) if name == HEADLINE_SPLIT else [_confusion(name, models)],
    )


def _confusion(name: str, models: Sequence[ModelResult]) -> _Illustration:
    return _Illustration(
        f'confusion_{name.partition("/")[0]}.png',
        figures.confusion_matrices(name, models),
        'Confusion matrices: labels against calls, of cells and of spikes',
        'Labels (rows) against calls (columns), with the share of the row. Every cell counts, undecided ones by the '
        'side on which their probability falls.',
        half_width=sum(name in model.splits for model in models) == 1,
    )


def _illustrations(split: SplitResult, models: Sequence[ModelResult]) -> list[_Illustration]:
    return [
        _Illustration(
            'cell_probabilities.png',
            figures.cell_probabilities(split.cells),
            'Probability of being serotonergic with its interval, for each cell in ascending order',
            'Each cell’s probability of being serotonergic with its 95 % interval. The colour is the label.',
        ),
        _Illustration(
            'mean_waveforms.png',
            waveform_figures.mean_waveforms(split.cells),
            'Mean spikes of the cells called right, wrong and undecided, for each class',
            'Mean spikes, one thin line a cell. Behind the cells that were not called right stand the means of both '
            'classes’ right ones: which do they resemble?',
        ),
        _Illustration(
            'roc.png',
            figures.roc_curves(split.name, models),
            'ROC curves of cells and of spikes',
            'ROC: how many SER are found for how many NSER mistaken, as the threshold moves.',
            half_width=True,
        ),
        _Illustration(
            'udi_histogram.png',
            waveform_figures.udi_histogram(split.cells),
            'Histogram of the spike width of SER and NSER cells, by call',
            _udi_caption(split.cells),
            half_width=True,
        ),
        _Illustration(
            'reliability.png',
            figures.reliability_diagram(split.cells, split.metrics.get('cell', {})),
            'Reliability diagram: stated probability against the share of cells that are SER',
            'Do probabilities come true? On the diagonal they do. Cells are put together in ten steps of probability; '
            'a larger dot is of more cells. ECE is the mean distance from the diagonal.',
            half_width=True,
        ),
        _coverage_accuracy(split, models[0].calibration),
        _confusion(split.name, models),
    ]


def _coverage_accuracy(split: SplitResult, calibration: Calibration) -> _Illustration:
    chosen = calibration.has_chosen_confidence
    confidence = 'The dashed line is the confidence chosen on validation cells; the' if chosen else 'The'
    return _Illustration(
        'coverage_accuracy.png',
        figures.coverage_accuracy(
            split.cells, split.metrics.get('cell', {}), calibration.confidence if chosen else None
        ),
        'Accuracy of the verdicts against the share of cells that get one',
        f'Fewer verdicts, fewer mistakes: the accuracy of the surest cells. {confidence} diamond is of the verdicts '
        'that were given, which also need a clear interval.',
        half_width=True,
    )


def _wrong_cells(cells: Sequence[CellResult]) -> list[CellResult]:
    """Returns the cells with a wrong verdict, the most confident first."""
    wrong = [cell for cell in cells if cell.outcome == 'wrong']
    return sorted(wrong, key=lambda cell: -abs(cell.p_ser - 0.5))


def _udi_caption(cells: Sequence[CellResult]) -> str:
    n_unmeasured = sum(cell.label is not None and not math.isfinite(cell.udi_ms) for cell in cells)
    caption = (
        'Spike width. The thin outline is that of the published neurons (Figure 2 of arXiv 2405.05516), scaled to as '
        'many cells.'
    )
    if n_unmeasured:
        caption += f' Left out: {counted(n_unmeasured, "cell")} whose width cannot be measured.'
    return caption


def _statements(name: str, which_cells: str, models: Sequence[ModelResult]) -> list[str]:
    """Says in words what the models did with the cells of the split ``name``."""
    cells = models[0].splits[name].cells
    labelled = [cell for cell in cells if cell.label is not None]
    n_unlabelled = len(cells) - len(labelled)
    statements = []
    if labelled:
        n_right = sum(bool(cell.correct) for cell in labelled)
        statements.append(
            f'Of {counted(len(labelled), "neuron")} ({which_cells}), the model calls {n_right} as labelled if it must '
            'choose.'
        )
        decided = [cell for cell in labelled if cell.verdict != 'undecided']
        n_decided_right = sum(cell.outcome == 'right' for cell in decided)
        statements.append(
            f'Free to abstain, it decides {len(decided)}, is right on {n_decided_right} of these, and leaves '
            f'{len(labelled) - len(decided)} undecided.'
        )
        if len(models) > 1 and name in models[1].splits:
            n_baseline = sum(bool(cell.correct) for cell in models[1].splits[name].cells)
            statements.append(f'For comparison, the model {models[1].title} calls {n_baseline} as labelled.')
    if n_unlabelled:
        statements.append(f'{counted(n_unlabelled, "cell")} without a label: nothing to compare the verdict with.')
    return statements


def _page(models: Sequence[ModelResult], sections: Sequence[_Section]) -> dict:
    rows = [
        _headline_row(model.title, {name: split.metrics for name, split in model.splits.items()}) for model in models
    ]
    published = (published_results.TRAINED_ON_SYNTHETIC, published_results.TRAINED_ON_ORIGINAL)
    cell_metrics = {name: split.metrics.get('cell', {}) for name, split in models[0].splits.items()}
    return {
        'models': models,
        'sections': sections,
        'headline': cell_metrics.get(HEADLINE_SPLIT),
        'headline_rows': rows,
        'published_rows': [_headline_row(result.title, result.metrics) for result in published],
        'published_source': published_results.SOURCE,
        'published_remarks': [result.remark for result in published if result.remark],
        'made': source_of(models),
        'is_model_made': find_source([models[0].info.source]) is not None,
        'trained_on_warnings': trained_on_warnings(models),
        'is_published_protocol': any(model.info.protocol == 'published' for model in models),
        'training': [{'title': model.title, **_training(model.info)} for model in models],
        'calibration': [calibration_line(model) for model in models],
        'undecided_rule': next((m['undecided_rule'] for m in cell_metrics.values() if m.get('undecided_rule')), None),
        'label_names': domain.LABEL_NAMES,
        'colours': report_page.COLOURS,
    }


def _headline_row(title: str, metrics: Mapping[str, Mapping]) -> dict:
    """Formats one row of the headline table from ``{'CONFIG/SPLIT': {'spike': {...}, 'cell': {...}}}``."""
    values = []
    for column in _HEADLINE_COLUMNS:
        of_unit = metrics.get(column.split, {}).get(column.unit, {})
        value = of_unit.get(column.key)
        values.append(
            {
                'text': _percent(value) if column.as_percent else number(value, 3),
                'interval': _interval(of_unit) if (column.unit, column.key) == ('cell', 'accuracy') else '',
            }
        )
    return {'title': title, 'values': values}


def _training(info: ModelInfo) -> dict[str, str]:
    """Returns what a model was trained on, heading -> text."""
    return {
        'Data': info.trained_on,
        'Recordings': made.nwb_keyword if (made := find_source([info.source])) else info.source,
        'Split': {'by_cell': 'by cell', 'published': 'published (by spike)'}.get(info.protocol, info.protocol),
        'Network': info.architecture,
        'Members': _members(info.kernel_sizes),
        'Examples seen': UNDEFINED if info.examples_seen is None else f'{info.examples_seen:,}',
        'Made': (info.created or UNDEFINED)[:16].replace('T', ' '),
        'Versions': ', '.join(f'{name} {version}' for name, version in (info.versions or {}).items()) or UNDEFINED,
        'Data fingerprint': info.dataset_fingerprint or UNDEFINED,
    }


def _members(kernel_sizes: Sequence[int]) -> str:
    if not kernel_sizes:
        return UNDEFINED
    return f'{counted(len(kernel_sizes), "network")}, kernel sizes {_as_ranges(kernel_sizes)}'


def _as_ranges(numbers: Sequence[int]) -> str:
    """Returns ``20–30`` for consecutive numbers, else the numbers one by one."""
    if len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f'{numbers[0]}–{numbers[-1]}'
    return ', '.join(map(str, numbers))


def _percent(value: float | None) -> str:
    return f'{100 * value:.1f}{_NO_BREAK_SPACE}%' if is_defined(value) else UNDEFINED


def _interval(cell_metrics: Mapping) -> str:
    low, high = cell_metrics.get('accuracy_low'), cell_metrics.get('accuracy_high')
    if not (is_defined(low) and is_defined(high)):
        return ''
    return f'{100 * low:.1f}–{100 * high:.1f}{_NO_BREAK_SPACE}%'


def _template() -> jinja2.Template:
    environment = report_page.environment()
    environment.filters |= {'percent': _percent, 'interval': _interval}
    return environment.get_template('evaluation.html')
