"""Small plots as inline SVG of a few kilobytes: axes, lines, areas, bars, marks.

A page with three hundred cells holds over a thousand of them, so coordinates are whole numbers: the unit is a fifth of
a pixel. Colours, line widths and font sizes come from the page's style sheet, by class.
"""

from __future__ import annotations

import dataclasses
import html
import math

import markupsafe
import numpy as np

MINUS = '\N{MINUS SIGN}'

# Of a plot's coordinates, per pixel.
UNITS = 5
_TICK = 4 * UNITS
_HIDES = UNITS // 2  # marks that are closer together cannot be told apart


@dataclasses.dataclass(frozen=True)
class Picture:
    """A plot: its ``svg`` element, and what it shows, in one sentence."""

    svg: markupsafe.Markup
    caption: str


@dataclasses.dataclass(frozen=True)
class Panel:
    """A rectangle of a plot with its scales.

    Attributes
    ----------
    left, top, width, height : in pixels of the plot.
    x_range, y_range : the values at its left and right edge, and at its bottom and top edge.
    """

    left: float
    top: float
    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, value: np.ndarray | float) -> np.ndarray:
        """Returns where values lie, in the plot's units."""
        first, last = self.x_range
        share = (np.asarray(value, np.float64) - first) / (last - first)
        return np.rint(UNITS * (self.left + self.width * share)).astype(np.int64)

    def y(self, value: np.ndarray | float) -> np.ndarray:
        """Returns where values lie, in the plot's units; values beyond an edge are moved to it."""
        bottom, top = self.y_range
        share = np.clip((np.asarray(value, np.float64) - bottom) / (top - bottom), 0, 1)
        return np.rint(UNITS * (self.top + self.height * (1 - share))).astype(np.int64)

    def x_px(self, value: float) -> float:
        """Returns where a value lies, in pixels."""
        return float(self.x(value)) / UNITS

    def y_px(self, value: float) -> float:
        """Returns where a value lies, in pixels."""
        return float(self.y(value)) / UNITS

    def line(self, x: np.ndarray, y: np.ndarray, look: str) -> str:
        """Draws a curve."""
        return f'<path class="{look}" d="{_curve(self.x(x), self.y(y))}"/>'

    def lines(self, x: np.ndarray, curves: np.ndarray, look: str) -> str:
        """Draws (n, points) curves over the same x."""
        at = self.x(x)
        return f'<path class="{look}" d="{"".join(_curve(at, y) for y in self.y(curves))}"/>'

    def area(self, x: np.ndarray, low: np.ndarray, high: np.ndarray, look: str) -> str:
        """Fills the area between two curves."""
        at = np.concatenate([self.x(x), self.x(x)[::-1]])
        return f'<path class="{look}" d="{_curve(at, np.concatenate([self.y(low), self.y(high)[::-1]]))}z"/>'

    def bars(self, left: np.ndarray, width: float, height: np.ndarray, look: str) -> str:
        """Draws bars from 0 up or down; bars of height 0 are left out."""
        there = height != 0
        zero, wide = int(self.y(0.0)), int(self.x(self.x_range[0] + width) - self.x(self.x_range[0]))
        edges = zip(self.x(left[there]), self.y(height[there]), strict=True)
        return f'<path class="{look}" d="{"".join(f"M{x} {zero}V{y}h{wide}V{zero}" for x, y in edges)}"/>'

    def dots(self, x: np.ndarray, y: np.ndarray, look: str) -> str:
        """Draws round marks; marks that would cover each other are drawn once."""
        places = np.unique(np.column_stack([self.x(x) // _HIDES * _HIDES, self.y(y) // _HIDES * _HIDES]), axis=0)
        return f'<path class="{look}" d="{"".join(f"M{x} {y}h0" for x, y in places)}"/>'

    def uprights(self, x: np.ndarray, low: np.ndarray, high: np.ndarray, width_px: float, look: str) -> str:
        """Draws a vertical stroke from ``low`` to ``high`` at each x."""
        wide = f'stroke-width="{math.ceil(UNITS * width_px)}"'
        return f'<path class="{look}" {wide} d="{_strokes(self.x(x), self.y(high), self.y(low))}"/>'

    def ticks_at(self, x: np.ndarray, top_px: float, height_px: float, look: str) -> str:
        """Draws vertical strokes of the same height at each x."""
        places = np.unique(self.x(x) // _HIDES * _HIDES)
        top, bottom = (np.full(places.shape, round(UNITS * edge)) for edge in (top_px, top_px + height_px))
        return f'<path class="{look}" d="{_strokes(places, top, bottom)}"/>'

    def upright_rule(self, x: float, look: str) -> str:
        """Draws a straight line from the bottom to the top edge."""
        return f'<path class="{look}" d="M{self.x(x)} {UNITS * self.top:.0f}v{UNITS * self.height:.0f}"/>'

    def level_rule(self, y: float, look: str) -> str:
        """Draws a straight line from the left to the right edge."""
        return f'<path class="{look}" d="M{UNITS * self.left:.0f} {self.y(y)}h{UNITS * self.width:.0f}"/>'

    def x_axis(self, name: str | None, most_ticks: int = 8) -> str:
        """Draws the x axis; without a name, only its line and ticks."""
        bottom = UNITS * (self.top + self.height)
        ticks = tick_values(*self.x_range, most_ticks)
        marks = ''.join(f'M{self.x(value)} {bottom:.0f}v{_TICK}' for value in ticks)
        drawn = f'<path class="axis" d="M{UNITS * self.left:.0f} {bottom:.0f}h{UNITS * self.width:.0f}{marks}"/>'
        if name is None:
            return drawn
        numbers = ''.join(
            text(self.x_px(value), bottom / UNITS + 18, label, 'middle')
            for value, label in zip(ticks, tick_labels(ticks), strict=True)
        )
        return drawn + numbers + text(self.left + self.width / 2, bottom / UNITS + 36, name, 'middle', 'name')

    def y_axis(self, name: str, most_ticks: int = 5) -> str:
        """Draws the y axis, with its name written upward beside it."""
        ticks = tick_values(*self.y_range, most_ticks)
        left = UNITS * self.left
        marks = ''.join(f'M{left:.0f} {self.y(value)}h{-_TICK}' for value in ticks)
        drawn = f'<path class="axis" d="M{left:.0f} {UNITS * self.top:.0f}v{UNITS * self.height:.0f}{marks}"/>'
        numbers = ''.join(
            text(self.left - 7, self.y_px(value) + 4, label, 'end')
            for value, label in zip(ticks, tick_labels(ticks), strict=True)
        )
        return drawn + numbers + upright_text(13, self.top + self.height / 2, name)


def plot(width_px: int, height_px: int, description: str, *parts: str) -> markupsafe.Markup:
    """Returns an ``svg`` element; ``description`` is its text for screen readers."""
    return markupsafe.Markup(
        f'<svg viewBox="0 0 {UNITS * width_px} {UNITS * height_px}" role="img"'
        f' aria-label="{html.escape(description)}">{"".join(parts)}</svg>'
    )


def shared(name: str, *parts: str) -> markupsafe.Markup:
    """Returns parts that many plots of a page share: each plot refers to them with ``use``."""
    return markupsafe.Markup(f'<g id="{html.escape(name)}">{"".join(parts)}</g>')


def use(name: str) -> str:
    """Returns a reference to parts that ``shared`` has named."""
    return f'<use href="#{html.escape(name)}"/>'


def text(x_px: float, y_px: float, content: str, anchor: str = 'start', look: str = '') -> str:
    """Writes a line of text."""
    look = f' class="{look}"' if look else ''
    place = f'x="{UNITS * x_px:.0f}" y="{UNITS * y_px:.0f}" text-anchor="{anchor}"'
    return f'<text{look} {place}>{html.escape(content)}</text>'


def upright_text(x_px: float, y_px: float, content: str) -> str:
    """Writes the name of an axis upward, centred at the place."""
    turned = f'transform="translate({UNITS * x_px:.0f} {UNITS * y_px:.0f}) rotate(-90)"'
    return f'<text class="name" text-anchor="middle" {turned}>{html.escape(content)}</text>'


def padded(low: float, high: float) -> tuple[float, float]:
    """Returns a range with room for curves from ``low`` to ``high``."""
    margin = 0.05 * max(high - low, 1e-3)
    return float(low - margin), float(high + margin)


def tick_values(first: float, last: float, most: int) -> np.ndarray:
    """Returns at most ``most`` round numbers, evenly spaced within a range."""
    least_step = (last - first) / most
    power = 10.0 ** math.floor(math.log10(least_step))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least_step)
    return step * np.arange(math.ceil(first / step - 1e-9), math.floor(last / step + 1e-9) + 1)


def tick_labels(ticks: np.ndarray) -> list[str]:
    """Writes round numbers with as many decimals as they need, and with a true minus sign."""
    step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else abs(float(ticks[0])) if len(ticks) and ticks[0] else 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f'{value + 0.0:.{decimals}f}'.replace('-', MINUS) for value in ticks.round(decimals)]


def _curve(x: np.ndarray, y: np.ndarray) -> str:
    """Returns the path through points: the first is absolute, the others relative, which is shorter."""
    steps = ' '.join(f'{dx} {dy}' for dx, dy in zip(np.diff(x).tolist(), np.diff(y).tolist(), strict=True))
    return f'M{x[0]} {y[0]}' + (f'l{steps.replace(" -", "-")}' if steps else 'h0')


def _strokes(x: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> str:
    """Returns the path of vertical strokes, each relative to the end of the last, which is shorter."""
    down = bottom - top
    dx, dy = np.diff(x, prepend=0), top - np.append(0, bottom[:-1])
    moves = ''.join(f'm{a} {b}v{c}' for a, b, c in zip(dx.tolist(), dy.tolist(), down.tolist(), strict=True))
    return moves.replace(' -', '-')
