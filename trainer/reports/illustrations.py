"""The figures of an evaluation's report with their captions, and which of them a split gets."""

from __future__ import annotations

import collections
import dataclasses
import math
import statistics
from collections.abc import Sequence

from matplotlib.figure import Figure

from beam_pipelines import domain
from beam_pipelines.cli.words import counted
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.results import CellResult, ModelResult, SplitResult
from trainer.reports import figures, waveform_figures
from trainer.reports.page import number


@dataclasses.dataclass(frozen=True)
class Illustration:
    """A figure with the name of its PNG file, a description for screen readers, and its caption."""

    file_name: str
    drawing: Figure
    description: str
    caption: str

    @property
    def data_uri(self) -> str:
        return figures.svg_data_uri(self.drawing)


def confusion_file(config: str) -> str:
    """Returns the name of the file with the confusion matrices on a dataset."""
    return f'confusion_{config}.png'


def confusion(name: str, models: Sequence[ModelResult]) -> Illustration:
    """Returns the confusion matrices of the models on the split ``name``."""
    return Illustration(
        confusion_file(name.partition('/')[0]),
        figures.confusion_matrices(name, models),
        _confusion_seen(name, models),
        'Confusion matrices: labels (rows) against calls (columns), with the share of the row. Every cell counts, '
        'undecided ones by the side on which their probability falls.',
    )


def illustrations(split: SplitResult, models: Sequence[ModelResult]) -> list[Illustration]:
    """Returns all figures of the headline split; ``split`` is the first model's."""
    return [
        Illustration(
            'cell_probabilities.png',
            figures.cell_probabilities(split.cells),
            _probabilities_seen(split.cells),
            'Each cell’s probability of being serotonergic with its 95 % interval. The colour is the label.',
        ),
        Illustration(
            'mean_waveforms.png',
            waveform_figures.mean_waveforms(split.cells),
            f'Mean spikes, one line a cell; {_outcomes_of_classes(split.cells)}',
            'Mean spikes, one thin line a cell. Behind the cells that were not called right stand the means of both '
            'classes’ right ones: which do they resemble?',
        ),
        Illustration(
            'roc.png',
            figures.roc_curves(split.name, models),
            _roc_seen(split.name, models),
            'ROC: how many SER are found for how many NSER mistaken, as the threshold moves.',
        ),
        Illustration(
            'udi_histogram.png',
            waveform_figures.udi_histogram(split.cells),
            _udi_seen(split.cells),
            _udi_caption(split.cells),
        ),
        Illustration(
            'reliability.png',
            figures.reliability_diagram(split.cells, split.metrics.get('cell', {})),
            'Stated probability against the share of cells that are SER; the mean distance from the diagonal, ECE, is '
            f'{number(split.metrics.get("cell", {}).get("ece"), 3)}',
            'Do probabilities come true? On the diagonal they do. Cells are put together in ten steps of probability; '
            'a larger dot is of more cells. ECE is the mean distance from the diagonal.',
        ),
        _coverage_accuracy(split, models[0].calibration),
        confusion(split.name, models),
    ]


def _coverage_accuracy(split: SplitResult, calibration: Calibration) -> Illustration:
    chosen = calibration.has_chosen_confidence
    confidence = 'The dashed line is the confidence chosen on validation cells; the' if chosen else 'The'
    scores = split.metrics.get('cell', {})
    return Illustration(
        'coverage_accuracy.png',
        figures.coverage_accuracy(split.cells, scores, calibration.confidence if chosen else None),
        'Accuracy of the surest cells by their share, down to '
        f'{number(scores.get("accuracy"), 2)} of all; of the verdicts that were given to '
        f'{number(scores.get("coverage"), 2)} of the cells, {number(scores.get("decided_accuracy"), 2)} are right',
        f'Fewer verdicts, fewer mistakes: the accuracy of the surest cells. {confidence} diamond is of the verdicts '
        'that were given, which also need a clear interval.',
    )


def _udi_caption(cells: Sequence[CellResult]) -> str:
    n_unmeasured = sum(cell.label is not None and not math.isfinite(cell.udi_ms) for cell in cells)
    caption = (
        'Spike width: UDI, the time from the trough of a cell’s mean spike to the peak after it. The thin outline is '
        'that of the published neurons (Figure 2 of arXiv 2405.05516), scaled to as many cells.'
    )
    if n_unmeasured:
        caption += f' Left out: {counted(n_unmeasured, "cell")} whose width cannot be measured.'
    return caption


def _confusion_seen(name: str, models: Sequence[ModelResult]) -> str:
    counts = [
        f'of the {unit}s, {model.title}, '
        + ' and '.join(
            f'{confusion[label][label]:,} of {sum(confusion[label]):,} {class_name}'
            for label, class_name in enumerate(domain.LABEL_NAMES)
        )
        for model in models
        if name in model.splits
        for unit in ('cell', 'spike')
        if (confusion := model.splits[name].metrics.get(unit, {}).get('confusion'))
    ]
    return f'Labels against calls: called as labelled {"; ".join(counts)}' if counts else 'Labels against calls'


def _probabilities_seen(cells: Sequence[CellResult]) -> str:
    p_ser = [cell.p_ser for cell in cells if math.isfinite(cell.p_ser)]
    ends = f', from {min(p_ser):.2f} to {max(p_ser):.2f}' if p_ser else ''
    return f'Probabilities of {counted(len(p_ser), "cell")} in ascending order{ends}; {_outcomes_of_classes(cells)}'


def _outcomes_of_classes(cells: Sequence[CellResult]) -> str:
    def outcomes(label: int) -> str:
        count = collections.Counter(cell.outcome for cell in cells if cell.label == label)
        return f'{count["right"]} called right, {count["wrong"]} wrong, {count["undecided"]} undecided'

    return '; '.join(f'of {name}, {outcomes(label)}' for label, name in enumerate(domain.LABEL_NAMES))


def _roc_seen(name: str, models: Sequence[ModelResult]) -> str:
    def auc(model: ModelResult, unit: str) -> str:
        return number(model.splits[name].metrics.get(unit, {}).get('auc'), 3)

    areas = [
        f'{model.title}, AUC {auc(model, "cell")} of cells and {auc(model, "spike")} of spikes'
        for model in models
        if name in model.splits
    ]
    return f'ROC curves: {"; ".join(areas)}'


def _udi_seen(cells: Sequence[CellResult]) -> str:
    classes = []
    for label, name in enumerate(domain.LABEL_NAMES):
        udi_ms = [cell.udi_ms for cell in cells if cell.label == label and math.isfinite(cell.udi_ms)]
        if udi_ms:
            classes.append(f'{statistics.median(udi_ms):.2f} ms of {counted(len(udi_ms), f"{name} cell")}')
    return f'Histogram of the spike width of SER and NSER cells, by call; median {" and ".join(classes) or "unknown"}'
