"""The figures of an evaluation's report with their captions, and which of them a split gets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from beam_pipelines.cli.words import counted
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.results import CellResult, ModelResult, SplitResult
from trainer.reports import figures, waveform_figures


@dataclasses.dataclass(frozen=True)
class Illustration:
    """A figure with the name of its PNG file, a description for screen readers, and its caption."""

    file_name: str
    drawing: Figure
    description: str
    caption: str
    half_width: bool = False

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
        'Confusion matrices: labels against calls, of cells and of spikes',
        'Labels (rows) against calls (columns), with the share of the row. Every cell counts, undecided ones by the '
        'side on which their probability falls.',
        half_width=sum(name in model.splits for model in models) == 1,
    )


def illustrations(split: SplitResult, models: Sequence[ModelResult]) -> list[Illustration]:
    """Returns all figures of the headline split; ``split`` is the first model's."""
    return [
        Illustration(
            'cell_probabilities.png',
            figures.cell_probabilities(split.cells),
            'Probability of being serotonergic with its interval, for each cell in ascending order',
            'Each cell’s probability of being serotonergic with its 95 % interval. The colour is the label.',
        ),
        Illustration(
            'mean_waveforms.png',
            waveform_figures.mean_waveforms(split.cells),
            'Mean spikes of the cells called right, wrong and undecided, for each class',
            'Mean spikes, one thin line a cell. Behind the cells that were not called right stand the means of both '
            'classes’ right ones: which do they resemble?',
        ),
        Illustration(
            'roc.png',
            figures.roc_curves(split.name, models),
            'ROC curves of cells and of spikes',
            'ROC: how many SER are found for how many NSER mistaken, as the threshold moves.',
            half_width=True,
        ),
        Illustration(
            'udi_histogram.png',
            waveform_figures.udi_histogram(split.cells),
            'Histogram of the spike width of SER and NSER cells, by call',
            _udi_caption(split.cells),
            half_width=True,
        ),
        Illustration(
            'reliability.png',
            figures.reliability_diagram(split.cells, split.metrics.get('cell', {})),
            'Reliability diagram: stated probability against the share of cells that are SER',
            'Do probabilities come true? On the diagonal they do. Cells are put together in ten steps of probability; '
            'a larger dot is of more cells. ECE is the mean distance from the diagonal.',
            half_width=True,
        ),
        _coverage_accuracy(split, models[0].calibration),
        confusion(split.name, models),
    ]


def _coverage_accuracy(split: SplitResult, calibration: Calibration) -> Illustration:
    chosen = calibration.has_chosen_confidence
    confidence = 'The dashed line is the confidence chosen on validation cells; the' if chosen else 'The'
    return Illustration(
        'coverage_accuracy.png',
        figures.coverage_accuracy(
            split.cells, split.metrics.get('cell', {}), calibration.confidence if chosen else None
        ),
        'Accuracy of the verdicts against the share of cells that get one',
        f'Fewer verdicts, fewer mistakes: the accuracy of the surest cells. {confidence} diamond is of the verdicts '
        'that were given, which also need a clear interval.',
        half_width=True,
    )


def _udi_caption(cells: Sequence[CellResult]) -> str:
    n_unmeasured = sum(cell.label is not None and not math.isfinite(cell.udi_ms) for cell in cells)
    caption = (
        'Spike width. The thin outline is that of the published neurons (Figure 2 of arXiv 2405.05516), scaled to as '
        'many cells.'
    )
    if n_unmeasured:
        caption += f' Left out: {counted(n_unmeasured, "cell")} whose width cannot be measured.'
    return caption
