"""The picture of a recording over time: the current with its spikes, and the probability of each spike."""

from __future__ import annotations

import dataclasses

import numpy as np

from beam_pipelines.cli.words import counted
from trainer.evaluation.results import ClassifiedCell, ClassifiedSpikes, TraceEnvelope
from trainer.reports import svg_plot, svg_strip
from trainer.reports.svg_plot import Panel, Picture

_TRACE_COLUMNS = 800
_TIME_TICKS = 10


def draw_activity(cell: ClassifiedCell, stretch_s: tuple[float, float] | None = None) -> Picture:
    """Draws the recording with its triggers, and below it the probability of each spike.

    Parameters
    ----------
    cell : the cell; its trace may be of the stretch alone.
    stretch_s : start and end of what is drawn; None: all of the recording.
    """
    span_s = first_s, last_s = stretch_s or (0.0, end_s(cell))
    if cell.trace is None:
        parts = [_probabilities(cell, span_s, top_px=12)]
        caption = f'{parts[0].caption}.'
    else:
        parts = [_current(cell, cell.trace, span_s), _probabilities(cell, span_s, top_px=136)]
        caption = f'Above, {parts[0].caption}; below, {parts[1].caption}.'
    svg = svg_strip.strip(
        parts[-1].bottom_px,
        f'From {first_s:.4g} to {last_s:.4g} s: {", and ".join(part.description for part in parts)}',
        [curve for part in parts for curve in part.curves],
        [label for part in parts for label in part.labels],
    )
    return Picture(svg, caption[0].upper() + caption[1:])


@dataclasses.dataclass(frozen=True)
class _Part:
    """A panel with its axes; where it ends, and what it shows, for the caption and for screen readers."""

    curves: list[str]
    labels: list[str]
    bottom_px: int
    caption: str
    description: str


def _current(cell: ClassifiedCell, trace: TraceEnvelope, span_s: tuple[float, float]) -> _Part:
    panel = svg_strip.panel(6, 104, span_s, _trace_range(trace, cell.spikes))
    threshold = f'{svg_plot.MINUS}{-trace.trigger_pa:.0f} pA'
    beyond = (trace.low_pa < panel.y_range[0]) | (trace.high_pa > panel.y_range[1])
    cut = ' (artefacts reach beyond the picture)' if beyond.any() else ''
    left_out = ', a grey one for each event that was left out,' if len(trace.left_out_s) else ''
    return _Part(
        [
            _drawn_trace(panel, trace),
            panel.level_rule(trace.trigger_pa, 'threshold'),
            panel.ticks_at(cell.spikes.time_s[_is_within(span_s, cell.spikes.time_s)], 114, 8, 'trigger'),
            panel.ticks_at(trace.left_out_s[_is_within(span_s, trace.left_out_s)], 124, 6, 'left-out'),
        ],
        [
            svg_strip.y_axis(panel, 'current (pA)', 4),
            svg_strip.level_label(panel, trace.trigger_pa, threshold),
        ],
        130,
        f'the recording{cut} with a stroke for each spike{left_out} and, dashed, the threshold of {threshold} '
        'that a spike must reach',
        f'the current with the threshold of {threshold}',
    )


def _probabilities(cell: ClassifiedCell, span_s: tuple[float, float], top_px: int) -> _Part:
    panel = svg_strip.panel(top_px, 84, span_s, (-0.04, 1.04))
    of_all = cell.result.p_ser_published
    shown = _is_within(span_s, cell.spikes.time_s)
    time_s, p_ser = cell.spikes.time_s[shown], cell.spikes.p_ser[shown]
    ser = p_ser >= 0.5
    return _Part(
        [
            panel.level_rule(0.5, 'half'),
            panel.level_rule(of_all, 'consensus'),
            panel.dots(time_s[ser], p_ser[ser], 'dot ser'),
            panel.dots(time_s[~ser], p_ser[~ser], 'dot nser'),
            panel.x_axis(None, _TIME_TICKS),
        ],
        [
            svg_strip.x_numbers(panel, 'time in the recording (s)', _TIME_TICKS),
            svg_strip.y_axis(panel, 'p(SER)', 2),
            svg_strip.level_label(panel, of_all, f'{of_all:.2f}'),
        ],
        top_px + 128,
        'the consensus for each single spike, not calibrated, and for all of them (line)',
        f'p(SER) of {counted(len(p_ser), "spike")}, of which {ser.sum():,} lean to SER',
    )


def end_s(cell: ClassifiedCell) -> float:
    """Returns when a recording ended, in s from its start; where that is unknown, just after its last spike."""
    if cell.intervals_s:
        return cell.intervals_s[-1][1]
    return cell.duration_s or 1.02 * max(float(cell.spikes.time_s[-1]), 1e-3)


def _is_within(span_s: tuple[float, float], time_s: np.ndarray) -> np.ndarray:
    return (time_s >= span_s[0]) & (time_s <= span_s[1])


def _trace_range(trace: TraceEnvelope, spikes: ClassifiedSpikes) -> tuple[float, float]:
    """Returns the range of nearly all of a recording's current, so that an artefact does not flatten the rest."""
    low = min(float(np.percentile(trace.low_pa, 1)), float(spikes.waveform.min()), trace.trigger_pa)
    high = max(float(np.percentile(trace.high_pa, 99)), float(spikes.waveform.max()))
    return svg_plot.padded(low, high)


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
