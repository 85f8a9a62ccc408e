"""The pictures of one cell in the report of ``sero-classify``: SVG elements with a caption of one sentence each."""

from __future__ import annotations

import math

import numpy as np

from beam_pipelines import domain
from beam_pipelines.cli.words import counted
from beam_pipelines.spikes import published_udi
from trainer.evaluation.results import ClassifiedCell
from trainer.evaluation.training_range import TrainingRange
from trainer.reports import svg_plot
from trainer.reports.svg_plot import Panel, Picture

_WIDTH_PX = 344
_LEFT_PX, _RIGHT_PX = 58, 16
_MOST_SPIKES_OVERLAID = 20
_LEVEL_SAMPLES = 20
_TIME_MS = (np.arange(domain.SPIKE_SAMPLES) - domain.SAMPLES_BEFORE_TRIGGER) / domain.SAMPLING_RATE_HZ * 1e3
_SAMPLE_MS = 1e3 / domain.SAMPLING_RATE_HZ
# A spike's window ends 3 ms after its trigger, so no UDI is longer.
_LONGEST_UDI_MS = 3.0
_BIN_MS = 2 * published_udi.BIN_MS
_NAMES_AND_LOOKS = tuple((name, name.lower()) for name in domain.LABEL_NAMES)

_SHAPE_PANEL = Panel(_LEFT_PX, 10, _WIDTH_PX - _LEFT_PX - _RIGHT_PX, 140, (_TIME_MS[0], _TIME_MS[-1]), (-108, 62))


class CellPictures:
    """Draws cells beside those that the model was trained on.

    Parameters
    ----------
    training_range : of the model.

    Attributes
    ----------
    shared : the parts that the pictures of all cells share, written to the page once, in an ``svg`` of their own.
    """

    def __init__(self, training_range: TrainingRange):
        of_class = [training_range.label == label for label in range(len(domain.LABEL_NAMES))]
        shapes = [_in_percent(training_range.mean_waveform[chosen]) for chosen in of_class]
        udi_ms = [training_range.udi_ms[chosen] for chosen in of_class]
        self._cells = [int(chosen.sum()) for chosen in of_class]
        edges_ms = np.arange(0, _LONGEST_UDI_MS + _BIN_MS / 2, _BIN_MS)
        counts = [np.histogram(values[np.isfinite(values)], edges_ms)[0] for values in udi_ms]
        most = [max(int(count.max()), 1) for count in counts]
        self._udi_panel = Panel(
            _LEFT_PX,
            24,
            _WIDTH_PX - _LEFT_PX - _RIGHT_PX,
            108,
            (0, _LONGEST_UDI_MS),
            (-1.12 * most[1], 1.12 * most[0]),
        )
        self.shared = svg_plot.shared('training-shapes', *_class_shapes(shapes)) + svg_plot.shared(
            'training-udi', *self._udi_bars(edges_ms, counts)
        )

    def overlay(self, cell: ClassifiedCell) -> Picture:
        """Draws single spikes over each other, and their mean."""
        count = len(cell.spikes.trigger)
        chosen = np.unique(np.linspace(0, count - 1, min(count, _MOST_SPIKES_OVERLAID)).round().astype(int))
        shown = cell.spikes.waveform[chosen]
        mean = cell.result.mean_waveform
        panel = Panel(
            _LEFT_PX,
            10,
            _WIDTH_PX - _LEFT_PX - _RIGHT_PX,
            216,
            (_TIME_MS[0], _TIME_MS[-1]),
            svg_plot.padded(min(shown.min(), mean.min()), max(shown.max(), mean.max())),
        )
        svg = svg_plot.plot(
            _WIDTH_PX,
            272,
            f'{len(chosen)} of {counted(count, "spike")} over each other, and their mean, whose trough is at '
            f'{_signed(mean.min(), 0)} pA',
            panel.upright_rule(0, 'half'),
            panel.lines(_TIME_MS, shown, 'spike'),
            panel.line(_TIME_MS, mean, 'mean'),
            panel.x_axis('time from trigger (ms)'),
            panel.y_axis('current (pA)'),
        )
        which = (
            'Every spike' if len(chosen) == count else f'{len(chosen)} of {count:,} spikes spread over the recording'
        )
        return Picture(
            svg, f'{which} (thin) and the mean of all {count:,} (thick).' if count > 1 else 'The only spike.'
        )

    def shape(self, cell: ClassifiedCell) -> Picture:
        """Draws the mean spike beside those of the training cells, and below it the evidence for each class."""
        saliency = cell.saliency
        reach = 1.15 * max(float(np.abs(saliency).max()), 1e-3)
        evidence = Panel(_LEFT_PX, 162, _SHAPE_PANEL.width, 64, _SHAPE_PANEL.x_range, (-reach, reach))
        left_ms = _TIME_MS - _SAMPLE_MS / 2
        svg = svg_plot.plot(
            _WIDTH_PX,
            272,
            'The mean spike beside those of the training cells, and which samples speak for SER or NSER'
            f'{_strongest_evidence(saliency)}',
            svg_plot.use('training-shapes'),
            _SHAPE_PANEL.line(_TIME_MS, _in_percent(cell.result.mean_waveform), 'mean'),
            evidence.bars(left_ms, _SAMPLE_MS, np.maximum(saliency, 0), 'bar-ser'),
            evidence.bars(left_ms, _SAMPLE_MS, np.minimum(saliency, 0), 'bar-nser'),
            evidence.level_rule(0, 'half'),
            evidence.y_axis('log-odds'),
            evidence.x_axis('time from trigger (ms)'),
            svg_plot.text(_LEFT_PX + 6, 173, '↑ SER', 'start', 'ser'),
            svg_plot.text(_LEFT_PX + 6, 222, '↓ NSER', 'start', 'nser'),
        )
        return Picture(
            svg,
            'Above, this cell’s mean spike (thick) over those of the training cells, all drawn equally deep (blue: '
            'SER, dashed ochre: NSER; shaded: the middle 80 % of the cells); below, how much each sample moves the '
            'verdict towards SER or NSER, in log-odds, compared with a spike midway between the classes.',
        )

    def udi(self, cell: ClassifiedCell) -> Picture:
        """Draws the cell's place among the spike widths of the training cells."""
        udi_ms = cell.result.udi_ms
        measured = math.isfinite(udi_ms)
        mark = []
        if measured:
            at_px = self._udi_panel.x_px(udi_ms)
            anchor = 'start' if at_px < _WIDTH_PX / 2 else 'end'
            mark = [
                self._udi_panel.upright_rule(udi_ms, 'here'),
                svg_plot.text(at_px, 17, f'this cell: {udi_ms:.2f} ms', anchor, 'strong'),
            ]
        cells = [f'{count} {name}' for count, name in zip(self._cells, domain.LABEL_NAMES, strict=True)]
        description = f'Histogram of the spike width of {cells[0]} and {cells[1]} training cells; this cell: ' + (
            f'{udi_ms:.2f} ms' if measured else 'not measured'
        )
        svg = svg_plot.plot(_WIDTH_PX, 178, description, svg_plot.use('training-udi'), *mark)
        training_cells = f'the {cells[0]} (upward) and {cells[1]} (downward) training cells'
        this_cell = ', and this cell’s.' if measured else '; this cell’s cannot be measured.'
        return Picture(svg, f'Spike width (UDI, from trough to peak) of {training_cells}{this_cell}')

    def _udi_bars(self, edges_ms: np.ndarray, counts: list[np.ndarray]) -> list[str]:
        panel, gap_ms = self._udi_panel, 0.1 * _BIN_MS
        most = max(int(count.max()) for count in counts)
        ticks = [tick for tick in svg_plot.tick_values(0, max(most, 1), 3) if tick and tick == int(tick)]
        numbers = [
            svg_plot.text(_LEFT_PX - 7, panel.y_px(sign * tick) + 4, f'{tick:.0f}', 'end')
            for sign, top in ((1, panel.y_range[1]), (-1, -panel.y_range[0]))
            for tick in ticks
            if tick <= top
        ]
        return [
            panel.bars(edges_ms[:-1] + gap_ms, _BIN_MS - 2 * gap_ms, counts[0], 'bar-ser'),
            panel.bars(edges_ms[:-1] + gap_ms, _BIN_MS - 2 * gap_ms, -counts[1], 'bar-nser'),
            panel.level_rule(0, 'axis'),
            *numbers,
            svg_plot.text(_LEFT_PX - 7, panel.y_px(0) + 4, '0', 'end'),
            panel.x_axis('UDI (ms)'),
            svg_plot.upright_text(13, panel.top + panel.height / 2, 'training cells'),
            svg_plot.text(_WIDTH_PX - _RIGHT_PX, panel.top + 14, 'SER', 'end', 'ser'),
            svg_plot.text(_WIDTH_PX - _RIGHT_PX, panel.top + panel.height - 6, 'NSER', 'end', 'nser'),
        ]


def _class_shapes(shapes: list[np.ndarray]) -> list[str]:
    parts = [_SHAPE_PANEL.upright_rule(0, 'half')]
    for (_, look), shape in zip(_NAMES_AND_LOOKS, shapes, strict=True):
        if len(shape):
            low, high = np.percentile(shape, (10, 90), axis=0)
            parts.append(_SHAPE_PANEL.area(_TIME_MS, low, high, f'band-{look}'))
    for (_, look), shape in zip(_NAMES_AND_LOOKS, shapes, strict=True):
        if len(shape):
            parts.append(_SHAPE_PANEL.line(_TIME_MS, shape.mean(axis=0), f'line-{look}'))
    return [*parts, _SHAPE_PANEL.y_axis('% of depth'), _SHAPE_PANEL.x_axis(None)]


def _strongest_evidence(saliency: np.ndarray) -> str:
    """Says when the samples lie that speak most for each class, in ms from the trigger; no words if none speaks."""
    return ''.join(
        f'; most for {name} at {_signed(_TIME_MS[int(of_class.argmax())], 2)} ms'
        for name, of_class in zip(domain.LABEL_NAMES, (saliency, -saliency), strict=True)
        if of_class.max() > 0
    )


def _signed(value: float, digits: int) -> str:
    return f'{value:.{digits}f}'.replace('-', svg_plot.MINUS)


def _in_percent(waveform: np.ndarray) -> np.ndarray:
    """Returns mean spikes from their level before the spike, in percent of their trough's depth below it."""
    waveform = np.asarray(waveform, np.float64)
    waveform = waveform - np.median(waveform[..., :_LEVEL_SAMPLES], axis=-1, keepdims=True)
    depth = -waveform.min(axis=-1, keepdims=True)
    return 100 * waveform / np.where(depth > 0, depth, 1)
