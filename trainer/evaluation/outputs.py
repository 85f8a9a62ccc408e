"""Writes the results of an evaluation: ``metrics.json`` and ``cells.csv``."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import math
import os
import pathlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from beam_pipelines import domain
from beam_pipelines.storage.atomic_files import write_json, write_text
from beam_pipelines.storage.locks import written_by_one
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.cell_warnings import join_codes
from trainer.evaluation.controls import compare_with_noise
from trainer.evaluation.metrics import accuracy_difference
from trainer.evaluation.output_set import OutputSet
from trainer.evaluation.results import CellResult, ModelResult, SplitResult

# By which spreadsheets know a formula, in any width of the characters.
_FORMULA_STARTS = '=+-@'

CELLS_COLUMNS = ('cell', 'verdict', 'p_ser', 'p_ser_low', 'p_ser_high', 'n_spikes', 'udi_ms', 'label', 'warnings')


def write_metrics(path: str | os.PathLike[str], model: ModelResult, baseline: ModelResult | None) -> None:
    """Writes ``metrics.json``: the metrics of each split and what the model was trained on; the baseline's likewise."""
    content: dict[str, object] = _metrics_of(model)
    if baseline:
        content['baseline'] = _metrics_of(baseline)
        content['difference'] = {
            name: accuracy_difference(split.cells, baseline.splits[name].cells) for name, split in model.splits.items()
        }
    content['controls'] = {name: controls_of(split) for name, split in model.splits.items()}
    write_json(path, without_nan(content), sort_keys=False)


@contextlib.contextmanager
def appearing_together(folder: str | os.PathLike[str], earlier: Iterable[str] = ()) -> Iterator[pathlib.Path]:
    """Yields an empty folder; what the block writes there appears in ``folder`` when it ends, over what was there.

    If the block raises, or is interrupted, ``folder`` stays as it was. UserError if another command writes there.

    Parameters
    ----------
    folder : made if missing.
    earlier : names of files of an earlier command that go, also if the block makes no new ones.
    """
    folder = pathlib.Path(folder)
    with (
        written_by_one(folder, 'wait for it, or choose another folder'),
        OutputSet(folder, 'sero-evaluate', lambda: [folder / name for name in earlier]).replacing() as partial,
    ):
        yield partial


def controls_of(split: SplitResult) -> dict:
    """Returns the metrics of a split's controls, ``{'day_only': {'spike': {...}, 'cell': {...}}, ...}``."""
    return {name: control.metrics for name, control in split.controls.items()}


def _metrics_of(model: ModelResult) -> dict:
    described = ('source', 'protocol', 'trained_on', 'architecture', 'kernel_sizes')
    files = ('init_from', 'files')
    info = model.info.to_json()
    return {name: split.metrics for name, split in model.splits.items()} | {
        'model': {field: info[field] for field in described}
        | {'examples_seen': model.info.examples_of_kept_epochs}
        | {field: info[field] for field in files if info.get(field)}
        | {'calibration': _described(model.calibration, model.is_calibrated_here)},
        'evaluated_recordings': {name: split.source for name, split in model.splits.items()},
        'beside_noise_alone': {
            name: compare_with_noise(split.cells, split.controls['noise_alone'])
            for name, split in model.splits.items()
            if split.controls
        },
    }


def _described(calibration: Calibration, is_fitted_here: bool) -> dict:
    fitted_by = 'sero-evaluate' if is_fitted_here else 'sero-train'
    fitted_on = 'original, days left out' if calibration.days else 'original/validation'
    return dataclasses.asdict(calibration) | {'fitted_on': fitted_on, 'fitted_by': fitted_by}


def without_nan(content: object) -> object:
    """Returns nested dicts for JSON, with None where a number is NaN."""
    if isinstance(content, dict):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, float) and math.isnan(content):
        return None
    return content


def write_cells(
    path: str | os.PathLike[str], cells: Sequence[CellResult], further: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Writes ``cells.csv``, one row per cell; unknown values are left empty.

    If cells have a ``p_ser_with_firing``, it is a column after ``warnings``.

    Parameters
    ----------
    path : of the file.
    cells : in the order of the rows.
    further : last columns: the value of each cell, by the column's name.
    """
    rows: list[list[object]] = [
        [
            cell.cell,
            cell.verdict,
            f'{cell.p_ser:.4f}',
            f'{cell.p_ser_low:.4f}',
            f'{cell.p_ser_high:.4f}',
            cell.n_spikes,
            known(cell.udi_ms, 3),
            '' if cell.label is None else domain.LABEL_NAMES[cell.label],
            join_codes(cell.warnings),
        ]
        for cell in cells
    ]
    header = [*CELLS_COLUMNS]
    if any(cell.p_ser_with_firing is not None for cell in cells):
        header.append('p_ser_with_firing')
        for row, cell in zip(rows, cells, strict=True):
            row.append('' if cell.p_ser_with_firing is None else known(cell.p_ser_with_firing, 4))
    for name, values in (further or {}).items():
        header.append(name)
        for row, value in zip(rows, values, strict=True):
            row.append(value)
    write_table(path, header, rows)


def known(value: float, digits: int) -> str:
    """Returns a number for a table; an unknown one, NaN, is left empty."""
    return '' if math.isnan(value) else f'{value:.{digits}f}'


def write_table(
    path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Iterable[object]], delimiter: str = ','
) -> None:
    """Writes a CSV file atomically.

    Names come from files, and a spreadsheet takes some of them for formulas: these are written as ``plain_text`` says.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator='\n')
    writer.writerow(header)
    writer.writerows([plain_text(field) if isinstance(field, str) else field for field in row] for row in rows)
    write_text(path, text.getvalue())


def plain_text(field: str) -> str:
    """Returns a field of a table with ``'`` before it if a spreadsheet would take it for a formula.

    Spreadsheets show such a field as text. Numbers, which may begin with a sign, stay as they are. Different fields
    stay different, because one that has a ``'`` before a formula already gets another.
    """
    first = unicodedata.normalize('NFKC', field.lstrip("'")).lstrip()[:1]
    if first not in _FORMULA_STARTS or first == '' or _is_number(field):
        return field
    return f"'{field}"


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
