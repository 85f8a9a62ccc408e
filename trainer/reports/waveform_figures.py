"""The figures of a report that show spikes: mean spikes, single spikes, and the histogram of their width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from beam_pipelines import domain
from beam_pipelines.spikes import published_udi
from trainer.evaluation.results import CellResult
from trainer.reports.colours import CLASS_COLOURS, INK, UNDECIDED_COLOUR, WRONG_COLOUR
from trainer.reports.figures import SMALL_PT, WIDTH_IN, short_name, style_of_figures

_EXAMPLE_SPIKES = 8
_MOST_WRONG_NAMED = 5
_BIN_MS = 2 * published_udi.BIN_MS
_LEAST_UDI_AXIS_MS = 2.5


@style_of_figures()
def mean_waveforms(cells: Sequence[CellResult]) -> Figure:
    """Draws each labelled cell's mean spike: of each class, cells called right beside the wrong and undecided ones."""
    figure = Figure(figsize=(WIDTH_IN, 4.6), layout='constrained')
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    right = [[c for c in cells if c.label == label and c.outcome == 'right'] for label in (0, 1)]
    for label, name in enumerate(domain.LABEL_NAMES):
        called_right, others = panels[label]
        n_lines = max(len(right[label]), 1)
        # Three cells must be as visible as 200, so many lines are drawn pale.
        _draw_waveforms(called_right, right[label], CLASS_COLOURS[label], alpha=max(0.25, min(0.8, 8 / n_lines)))
        called_right.set_title(f'{name} called right: {len(right[label])}')

        for other_label, colour in enumerate(CLASS_COLOURS):
            if right[other_label]:
                mean = np.mean([cell.mean_waveform for cell in right[other_label]], axis=0)
                others.plot(_time_ms(mean.size), mean, color=colour, linewidth=3.5, alpha=0.3)
        by_outcome = {
            word: [c for c in cells if c.label == label and c.outcome == word] for word in ('undecided', 'wrong')
        }
        _draw_waveforms(others, by_outcome['undecided'], UNDECIDED_COLOUR, alpha=0.9, linestyle='dashed')
        _draw_waveforms(others, by_outcome['wrong'], WRONG_COLOUR, alpha=0.9)
        others.set_title(f'{name}: {len(by_outcome["wrong"])} wrong, {len(by_outcome["undecided"])} undecided')
        wrong = [short_name(cell.cell) for cell in by_outcome['wrong']]
        listed = wrong[:_MOST_WRONG_NAMED] + ['...'] * (len(wrong) > _MOST_WRONG_NAMED)
        others.text(
            0.98, 0.04, '\n'.join(listed), transform=others.transAxes, ha='right', fontsize=SMALL_PT, color=WRONG_COLOUR
        )
    for axes in panels.flat:
        axes.axvline(0, color='#d5d9de', linewidth=0.8, zorder=0)
        axes.margins(x=0)
    for axes in panels[1]:
        axes.set_xlabel('time from trigger (ms)')
    for axes in panels[:, 0]:
        axes.set_ylabel('current (pA)')
    figure.legend(handles=_waveform_legend(), loc='outside lower center', ncols=2)
    return figure


@style_of_figures()
def example_spikes(waveform: np.ndarray, label: np.ndarray) -> Figure:
    """Draws the first few of n spikes of each class: waveform (n, 160) in pA, label (n,) 0 SER or 1 NSER."""
    figure = Figure(figsize=(WIDTH_IN, 2.4), layout='constrained')
    for number, axes in enumerate(figure.subplots(1, len(domain.LABEL_NAMES), sharey=True)):
        shown = waveform[label == number][:_EXAMPLE_SPIKES]
        axes.plot(_time_ms(waveform.shape[1]), shown.T, color=CLASS_COLOURS[number], linewidth=0.8, alpha=0.6)
        axes.set(title=domain.LABEL_NAMES[number], xlabel='time from trigger (ms)')
    figure.axes[0].set_ylabel('current (pA)')
    return figure


@style_of_figures()
def udi_histogram(cells: Sequence[CellResult]) -> Figure:
    """Draws a histogram of UDI by class, stacked by outcome, with the outline of the published neurons."""
    figure = Figure(figsize=(WIDTH_IN, 3.7), layout='constrained')
    measured = [cell for cell in cells if cell.label is not None and math.isfinite(cell.udi_ms)]
    last_ms = max([_LEAST_UDI_AXIS_MS, *(cell.udi_ms for cell in measured)]) + _BIN_MS
    edges_ms = np.arange(0, last_ms + _BIN_MS, _BIN_MS)
    panels = figure.subplots(2, 1, sharex=True)
    for label, axes in enumerate(panels):
        _draw_udi_of_class(axes, label, [cell for cell in measured if cell.label == label], edges_ms)
    panels[1].set_xlabel('UDI, upstroke-downstroke interval (ms)')
    figure.legend(
        handles=[
            Patch(color=CLASS_COLOURS[0], label='SER'),
            Patch(color=CLASS_COLOURS[1], label='NSER'),
            Patch(color=UNDECIDED_COLOUR, label='undecided'),
            Patch(facecolor='white', edgecolor=WRONG_COLOUR, hatch='/////', label='wrong'),
            Line2D([], [], color=INK, linewidth=0.8, label='published'),
        ],
        loc='outside lower center',
        ncols=3,
        handlelength=1.4,
    )
    return figure


def _time_ms(n_samples: int) -> np.ndarray:
    return (np.arange(n_samples) - domain.SAMPLES_BEFORE_TRIGGER) / domain.SAMPLING_RATE_HZ * 1e3


def _draw_waveforms(
    axes: Axes, cells: Sequence[CellResult], colour: str, alpha: float, linestyle: str = 'solid'
) -> None:
    lines = [np.column_stack([_time_ms(len(cell.mean_waveform)), cell.mean_waveform]) for cell in cells]
    axes.add_collection(LineCollection(lines, colors=colour, alpha=alpha, linewidths=0.9, linestyles=linestyle))
    axes.autoscale_view()


def _draw_udi_of_class(axes: Axes, label: int, cells: Sequence[CellResult], edges_ms: np.ndarray) -> None:
    looks: dict[str, dict[str, Any]] = {
        'right': {'color': CLASS_COLOURS[label]},
        'undecided': {'color': UNDECIDED_COLOUR},
        'wrong': {'facecolor': 'white', 'edgecolor': WRONG_COLOUR, 'hatch': '/////', 'linewidth': 0.8},
    }
    below = np.zeros(edges_ms.size - 1)
    for word, look in looks.items():
        counts, _ = np.histogram([cell.udi_ms for cell in cells if cell.outcome == word], bins=edges_ms)
        filled = counts > 0
        left = edges_ms[:-1][filled] + 0.1 * _BIN_MS
        axes.bar(left, counts[filled], width=0.8 * _BIN_MS, bottom=below[filled], align='edge', **look)
        below += counts
    name = domain.LABEL_NAMES[label]
    published_ms = published_udi.sample_ms(published_udi.FIGURE_2_COUNTS[name])
    published, _ = np.histogram(published_ms, bins=edges_ms)
    axes.stairs(published * len(cells) / published_ms.size, edges_ms, color=INK, linewidth=0.8)
    axes.set(ylabel=f'{name} cells', xlim=(0, edges_ms[-1]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10], integer=True))


def _waveform_legend() -> list[Line2D]:
    return [
        *(
            Line2D([], [], color=colour, linewidth=3.5, alpha=0.4, label=f'mean of {name} called right')
            for name, colour in zip(domain.LABEL_NAMES, CLASS_COLOURS, strict=True)
        ),
        Line2D([], [], color=WRONG_COLOUR, label='a cell called wrong'),
        Line2D([], [], color=UNDECIDED_COLOUR, linestyle='dashed', label='an undecided cell'),
    ]
