"""Plots over time that are as wide as the page: only their time axis is stretched, heights and texts keep their size.

A strip is an ``svg`` element that is as wide as its panels, in whose margins (``MARGIN_PX`` on both sides, in the style
sheet) axes and labels stand. Its curves are drawn ``_WIDTH_PX`` wide and stretched by the browser.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence

import markupsafe

from trainer.reports.svg_plot import UNITS, Panel, tick_labels, tick_values

MARGIN_PX = 58
_WIDTH_PX = 1000
_GAP_PX = 5


def panel(top_px: float, height_px: float, x_range: tuple[float, float], y_range: tuple[float, float]) -> Panel:
    """Returns a panel that is as wide as a strip."""
    return Panel(0, top_px, _WIDTH_PX, height_px, x_range, y_range)


def strip(height_px: int, description: str, curves: Sequence[str], labels: Sequence[str]) -> markupsafe.Markup:
    """Returns a strip.

    Parameters
    ----------
    height_px : of all of it.
    description : its text for screen readers.
    curves : what its panels have drawn, and is stretched.
    labels : what the functions below return.
    """
    view_box = f'viewBox="0 0 {UNITS * _WIDTH_PX} {UNITS * height_px}" preserveAspectRatio="none"'
    return markupsafe.Markup(
        f'<svg class="strip" height="{height_px}" role="img" aria-label="{html.escape(description)}">'
        f'<svg width="100%" height="100%" {view_box}>{"".join(curves)}</svg>{"".join(labels)}</svg>'
    )


def y_axis(of: Panel, name: str, most_ticks: int) -> str:
    """Draws the y axis of a panel in the left margin."""
    drawn = dataclasses.replace(of, left=MARGIN_PX).y_axis(name, most_ticks)
    return f'<g transform="translate({-MARGIN_PX}) scale({1 / UNITS})">{drawn}</g>'


def x_numbers(of: Panel, name: str, most_ticks: int) -> str:
    """Writes the numbers and the name of a panel's x axis, whose line the panel itself draws."""
    first, last = of.x_range
    ticks, bottom_px = tick_values(first, last, most_ticks), of.top + of.height
    numbers = ''.join(
        _text(f'{100 * (value - first) / (last - first):.2f}%', bottom_px + 18, label)
        for value, label in zip(ticks, tick_labels(ticks), strict=True)
    )
    return f'<g class="numbers">{numbers}</g>{_text("50%", bottom_px + 36, name, "name")}'


def level_label(of: Panel, y: float, content: str) -> str:
    """Writes a few letters beside a level of a panel, in the right margin."""
    return f'<text class="level" x="100%" dx="{_GAP_PX}" y="{of.y_px(y) + 4:.0f}">{html.escape(content)}</text>'


def _text(x: str, y_px: float, content: str, look: str = '') -> str:
    look = f' class="{look}"' if look else ''
    return f'<text{look} x="{x}" y="{y_px:.0f}" text-anchor="middle">{html.escape(content)}</text>'
