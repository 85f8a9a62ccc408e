"""The figures of a report: what a model gets right and wrong, and how confident it is.

Every function takes results and returns a ``matplotlib.figure.Figure`` without global state; `to_png` and `to_svg` turn
it into bytes. A class has the same colour everywhere. Errors are crimson, and crossed or hatched among other marks,
so that they can be told without colour. All are `WIDTH_IN` wide with no letters smaller than `SMALL_PT`: a telephone
shows one in a row, a wider screen two, and both can be read.
"""

from __future__ import annotations

import base64
import contextlib
import io
import math
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import style as matplotlib_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from beam_pipelines import domain
from trainer.evaluation.metrics import calibration_bins
from trainer.evaluation.results import CellResult, ModelResult, SplitResult
from trainer.reports.colours import CLASS_COLOURS, INK, UNDECIDED_COLOUR, WRONG_COLOUR

WIDTH_IN = 4.8
SMALL_PT = 9.0

STYLE: dict[Any, Any] = {
    'font.family': 'sans-serif',
    'font.sans-serif': ['Helvetica Neue', 'Helvetica', 'Arial', 'Liberation Sans', 'DejaVu Sans'],
    'font.size': 9.25,
    'axes.titlesize': 9.5,
    'xtick.labelsize': SMALL_PT,
    'ytick.labelsize': SMALL_PT,
    'axes.titlelocation': 'left',
    'axes.labelcolor': INK,
    'axes.edgecolor': '#7b8490',
    'axes.linewidth': 0.8,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'xtick.color': '#52606d',
    'ytick.color': '#52606d',
    'text.color': INK,
    'legend.frameon': False,
    'legend.fontsize': SMALL_PT,
    'hatch.linewidth': 0.8,
    # A cell may be named `$x$`, which is text and not mathematics.
    'text.parse_math': False,
    # Outlines, because a reader's machine may lack the font.
    'svg.fonttype': 'path',
    # Fixed, so that the same results give the same file.
    'svg.hashsalt': 'sero-spikes',
}
_PNG_DPI = 200
_MOST_CELLS_NAMED = 60
_MOST_LETTERS_IN_A_LEGEND = 50
_LETTERS_ABOVE_A_MATRIX = 30
_NAME_IN, _UNNAMED_IN = 0.155, 3.6
_MOST_LETTERS_OF_A_NAME = 24


def style_of_figures() -> contextlib._GeneratorContextManager:
    """Returns a context, also a decorator, in which figures look as here, whatever the user's matplotlibrc says."""
    return matplotlib_style.context(STYLE, after_reset=True)


@contextlib.contextmanager
def _as_written() -> Iterator[None]:
    """Saves in our style; letters that the font lacks are boxes, without a warning for each."""
    with style_of_figures(), warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Glyph .* missing')
        yield


def to_png(figure: Figure) -> bytes:
    with _as_written():
        buffer = io.BytesIO()
        figure.savefig(buffer, format='png', dpi=_PNG_DPI, metadata={'Software': None})
        return buffer.getvalue()


def to_svg(figure: Figure) -> bytes:
    with _as_written():
        buffer = io.BytesIO()
        nothing = {'Date': None, 'Creator': None, 'Format': None, 'Type': None}
        # The page shows through, light or dark.
        figure.savefig(buffer, format='svg', transparent=True, metadata=nothing)
        return buffer.getvalue()


def svg_data_uri(figure: Figure) -> str:
    """Returns the figure as a data URI for an ``img``, so that its ids cannot clash with those of another figure."""
    return 'data:image/svg+xml;base64,' + base64.b64encode(to_svg(figure)).decode('ascii')


def short_name(cell: str) -> str:
    """Returns the name of a cell as it fits into a figure: of a long one the beginning and the end."""
    kept = (_MOST_LETTERS_OF_A_NAME - 1) // 2
    return cell if len(cell) <= _MOST_LETTERS_OF_A_NAME else f'{cell[:kept]}…{cell[-kept:]}'


@style_of_figures()
def confusion_matrices(split_name: str, models: Sequence[ModelResult]) -> Figure:
    """Draws calls against labels, for cells and for spikes, of each of one or two models that have the split."""
    panels = [(model, unit) for model in models if split_name in model.splits for unit in ('cell', 'spike')]
    rows = len(panels) // 2
    figure = Figure(figsize=(WIDTH_IN, 2.4 * rows), layout='constrained')
    for axes, (model, unit) in zip(figure.subplots(rows, 2).flat, panels, strict=True):
        axes.set_title(textwrap.fill(f'{unit}s, {model.title}', _LETTERS_ABOVE_A_MATRIX))
        _draw_confusion(axes, model.splits[split_name].metrics.get(unit, {}).get('confusion'))
    return figure


@style_of_figures()
def roc_curves(split_name: str, models: Sequence[ModelResult]) -> Figure:
    """Draws the ROC curves of cells and of spikes; SER is the positive class. The first model is drawn boldest."""
    figure = Figure(figsize=(WIDTH_IN, 3.2), layout='constrained')
    drawn: list[tuple[SplitResult, dict[str, Any], str]] = [
        (model.splits[split_name], {'color': colour, 'linestyle': dashes, 'linewidth': 1.6}, model.title)
        for model, colour, dashes in zip(models, (INK, UNDECIDED_COLOUR), ('solid', (0, (4, 2))), strict=False)
        if split_name in model.splits
    ]
    for axes, unit in zip(figure.subplots(1, 2, sharey=True), ('cell', 'spike'), strict=True):
        axes.set_title(f'{unit}s')
        axes.plot([0, 1], [0, 1], color='#d5d9de', linewidth=0.8)
        for split, style, _ in drawn:
            axes.plot(*_roc(*_scores(split, unit)), label=_auc_label(split, unit), **style)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect='equal', xlabel='NSER called SER (share)')
        axes.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.legend(loc='lower right', handlelength=1.6)
    figure.axes[0].set_ylabel('SER called SER (share)')
    handles = [Line2D([], [], label=title, **style) for _, style, title in drawn]
    # Two long titles do not fit beside each other.
    in_one_line = sum(len(title) for _, _, title in drawn) < _MOST_LETTERS_IN_A_LEGEND
    figure.legend(handles=handles, loc='outside lower center', ncols=2 if in_one_line else 1)
    return figure


@style_of_figures()
def cell_probabilities(cells: Sequence[CellResult]) -> Figure:
    """Draws each cell's probability with its interval, ascending upward: coloured by label, marked by outcome."""
    shown = sorted((cell for cell in cells if math.isfinite(cell.p_ser)), key=lambda cell: (cell.p_ser, cell.cell))
    named = len(shown) <= _MOST_CELLS_NAMED
    height_in = 1.2 + (_NAME_IN * max(len(shown), 4) if named else _UNNAMED_IN)
    figure = Figure(figsize=(WIDTH_IN, height_in), layout='constrained')
    axes = figure.subplots()
    axes.axvline(0.5, color='#d5d9de', linewidth=0.8, zorder=0)
    position = np.arange(len(shown))
    colours = [_label_colour(cell) for cell in shown]
    width = 1.6 if named else 0.8
    axes.hlines(position, [c.p_ser_low for c in shown], [c.p_ser_high for c in shown], colors=colours, linewidth=width)
    for word, marker in (('right', 'o'), (None, 'D'), ('undecided', 'o'), ('wrong', 'X')):
        chosen = [i for i, cell in enumerate(shown) if cell.outcome == word]
        edges = [colours[i] for i in chosen]
        axes.scatter(
            [shown[i].p_ser for i in chosen],
            position[chosen],
            marker=marker,
            s=(60 if word == 'wrong' else 24) * (1.0 if named else 0.4),
            facecolors={'undecided': 'white', 'wrong': WRONG_COLOUR}.get(word or '', edges),
            edgecolors=edges,
            linewidths=1.3,
            zorder=4 if word == 'wrong' else 3,
        )
    axes.set(ylim=(-0.8, max(len(shown), 1) - 0.2), xlim=(-0.03, 1.03), xlabel='probability of being serotonergic')
    if named:
        axes.set_yticks(position, [short_name(cell.cell) for cell in shown])
    else:
        axes.set_yticks([])
        axes.set_ylabel(f'{len(shown)} cells, in order of their probability')
    figure.legend(handles=_probability_legend(shown), loc='outside upper left', ncols=3, handletextpad=0.3)
    return figure


@style_of_figures()
def reliability_diagram(cells: Sequence[CellResult], cell_metrics: Mapping) -> Figure:
    """Draws the share of SER among cells of similar probability; calibrated probabilities lie on the diagonal."""
    figure = Figure(figsize=(WIDTH_IN, 3.3), layout='constrained')
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color='#d5d9de', linewidth=0.8, zorder=0)
    labelled = [cell for cell in cells if cell.label is not None]
    is_ser = np.array([cell.label == 0 for cell in labelled], dtype=bool)
    looks: dict[str, dict[str, Any]] = {
        'p_ser_published': {'color': UNDECIDED_COLOUR, 'markerfacecolor': 'white', 'label': 'published consensus'},
        'p_ser': {'color': INK, 'label': 'calibrated'},
    }
    for name, look in looks.items():
        p_ser = np.array([getattr(cell, name) for cell in labelled])
        bins = calibration_bins(p_ser)
        for number in np.unique(bins):
            of_bin = bins == number
            size = 3 + 2 * math.sqrt(of_bin.sum())
            axes.plot(
                p_ser[of_bin].mean(), is_ser[of_bin].mean(), marker='o', linestyle='none', markersize=size, **look
            )
            look = {**look, 'label': None}
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.05, 1.05), xlabel='probability of SER', ylabel='share that is SER')
    ece, low, high = (cell_metrics.get(name) for name in ('ece', 'ece_low', 'ece_high'))
    if ece is not None and math.isfinite(ece) and low is not None:
        axes.set_title(f'ECE {ece:.3f}, 95 % interval {low:.3f} to {high:.3f}')
    if labelled:
        figure.legend(loc='outside lower center', ncols=2)
    return figure


@style_of_figures()
def coverage_accuracy(cells: Sequence[CellResult], cell_metrics: Mapping, confidence: float | None) -> Figure:
    """Draws the accuracy of the verdicts on the surest cells, by their share; and the confidence, if one was chosen."""
    figure = Figure(figsize=(WIDTH_IN, 3.3), layout='constrained')
    axes = figure.subplots()
    curve = cell_metrics.get('coverage_accuracy') or []
    axes.plot(*np.reshape(curve, (-1, 2)).T, color=INK, linewidth=1.2, marker='.', markersize=4)
    sureness = np.array([max(cell.p_ser, 1 - cell.p_ser) for cell in cells if cell.label is not None])
    if confidence is not None and (sureness >= confidence).any():
        axes.axvline((sureness >= confidence).mean(), color=CLASS_COLOURS[0], linewidth=1, linestyle='dashed')
    coverage, accuracy = cell_metrics.get('coverage'), cell_metrics.get('decided_accuracy')
    if coverage and accuracy is not None:
        axes.plot(coverage, accuracy, marker='D', color=CLASS_COLOURS[0], linestyle='none', zorder=3)
    lowest = min([accuracy for _, accuracy in curve], default=0)
    axes.set(xlim=(0, 1.03), ylim=(max(0, lowest - 0.1), 1.02), xlabel='share of the cells that get a verdict')
    axes.set_ylabel('share of these that is right')
    handles = [
        Line2D([], [], color=INK, marker='.', label='the surest cells'),
        Line2D([], [], color=CLASS_COLOURS[0], marker='D', linestyle='none', label='verdicts given'),
    ]
    if confidence is not None:
        chosen = Line2D([], [], color=CLASS_COLOURS[0], linestyle='dashed', label=f'confidence {confidence:.2f}')
        handles.insert(1, chosen)
    axes.legend(handles=handles, loc='lower left')
    return figure


def _probability_legend(cells: Iterable[CellResult]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker='o', markersize=5, label=f'{name}, called right')
        for name, colour in zip(domain.LABEL_NAMES, CLASS_COLOURS, strict=True)
    ]
    hollow: dict[str, Any] = {'color': INK, 'marker': 'o', 'markersize': 5, 'markerfacecolor': 'white'}
    handles.append(Line2D([], [], **hollow, label='undecided'))
    handles.append(Line2D([], [], color=WRONG_COLOUR, marker='X', markersize=7, linestyle='none', label='wrong'))
    if any(cell.label is None for cell in cells):
        handles.append(Line2D([], [], color=UNDECIDED_COLOUR, marker='D', markersize=5, label='label unknown'))
    return handles


def _label_colour(cell: CellResult) -> str:
    return UNDECIDED_COLOUR if cell.label is None else CLASS_COLOURS[cell.label]


def _draw_confusion(axes: Axes, confusion: Sequence[Sequence[int]] | None) -> None:
    """``confusion`` has a row for each label and a column for each call."""
    axes.set(xlim=(0, 2), ylim=(2, 0), aspect='equal')
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks([0.5, 1.5], [f'called {name}' for name in domain.LABEL_NAMES])
    axes.set_yticks([0.5, 1.5], [f'is {name}' for name in domain.LABEL_NAMES])
    counts = np.zeros((2, 2), dtype=np.int64) if confusion is None else np.asarray(confusion)
    for label in range(2):
        for call in range(2):
            in_row = counts[label].sum()
            share = counts[label, call] / in_row if in_row else 0.0
            colour = CLASS_COLOURS[label] if label == call else WRONG_COLOUR
            box: dict[str, Any] = {'facecolor': colour, 'alpha': 0.45 * share, 'edgecolor': 'none'}
            axes.add_patch(Rectangle((call + 0.02, label + 0.02), 0.96, 0.96, **box))
            outline: dict[str, Any] = {'fill': False, 'edgecolor': '#d5d9de', 'linewidth': 0.8}
            axes.add_patch(Rectangle((call + 0.02, label + 0.02), 0.96, 0.96, **outline))
            axes.text(call + 0.5, label + 0.5, f'{counts[label, call]:,}', fontsize=14, ha='center', va='bottom')
            share_text = f'{100 * share:.1f} %' if in_row else '–'
            axes.text(call + 0.5, label + 0.56, share_text, ha='center', va='top')


def _scores(split: SplitResult, unit: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns ``p_ser`` and whether the label is SER, both (n,), of the spikes or of the cells with a label."""
    if unit == 'spike':
        return np.asarray(split.spike_p_ser, dtype=np.float64), np.asarray(split.spike_label) == 0
    labelled = [cell for cell in split.cells if cell.label is not None]
    return np.array([cell.p_ser for cell in labelled]), np.array([cell.label == 0 for cell in labelled], dtype=bool)


def _auc_label(split: SplitResult, unit: str) -> str:
    auc = split.metrics.get(unit, {}).get('auc')
    return 'AUC –' if auc is None or not math.isfinite(auc) else f'AUC {auc:.3f}'


def _roc(p_ser: np.ndarray, is_ser: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the shares of NSER and of SER called SER, from the highest threshold down; empty without a class."""
    if is_ser.all() or not is_ser.any():
        return np.empty(0), np.empty(0)
    from sklearn.metrics import roc_curve

    nser_called, ser_called, _ = roc_curve(is_ser, p_ser, drop_intermediate=False)
    return nser_called, ser_called
