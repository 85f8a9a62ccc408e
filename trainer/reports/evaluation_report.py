"""The report of an evaluation: one HTML file that a person opens, and its figures as PNG files.

    write_report(pathlib.Path('run/evaluation'), model, baseline)

writes ``run/evaluation/report.html``, which needs no network, and ``run/evaluation/*.png``.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import jinja2

from beam_pipelines import domain
from beam_pipelines.cli.words import counted
from beam_pipelines.recordings.sources import find_source
from beam_pipelines.storage.atomic_files import write_files
from trainer.evaluation.cell_warnings import count_outside_training_range
from trainer.evaluation.controls import TITLES
from trainer.evaluation.results import ORIGINAL_TEST, OTHER_DAYS, CellResult, ModelResult
from trainer.models.model_info import ModelInfo
from trainer.published import results as published_results
from trainer.reports import figures
from trainer.reports import page as report_page
from trainer.reports.illustrations import Illustration, confusion, illustrations
from trainer.reports.page import REPORT_NAME, UNDEFINED, is_defined, number
from trainer.reports.probability import template_words
from trainer.reports.terminal import (
    beside_noise_words,
    calibration_line,
    control_metrics,
    other_days_warnings,
    promise_line,
    source_of,
    trained_on_warnings,
)

# The splits of a report, the headline first: name, heading, and which cells these are.
_SPLITS = (
    (OTHER_DAYS, 'Cells of other days', 'cells recorded on other days than those trained on'),
    (ORIGINAL_TEST, 'Original recordings, test', 'test cells of the original recordings'),
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
    _Column(OTHER_DAYS, 'cell', 'accuracy'),
    _Column(OTHER_DAYS, 'cell', 'coverage'),
    _Column(OTHER_DAYS, 'cell', 'decided_accuracy'),
    _Column(OTHER_DAYS, 'cell', 'sensitivity'),
    _Column(OTHER_DAYS, 'cell', 'specificity'),
    _Column(OTHER_DAYS, 'cell', 'auc', as_percent=False),
    _Column(OTHER_DAYS, 'spike', 'accuracy'),
    _Column(ORIGINAL_TEST, 'cell', 'accuracy'),
    _Column(ORIGINAL_TEST, 'spike', 'accuracy'),
    _Column(ORIGINAL_TEST, 'spike', 'auc', as_percent=False),
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
class _Section:
    """What the page shows of one split."""

    name: str
    heading: str
    statements: list[str]
    metrics: list[dict]
    cells: list[CellResult]
    wrong: list[CellResult]
    warned: list[CellResult]
    widths: dict
    figures: list[Illustration]


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
        ]
        + [
            {'title': TITLES[control], 'unit': unit, **result.metrics[unit]}
            for control, result in split.controls.items()
            for unit in ('cell', 'spike')
        ],
        cells=split.cells,
        wrong=_wrong_cells(split.cells),
        warned=[cell for cell in split.cells if cell.warnings],
        widths=split.metrics.get('cell', {}),
        figures=illustrations(split, models) if name == models[0].headline_split else [confusion(name, models)],
    )


def _wrong_cells(cells: Sequence[CellResult]) -> list[CellResult]:
    """Returns the cells with a wrong verdict, the most confident first."""
    wrong = [cell for cell in cells if cell.outcome == 'wrong']
    return sorted(wrong, key=lambda cell: -abs(cell.p_ser - 0.5))


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
    statements += [
        f'The model {model.title} is {beside_noise_words(name, model.splits[name])}.'
        for model in models
        if name in model.splits and model.splits[name].controls
    ]
    outside, _ = count_outside_training_range(cell.warnings for cell in cells)
    if outside:
        statements.append(
            f'{counted(outside, "cell")} of {len(cells)} {"lies" if outside == 1 else "lie"} outside the range of the'
            ' training cells: read the warnings before you trust a verdict.'
        )
    if n_unlabelled:
        statements.append(f'{counted(n_unlabelled, "cell")} without a label: nothing to compare the verdict with.')
    return statements


def _page(models: Sequence[ModelResult], sections: Sequence[_Section]) -> dict:
    rows = [
        _headline_row(model.title, {name: split.metrics for name, split in model.splits.items()}) for model in models
    ]
    controls = control_metrics(models[0])
    rows += [_headline_row(TITLES[control], metrics) for control, metrics in controls.items()]
    published = (published_results.TRAINED_ON_SYNTHETIC, published_results.TRAINED_ON_ORIGINAL)
    cell_metrics = {name: split.metrics.get('cell', {}) for name, split in models[0].splits.items()}
    return {
        'models': models,
        'sections': sections,
        'headline': cell_metrics.get(models[0].headline_split),
        'day_alone': controls.get('day_only', {}).get(models[0].headline_split, {}).get('cell'),
        'headline_rows': rows,
        'published_rows': [_headline_row(result.title, result.metrics) for result in published],
        'published_source': published_results.SOURCE,
        'published_remarks': [result.remark for result in published if result.remark],
        'made': source_of(models),
        'is_model_made': find_source([models[0].info.source]) is not None,
        'warnings': [*other_days_warnings(models[0]), *trained_on_warnings(models)],
        'has_controls': bool(controls),
        'is_published_protocol': any(model.info.protocol == 'published' for model in models),
        'training': [{'title': model.title, **_training(model.info)} for model in models],
        'calibration': [line for model in models for line in (calibration_line(model), promise_line(model))],
        'undecided_rule': next((m['undecided_rule'] for m in cell_metrics.values() if m.get('undecided_rule')), None),
        'label_names': domain.LABEL_NAMES,
        **template_words(models[0].calibration),
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
        'Examples seen': _count(info.examples_of_kept_epochs),
        'Examples trained on in all': _count(info.examples_seen),
        'Made': (info.created or UNDEFINED)[:16].replace('T', ' '),
        'Versions': ', '.join(f'{name} {version}' for name, version in (info.versions or {}).items()) or UNDEFINED,
        'Data fingerprint': info.dataset_fingerprint or UNDEFINED,
    }


def _count(number: int | None) -> str:
    return UNDEFINED if number is None else f'{number:,}'


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
