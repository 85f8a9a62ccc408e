"""What the commands print in a terminal: verdicts, the headline table, warnings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from beam_pipelines import domain
from beam_pipelines.cli.words import counted, printable
from beam_pipelines.recordings.sources import Source, find_source
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.cell_warnings import count_outside_training_range
from trainer.evaluation.controls import TITLES, compare_with_noise
from trainer.evaluation.metrics import accuracy_difference
from trainer.evaluation.results import ORIGINAL_TEST, OTHER_DAYS, CellResult, ModelResult, SplitResult
from trainer.evaluation.verdicts import is_close_to_undecided, why_undecided
from trainer.reports.probability import CLOSE_TO_UNDECIDED, probability_words

_MOST_VERDICTS = 40


def evaluation_lines(model: ModelResult, baseline: ModelResult | None, cells_file: str) -> list[str]:
    """Returns all that ``sero-evaluate`` prints about a model, and about a baseline if there is one."""
    models = [model] if baseline is None else [model, baseline]
    which = 'cells of other days' if model.headline_split == OTHER_DAYS else 'test cells of the original recordings'
    lines = [
        f'Verdicts on {which}, {model.title}:',
        *verdict_lines(model.splits[model.headline_split].cells, model.calibration, cells_file),
        '',
        headline_table(models),
    ]
    if model.info.files:
        lines.insert(0, "authors' models: " + ', '.join(file['file'] for file in model.info.files.values()))
    if baseline:
        lines.append(difference_line(model, baseline))
    lines += beside_noise_lines(models)
    warnings = (*other_days_warnings(model), *unfinished_warnings(models), *trained_on_warnings(models))
    lines += [f'WARNING: {warning}' for warning in warnings]
    lines.append(training_range_line([cell for split in model.test_sets for cell in split.cells]))
    lines += [calibration_line(result) for result in models]
    lines += [promise_line(result) for result in models]
    if compared := model.splits[model.headline_split].metrics.get('with_firing'):
        lines.append(firing_line(compared, which))
    if made := source_of(models):
        lines.append(source_line(made))
    return lines


def headline_table(models: Sequence[ModelResult]) -> str:
    """Returns one row per model and control: cells and spikes of other days, and of the original test cells."""
    rows = [
        ('', 'cells of other days', '95 % interval', 'decided', 'their spikes', 'original test: cells', 'spikes'),
        *(_row(model.title, {name: split.metrics for name, split in model.splits.items()}) for model in models),
        *(_row(TITLES[control], metrics) for control, metrics in control_metrics(models[0]).items()),
    ]
    return _aligned(rows)


def control_metrics(model: ModelResult) -> dict[str, dict[str, dict]]:
    """Returns control -> split -> ``{'spike': {...}, 'cell': {...}}``."""
    found: dict[str, dict[str, dict]] = {}
    for name, split in model.splits.items():
        for control, result in split.controls.items():
            found.setdefault(control, {})[name] = result.metrics
    return found


def difference_line(model: ModelResult, baseline: ModelResult) -> str:
    """Returns how much better the model is than the baseline on the cells of the headline."""
    name = model.headline_split
    found = accuracy_difference(*(result.splits[name].cells for result in (model, baseline)))
    difference, low, high = (found[f'accuracy_difference{end}'] for end in ('', '_low', '_high'))
    which = f'{counted(found["n"], "cell")} of other days' if name == OTHER_DAYS else counted(found['n'], 'cell')
    return (
        f'{model.title} - {baseline.title}: {difference:+.3f} on the same {which}'
        f' (95 % interval, bootstrap over cells: {low:+.3f} to {high:+.3f})'
    )


def beside_noise_lines(models: Sequence[ModelResult]) -> list[str]:
    """Says of each model and test split whether it is better than the control that has seen noise alone."""
    return [
        f'{model.title}: {beside_noise_words(name, model.splits[name])}'
        for model in models
        for name in (OTHER_DAYS, ORIGINAL_TEST)
        if name in model.splits and model.splits[name].controls
    ]


def beside_noise_words(name: str, split: SplitResult) -> str:
    """Says whether a model is better than noise alone on the cells of a split, with the difference and its interval."""
    which = {OTHER_DAYS: 'cells of other days', ORIGINAL_TEST: 'original test cells'}.get(name, 'cells')
    found = compare_with_noise(split.cells, split.controls['noise_alone'])
    difference, low, high = (found[f'accuracy_difference{end}'] for end in ('', '_low', '_high'))
    return f'{found["words"]} on the {found["n"]} {which} ({difference:+.3f}, 95 % interval {low:+.3f} to {high:+.3f})'


def other_days_warnings(model: ModelResult) -> list[str]:
    """Returns a line if there are no cells of other days to judge the model on."""
    if OTHER_DAYS in model.splits:
        return []
    return [
        'there is no dataset non_homogeneous, so these are test cells of days most of which were trained on;'
        ' sero-evaluate --cross_validate=day judges days that were not'
    ]


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return '\n'.join('  '.join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)


def _row(title: str, metrics: Mapping[str, Mapping]) -> tuple[str, ...]:
    """Returns a row of the headline table from ``{'CONFIG/SPLIT': {'spike': {...}, 'cell': {...}}}``."""
    headline, original = metrics.get(OTHER_DAYS), metrics[ORIGINAL_TEST]
    of_other_days: tuple[str, ...] = ('-', '-', '-', '-')
    if headline:
        cell, spike = headline['cell'], headline['spike']
        of_other_days = (
            f'accuracy {cell["accuracy"]:.3f} of {cell["n"]}',
            f'{cell["accuracy_low"]:.3f} to {cell["accuracy_high"]:.3f}',
            f'{cell["coverage"]:.0%}' if 'coverage' in cell else '-',
            f'{spike["accuracy"]:.3f} of {spike["n"]}',
        )
    return (
        title,
        *of_other_days,
        f'{original["cell"]["accuracy"]:.3f} of {original["cell"]["n"]}',
        f'{original["spike"]["accuracy"]:.3f}',
    )


def division_table(metrics: Mapping[str, dict]) -> str:
    """Returns one row per way of dividing the same recordings, ``day`` or ``spike``, and below it one per control."""
    titles = {'day': 'days left out, no cell on both sides', 'spike': 'random by spike, as published'}
    rows: list[tuple[str, ...]] = [
        ('', 'spikes: accuracy', 'AUC', 'cells: accuracy', '95 % interval', 'decided', 'right of these')
    ]
    for division, metric in metrics.items():
        rows.append(_division_row(titles[division], metric))
        rows += [
            _division_row(f'  {TITLES[control]}', of_control)
            for control, of_control in metric.get('controls', {}).items()
            if control in TITLES
        ]
    return _aligned(rows)


def _division_row(title: str, metric: Mapping[str, Mapping]) -> tuple[str, ...]:
    spike, cell = metric['spike'], metric['cell']
    right, auc = cell.get('decided_accuracy'), spike['auc']
    return (
        title,
        f'{spike["accuracy"]:.3f} of {spike["n"]}',
        '-' if auc is None else f'{auc:.3f}',
        f'{cell["accuracy"]:.3f} of {cell["n"]}',
        f'{cell["accuracy_low"]:.3f} to {cell["accuracy_high"]:.3f}',
        f'{cell["coverage"]:.0%}' if 'coverage' in cell else '-',
        '-' if right is None else f'{right:.3f}',
    )


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


def firing_line(compared: Mapping, which: str) -> str:
    """Says what the firing adds to the shape; ``compared`` is from ``firing.compare_with_shape``."""
    numbers = ', '.join(
        f'{words} {compared["with_firing"][key]:.3f} (shape alone {compared["shape"][key]:.3f})'
        for key, words in (('accuracy', 'accuracy'), ('auc', 'AUC'), ('log_loss', 'log loss'))
    )
    gain, low, high = (compared[f'log_loss_gain{end}'] for end in ('', '_low', '_high'))
    return (
        f'with firing rate and regularity, on {compared["n"]} {which}: {numbers}; log loss lower by {gain:+.3f}'
        f' (95 % interval {low:+.3f} to {high:+.3f})'
    )


def promise_line(model: ModelResult) -> str:
    """Says how many verdicts were promised to be wrong at most, and how many are."""
    promised = f'{model.title}: {promise_words(model.calibration)}'
    split = model.splits.get(model.headline_split)
    if split is None:
        return promised
    decided = [cell for cell in split.cells if cell.outcome in ('right', 'wrong')]
    wrong = sum(cell.outcome == 'wrong' for cell in decided)
    which = f'{counted(len(decided), "decided cell")} of {split.name}'
    share = f' ({wrong / len(decided):.1%})' if decided else ''
    observed = f'{wrong} of {which} {_verb(wrong, "is", "are")} wrong{share}'
    return f'{promised}; observed: {observed}'


def promise_words(calibration: Calibration) -> str:
    """Says how many wrong verdicts the confidence promises at most."""
    if not calibration.has_chosen_confidence:
        return 'nothing is promised of the share of wrong verdicts'
    words = f'promised: at most {calibration.target_error:.1%} of new cells wrong'
    if not math.isnan(calibration.day_error):
        words += f', and at most {calibration.day_error:.1%} of the cells of a new day (mean over days)'
    return words


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
        f'{words}; at the least confidence of {calibration.confidence:.2f}, {decided} of these'
        f' {_verb(decided, "gets", "get")} a verdict, {wrong} of them a wrong one'
    )


def _verb(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def training_range_line(cells: Sequence[CellResult]) -> str:
    """Counts the cells that lie outside the range of the cells that the model was trained on, and says by what."""
    outside, counts = count_outside_training_range(cell.warnings for cell in cells)
    if not outside:
        return f'{counted(len(cells), "cell")}: none outside the range of the training cells'
    by_code = ', '.join(f'{count} {code}' for code, count in counts.items())
    return f'{counted(len(cells), "cell")}: {outside} outside the range of the training cells ({by_code})'


def verdict_lines(cells: Sequence[CellResult], calibration: Calibration, cells_file: str) -> list[str]:
    """Returns one line per cell with its warnings below it, as many as fit on a screen.

    Parameters
    ----------
    cells : the verdicts.
    calibration : what calibrated them.
    cells_file : the file that has all cells.
    """
    lines = []
    for cell in cells[:_MOST_VERDICTS]:
        warnings = (f'    {printable(str(warning))}' for warning in cell.warnings)
        lines += [verdict_line(cell, calibration), *warnings]
    if len(cells) > _MOST_VERDICTS:
        lines.append(f'... {len(cells) - _MOST_VERDICTS} more in {cells_file}')
    return lines


def verdict_line(cell: CellResult, calibration: Calibration) -> str:
    """Returns the verdict on one cell, with its label and whether it is wrong where the label is known."""
    label = '' if cell.label is None else f'  labelled {domain.LABEL_NAMES[cell.label]}'
    mark = '  wrong' if cell.outcome == 'wrong' else ''
    words = probability_words(cell, calibration)
    interval = f' [{words.interval}]' if words.interval else ''
    limit = f': {words.limit}' if words.limit else ''
    remark = CLOSE_TO_UNDECIDED if is_close_to_undecided(cell, calibration) else why_undecided(cell, calibration)
    return (
        f'{printable(cell.cell):<14} {cell.verdict:<9} p(SER) {words.value}{interval}{limit}'
        f'  {cell.n_spikes:>4} {"spike" if cell.n_spikes == 1 else "spikes"}{remark and f"  {remark}"}{label}{mark}'
    )
