"""What the commands print in a terminal: verdicts, the headline table, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from beam_pipelines import domain
from beam_pipelines.cli.words import counted
from beam_pipelines.recordings.sources import Source, find_source
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.metrics import accuracy_difference
from trainer.evaluation.results import CellResult, ModelResult

_MOST_VERDICTS = 40


def evaluation_lines(model: ModelResult, baseline: ModelResult | None, cells_file: str) -> list[str]:
    """Returns all that ``sero-evaluate`` prints about a model, and about a baseline if there is one."""
    models = [model] if baseline is None else [baseline, model]
    cells = model.splits['non_homogeneous/test'].cells
    lines = [
        f'Verdicts on cells of other days, {model.title}:',
        *verdict_lines([(cell, ()) for cell in cells], cells_file),
        '',
        headline_table(models),
    ]
    if model.info.files:
        lines.insert(0, "authors' models: " + ', '.join(file['file'] for file in model.info.files.values()))
    if baseline:
        lines.append(difference_line(model, baseline))
    lines += [f'WARNING: {warning}' for warning in (*unfinished_warnings(models), *trained_on_warnings(models))]
    lines += [calibration_line(result) for result in models]
    if made := source_of(models):
        lines.append(source_line(made))
    return lines


def headline_table(models: Sequence[ModelResult]) -> str:
    """Returns one row per model: cells and spikes of other days, and of the original recordings' test cells."""
    rows = [
        ('', 'cells of other days', '95 % interval', 'decided', 'their spikes', 'original test: cells', 'spikes'),
        *(_row(model) for model in models),
    ]
    return _aligned(rows)


def difference_line(model: ModelResult, baseline: ModelResult) -> str:
    """Returns how much better the model is than the baseline on cells of other days."""
    found = accuracy_difference(*(result.splits['non_homogeneous/test'].cells for result in (model, baseline)))
    difference, low, high = (found[f'accuracy_difference{end}'] for end in ('', '_low', '_high'))
    return (
        f'{model.title} - {baseline.title}: {difference:+.3f} on the same {counted(found["n"], "cell")} of other days'
        f' (95 % interval, bootstrap over cells: {low:+.3f} to {high:+.3f})'
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return '\n'.join('  '.join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)


def _row(model: ModelResult) -> tuple[str, ...]:
    headline, original = model.splits['non_homogeneous/test'].metrics, model.splits['original/test'].metrics
    cell = headline['cell']
    return (
        model.title,
        f'accuracy {cell["accuracy"]:.3f} of {cell["n"]}',
        f'{cell["accuracy_low"]:.3f} to {cell["accuracy_high"]:.3f}',
        f'{cell["coverage"]:.0%}',
        f'{headline["spike"]["accuracy"]:.3f} of {headline["spike"]["n"]}',
        f'{original["cell"]["accuracy"]:.3f} of {original["cell"]["n"]}',
        f'{original["spike"]["accuracy"]:.3f}',
    )


def division_table(metrics: Mapping[str, dict]) -> str:
    """Returns one row per way of dividing the same recordings, ``day`` or ``spike``."""
    titles = {'day': 'days left out, no cell on both sides', 'spike': 'random by spike, as published'}
    rows = [('', 'spikes: accuracy', 'AUC', 'cells: accuracy', '95 % interval', 'decided', 'right of these')]
    for division, metric in metrics.items():
        spike, cell = metric['spike'], metric['cell']
        right = '-' if cell['decided_accuracy'] is None else f'{cell["decided_accuracy"]:.3f}'
        rows.append(
            (
                titles[division],
                f'{spike["accuracy"]:.3f} of {spike["n"]}',
                f'{spike["auc"]:.3f}',
                f'{cell["accuracy"]:.3f} of {cell["n"]}',
                f'{cell["accuracy_low"]:.3f} to {cell["accuracy_high"]:.3f}',
                f'{cell["coverage"]:.0%}',
                right,
            )
        )
    return _aligned(rows)


def source_line(made: Source) -> str:
    """Says that all results are on recordings that nobody recorded."""
    return f'All of this is of {made.recordings} and says nothing about {made.not_about}.'


def source_of(models: Sequence[ModelResult]) -> Source | None:
    """Returns what made the recordings that a model was trained or evaluated on; None if all were recorded."""
    sources = [model.info.source for model in models]
    sources += [split.source for model in models for split in model.splits.values()]
    return find_source(sources)


def unfinished_warnings(models: Sequence[ModelResult]) -> list[str]:
    """Returns a line for each model whose training was interrupted."""
    return [
        f'{model.title}: the training was interrupted after epoch {model.info.epochs} of'
        f' {model.info.config and model.info.config["epochs"]}; sero-train goes on with it.'
        for model in models
        if not model.info.finished
    ]


def trained_on_warnings(models: Sequence[ModelResult]) -> list[str]:
    """Returns a line for each split with cells that a model was, or may have been, trained on."""
    lines = []
    for model in models:
        if model.info.train_cells is None:
            lines.append(f'{model.title}: any of the cells may be among those that they were trained on.')
        if model.info.init_from:
            lines.append(
                f"{model.title}: started from the authors' models, and any of the cells may be among those that these"
                ' were trained on.'
            )
        for name, split in model.splits.items():
            seen = split.metrics.get('cell', {}).get('cells_seen_in_training')
            if seen:
                verb = _verb(seen, 'was', 'were')
                lines.append(f'{model.title}: {seen} of the {len(split.cells)} cells of {name} {verb} trained on.')
    return lines


def calibration_line(model: ModelResult) -> str:
    """Says what calibrated a model's probabilities."""
    where = ' by this evaluation, because the run left no calibration' if model.is_calibrated_here else ''
    return f'{model.title}: {calibration_words(model.calibration, where)}'


def calibration_words(calibration: Calibration, where: str = '') -> str:
    """Says what calibrated the probabilities, and what to expect of the verdicts."""
    if calibration.method == 'none':
        return 'not calibrated, the probabilities are the published consensus; no confidence is chosen'
    by = f'temperature {calibration.temperature:.2f}' if calibration.method == 'temperature' else 'isotonic regression'
    cells = f'{counted(calibration.cells, "cell")} of original/validation'
    if calibration.days:
        cells = (
            f'{counted(calibration.cells, "cell")} of {counted(calibration.days, "recording day")}, each by the members'
            ' that were not trained on its day'
        )
    words = f'probabilities calibrated on {cells}{where} ({by})'
    if not calibration.has_chosen_confidence:
        return f'{words}; these are too few to choose a confidence on, so how many verdicts are wrong is not known'
    decided, wrong = calibration.decided, calibration.wrong
    return (
        f'{words}; of these {decided} {_verb(decided, "has", "have")} a confidence of at least'
        f' {calibration.confidence:.2f}, and {wrong} of them {_verb(wrong, "is", "are")} wrong'
    )


def _verb(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def verdict_lines(verdicts: Sequence[tuple[CellResult, Sequence[str]]], cells_file: str) -> list[str]:
    """Returns one line per cell with its warnings below it, as many as fit on a screen.

    Parameters
    ----------
    verdicts : each cell with its warnings.
    cells_file : the file that has all cells.
    """
    lines = []
    for cell, warnings in verdicts[:_MOST_VERDICTS]:
        lines += [verdict_line(cell), *(f'    {warning}' for warning in warnings)]
    if len(verdicts) > _MOST_VERDICTS:
        lines.append(f'... {len(verdicts) - _MOST_VERDICTS} more in {cells_file}')
    return lines


def verdict_line(cell: CellResult) -> str:
    """Returns the verdict on one cell, with its label and whether it is wrong where the label is known."""
    label = '' if cell.label is None else f'  labelled {domain.LABEL_NAMES[cell.label]}'
    mark = '  wrong' if cell.outcome == 'wrong' else ''
    return (
        f'{cell.cell:<14} {cell.verdict:<9} p(SER) {cell.p_ser:.2f} [{cell.p_ser_low:.2f}, {cell.p_ser_high:.2f}]'
        f'  {cell.n_spikes:>4} {"spike" if cell.n_spikes == 1 else "spikes"}{label}{mark}'
    )
