"""What the reports share: the templates, and how numbers and intervals are shown."""

from __future__ import annotations

import math
from typing import TypeGuard

import jinja2
import markupsafe

from trainer.evaluation.results import CellResult
from trainer.reports.colours import CLASS_COLOURS, INK, UNDECIDED_COLOUR, WRONG_COLOUR
from trainer.reports.svg_strip import MARGIN_PX

REPORT_NAME = 'report.html'
UNDEFINED = '–'
COLOURS = {
    'ser': CLASS_COLOURS[0],
    'nser': CLASS_COLOURS[1],
    'undecided': UNDECIDED_COLOUR,
    'wrong': WRONG_COLOUR,
    'ink': INK,
}


def is_defined(value: float | None) -> TypeGuard[float]:
    """Whether there is a finite number to show."""
    return value is not None and math.isfinite(value)


def number(value: float | None, digits: int) -> str:
    """Writes a number, or a dash for one that is not defined."""
    return f'{value:.{digits}f}' if is_defined(value) else UNDEFINED


def interval_bar(cell: CellResult) -> markupsafe.Markup:
    """Draws a cell's probability and interval on a line from 0 to 1."""
    if not all(map(is_defined, (cell.p_ser, cell.p_ser_low, cell.p_ser_high))):
        return markupsafe.Markup('')
    low, middle, high = (100 * min(max(p, 0.0), 1.0) for p in (cell.p_ser_low, cell.p_ser, cell.p_ser_high))
    return markupsafe.Markup(
        '<span class="bar" aria-hidden="true"><i style="left:{:.1f}%;width:{:.1f}%"></i>'
        '<b style="left:{:.1f}%"></b></span>'
    ).format(low, max(high - low, 0.0), middle)


def environment() -> jinja2.Environment:
    """Returns the environment of the templates, which escapes every value."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader('trainer.reports', 'templates'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {'number': number, 'interval_bar': interval_bar, 'is_defined': is_defined}
    templates.globals['strip_margin_px'] = MARGIN_PX
    return templates
