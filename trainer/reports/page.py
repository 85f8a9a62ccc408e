"""What the reports have in common: how numbers and intervals are shown, the templates, files that appear whole."""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Mapping

import jinja2
import markupsafe

from trainer.evaluation.results import CellResult
from trainer.reports import figures

REPORT_NAME = 'report.html'
UNDEFINED = '–'
COLOURS = {
    'ser': figures.CLASS_COLOURS[0],
    'nser': figures.CLASS_COLOURS[1],
    'undecided': figures.UNDECIDED_COLOUR,
    'wrong': figures.WRONG_COLOUR,
    'ink': figures.INK,
}


def is_defined(value: float | None) -> bool:
    """Whether there is a finite number to be shown."""
    return value is not None and math.isfinite(value)


def number(value: float | None, digits: int) -> str:
    """Writes a number, or a dash for one that is not defined."""
    return f'{value:.{digits}f}' if is_defined(value) else UNDEFINED


def counted(count: int, noun: str) -> str:
    """Writes ``1 cell``, ``2 cells``."""
    return f'{count:,} {noun}' if count == 1 else f'{count:,} {noun}s'


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
    """Returns where the templates come from: everything that they are given is escaped."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader('trainer.reports', 'templates'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {'number': number, 'interval_bar': interval_bar, 'is_defined': is_defined}
    return templates


def write_files(folder: pathlib.Path, files: Mapping[str, bytes]) -> None:
    """Writes the files so that each appears whole, in their order, and none if one cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = {name: folder / f'.{name}.{os.getpid()}.partial' for name in files}
    try:
        for name, content in files.items():
            partial[name].write_bytes(content)
        for name, path in partial.items():
            os.replace(path, folder / name)
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)
