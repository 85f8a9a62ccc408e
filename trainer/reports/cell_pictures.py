"""The pictures of one cell in the report of ``sero-classify``: SVG elements with a caption of one sentence each."""

from __future__ import annotations

import dataclasses
import math

import markupsafe
import numpy as np

from beam_pipelines import domain
from beam_pipelines.spikes import published_udi
from trainer.evaluation.results import ClassifiedCell, ClassifiedSpikes, TraceEnvelope
from trainer.evaluation.training_range import TrainingRange
from trainer.reports import svg_plot
from trainer.reports.svg_plot import Panel

_WIDE_PX, _NARROW_PX = 1072, 344
_LEFT_PX, _RIGHT_PX = 58, 16
# Where the time axis of ``activity`` begins and ends, as shares of the picture's width.
ACTIVITY_EDGES = (_LEFT_PX / _WIDE_PX, 1 - _RIGHT_PX / _WIDE_PX)
_TRACE_COLUMNS = 800
_MOST_SPIKES_OVERLAID = 20
_LEVEL_SAMPLES = 20
_TIME_MS = (np.arange(domain.SPIKE_SAMPLES) - domain.SAMPLES_BEFORE_TRIGGER) / domain.SAMPLING_RATE_HZ * 1e3
_SAMPLE_MS = 1e3 / domain.SAMPLING_RATE_HZ
# A spike's window ends 3 ms after its trigger, so no UDI is longer.
_LONGEST_UDI_MS = 3.0
_BIN_MS = 2 * published_udi.BIN_MS
_NAMES_AND_LOOKS = tuple((name, name.lower()) for name in domain.LABEL_NAMES)

_SHAPE_PANEL = Panel(_LEFT_PX, 10, _NARROW_PX - _LEFT_PX - _RIGHT_PX, 140, (_TIME_MS[0], _TIME_MS[-1]), (-108, 62))


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of a cell: an ``svg`` element and what it shows, in one sentence."""

    svg: markupsafe.Markup
    caption: str


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
            _NARROW_PX - _LEFT_PX - _RIGHT_PX,
            108,
            (0, _LONGEST_UDI_MS),
            (-1.12 * most[1], 1.12 * most[0]),
        )
        self.shared = svg_plot.shared('training-shapes', *_class_shapes(shapes)) + svg_plot.shared(
            'training-udi', *self._udi_bars(edges_ms, counts)
        )

    def activity(self, cell: ClassifiedCell, stretch_s: tuple[float, float] | None = None) -> Picture:
        """Draws the recording with its triggers, and below it the probability of each spike.

        Parameters
        ----------
        cell : the cell; its trace may be of the stretch alone.
        stretch_s : start and end of what is drawn; None: all of the recording.
        """
        first_s, last_s = stretch_s or (0.0, end_s(cell))
        shown = (cell.spikes.time_s >= first_s) & (cell.spikes.time_s <= last_s)
        time_of_spikes_s, p_ser = cell.spikes.time_s[shown], cell.spikes.p_ser[shown]
        width_px = _WIDE_PX - _LEFT_PX - _RIGHT_PX
        parts, top_px, caption, cut = [], 12, '', ''
        if cell.trace is not None:
            trace = Panel(_LEFT_PX, 6, width_px, 104, (first_s, last_s), _trace_range(cell.trace, cell.spikes))
            left_out_s = cell.trace.left_out_s
            parts += [
                _drawn_trace(trace, cell.trace),
                trace.level_rule(cell.trace.trigger_pa, 'threshold'),
                trace.ticks_at(time_of_spikes_s, 114, 8, 'trigger'),
                trace.ticks_at(left_out_s[(left_out_s >= first_s) & (left_out_s <= last_s)], 124, 6, 'left-out'),
                trace.y_axis('current (pA)', 4),
            ]
            beyond = (cell.trace.low_pa < trace.y_range[0]) | (cell.trace.high_pa > trace.y_range[1])
            cut = ' (artefacts reach beyond the picture)' if beyond.any() else ''
            top_px = 136
            left_out = ', a grey one for each event that was left out,' if len(cell.trace.left_out_s) else ''
            caption = (
                f'Above, the recording{cut} with a stroke for each spike{left_out} and the trigger level of '
                f'{svg_plot.MINUS}{-cell.trace.trigger_pa:.0f} pA dashed; below, '
            )
        panel = Panel(_LEFT_PX, top_px, width_px, 84, (first_s, last_s), (-0.04, 1.04))
        ser = p_ser >= 0.5
        parts += [
            panel.level_rule(0.5, 'half'),
            panel.level_rule(cell.result.p_ser_published, 'consensus'),
            panel.dots(time_of_spikes_s[ser], p_ser[ser], 'dot ser'),
            panel.dots(time_of_spikes_s[~ser], p_ser[~ser], 'dot nser'),
            panel.x_axis('time in the recording (s)', 10),
            panel.y_axis('p(SER)', 2),
        ]
        caption += 'the consensus for each single spike, not calibrated, and for all of them (line).'
        svg = svg_plot.plot(
            _WIDE_PX, top_px + 84 + 44, 'Current over time with the spikes marked, and the probability of each', *parts
        )
        return Picture(svg, caption[0].upper() + caption[1:])

    def overlay(self, cell: ClassifiedCell) -> Picture:
        """Draws single spikes over each other, and their mean."""
        count = len(cell.spikes.trigger)
        chosen = np.unique(np.linspace(0, count - 1, min(count, _MOST_SPIKES_OVERLAID)).round().astype(int))
        shown = cell.spikes.waveform[chosen]
        mean = cell.result.mean_waveform
        panel = Panel(
            _LEFT_PX,
            10,
            _NARROW_PX - _LEFT_PX - _RIGHT_PX,
            216,
            (_TIME_MS[0], _TIME_MS[-1]),
            _padded(min(shown.min(), mean.min()), max(shown.max(), mean.max())),
        )
        svg = svg_plot.plot(
            _NARROW_PX,
            272,
            'Single spikes over each other, and their mean',
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
            _NARROW_PX,
            272,
            'The mean spike beside those of the training cells, and which samples speak for SER or NSER',
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
            anchor = 'start' if at_px < _NARROW_PX / 2 else 'end'
            mark = [
                self._udi_panel.upright_rule(udi_ms, 'here'),
                svg_plot.text(at_px, 17, f'this cell: {udi_ms:.2f} ms', anchor, 'strong'),
            ]
        svg = svg_plot.plot(
            _NARROW_PX, 178, 'Histogram of the spike width of the training cells', svg_plot.use('training-udi'), *mark
        )
        caption = (
            f'Spike width (UDI, from trough to peak) of the {self._cells[0]} SER (upward) and {self._cells[1]} NSER '
            '(downward) training cells'
        )
        return Picture(
            svg, f'{caption}, and this cell’s.' if measured else f'{caption}; this cell’s cannot be measured.'
        )

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
            svg_plot.text(_NARROW_PX - _RIGHT_PX, panel.top + 14, 'SER', 'end', 'ser'),
            svg_plot.text(_NARROW_PX - _RIGHT_PX, panel.top + panel.height - 6, 'NSER', 'end', 'nser'),
        ]


def end_s(cell: ClassifiedCell) -> float:
    """Returns when a recording ended, in s from its start; where that is unknown, just after its last spike."""
    if cell.intervals_s:
        return cell.intervals_s[-1][1]
    return cell.duration_s or 1.02 * max(float(cell.spikes.time_s[-1]), 1e-3)


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


def _in_percent(waveform: np.ndarray) -> np.ndarray:
    """Returns mean spikes from their level before the spike, in percent of their trough's depth below it."""
    waveform = np.asarray(waveform, np.float64)
    waveform = waveform - np.median(waveform[..., :_LEVEL_SAMPLES], axis=-1, keepdims=True)
    depth = -waveform.min(axis=-1, keepdims=True)
    return 100 * waveform / np.where(depth > 0, depth, 1)


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = 0.05 * max(high - low, 1e-3)
    return float(low - margin), float(high + margin)


def _trace_range(trace: TraceEnvelope, spikes: ClassifiedSpikes) -> tuple[float, float]:
    """Returns the range of nearly all of a recording's current, so that an artefact does not flatten the rest."""
    low = min(float(np.percentile(trace.low_pa, 1)), float(spikes.waveform.min()), trace.trigger_pa)
    high = max(float(np.percentile(trace.high_pa, 99)), float(spikes.waveform.max()))
    return _padded(low, high)


def _drawn_trace(panel: Panel, trace: TraceEnvelope) -> str:
    """Draws the current: as a line where each stretch is one sample, and otherwise as the range of each stretch."""
    if np.array_equal(trace.low_pa, trace.high_pa):
        return panel.line(trace.time_s, trace.low_pa, 'trace-line')
    time_s, low_pa, high_pa = _thinned(trace)
    return panel.uprights(time_s, low_pa, high_pa, max(1.0, panel.width / len(time_s)), 'trace')


def _thinned(trace: TraceEnvelope) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns time_s, low_pa, high_pa of as many stretches as a screen can show."""
    first = np.unique(np.linspace(0, len(trace.time_s), _TRACE_COLUMNS, endpoint=False).astype(int))
    counts = np.diff(np.append(first, len(trace.time_s)))
    time_s = np.add.reduceat(trace.time_s, first) / counts
    return time_s, np.minimum.reduceat(trace.low_pa, first), np.maximum.reduceat(trace.high_pa, first)
