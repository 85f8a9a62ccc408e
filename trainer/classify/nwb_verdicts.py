"""Adds the verdicts to the units of the NWB recordings themselves: which unit is which cell, and its columns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from beam_pipelines.errors import UserError
from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.recordings.sources import stamp_column
from trainer.classify.nwb_columns import PREFIX, UNITS_COLUMNS, column_values, model_description
from trainer.classify.nwb_copies import Column, adding_columns
from trainer.classify.nwb_units import UnitsTable, read_units
from trainer.evaluation.results import ClassifiedCell

Mode = Literal['add', 'replace']

# A spike has one time of its trigger and may have another of its trough or peak: half the window of a spike.
_SAME_SPIKE_S = 0.002


def read_tables(paths: Sequence[str], mode: Mode) -> list[UnitsTable]:
    """Reads the units of the NWB files to which verdicts will be added: before minutes of work, not after.

    Parameters
    ----------
    paths : of the recordings; those that are no NWB files have no units, and are left out.
    mode : whether verdicts that are there already are refused or replaced.

    Raises
    ------
    UserError
        See ``nwb_units.read_units``; or if none is an NWB file, or one has verdicts that are not to be replaced.
    """
    nwb_paths = [path for path in paths if path.lower().endswith('.nwb')]
    if paths and not nwb_paths:
        raise UserError('is no NWB file, so it has no units', file=paths[0])
    tables = []
    for path in nwb_paths:
        tables.append(read_units(path))
        present = tables[-1].verdicts
        if present and mode == 'add':
            problem = 'its units have verdicts already; --nwb_units=replace (in Python replace=True) replaces them'
            raise UserError(problem, file=path, field=present[0])
    return tables


@contextlib.contextmanager
def adding_verdicts(
    tables: Sequence[UnitsTable], cells: Sequence[ClassifiedCell], rejected: Sequence[RejectedFile], info: Mapping
) -> Iterator[list[list[ClassifiedCell]]]:
    """Adds the verdicts to the files when the block ends, see ``nwb_copies.adding_columns``.

    Parameters
    ----------
    tables : of the recordings.
    cells, rejected : what was found in them, and in others.
    info : the content of the model's ``model_info.json``, and its ``calibration``.

    Yields
    ------
    For each file, the cell that each unit is.

    Raises
    ------
    UserError
        If a unit is none of the cells of its file, or more than one; or see ``nwb_copies.adding_columns``.
    """
    matched = []
    for table in tables:
        in_file = [cell for cell in cells if cell.path == table.path]
        reasons = [file.detail for file in rejected if file.path == table.path]
        matched.append(match_units(table, in_file, reasons))
    columns = [verdict_columns(of_units, info) for of_units in matched]
    with adding_columns(list(zip(tables, columns, strict=True))):
        yield matched


def match_units(
    table: UnitsTable, cells: Sequence[ClassifiedCell], reasons: Sequence[str] = ()
) -> list[ClassifiedCell]:
    """Returns the cell that each unit is: most of the spikes of either are spikes of the other.

    Parameters
    ----------
    table : the units of a file.
    cells : those that were found in it.
    reasons : why currents in it could not be used.

    Raises
    ------
    UserError
        If a unit is none of the cells or several of them, or two units are the same cell.
    """
    times_s = [cell.start_s + cell.spikes.time_s for cell in cells]
    matched: dict[str, int] = {}
    cell_of = []
    for unit_id, unit_s in zip(table.ids, table.spike_times_s, strict=True):
        same = [number for number, cell_s in enumerate(times_s) if _are_same(unit_s, cell_s)]
        names = [cells[number].result.cell for number in same]
        if len(same) > 1:
            problem = f'is equally {" and ".join(names)}; name one with --channel (in Python channel=...)'
            raise UserError(problem, file=table.path, field='unit', value=unit_id)
        if not same:
            raise UserError(_no_match(unit_s, cells, times_s, reasons), file=table.path, field='unit', value=unit_id)
        if names[0] in matched:
            problem = f'is {names[0]}, and so is unit {matched[names[0]]}'
            raise UserError(problem, file=table.path, field='unit', value=unit_id)
        matched[names[0]] = unit_id
        cell_of.append(cells[same[0]])
    return cell_of


def verdict_columns(cells: Sequence[ClassifiedCell], info: Mapping) -> list[Column]:
    """Returns the columns with the verdicts on the units of a file; what the model is stands with the verdict."""
    rows = [{PREFIX + name: value for name, value in column_values(cell.result).items()} for cell in cells]
    values: dict[str, Sequence[str | float | int]] = {name: [row[name] for row in rows] for name in rows[0]}
    for name, made_of in stamp_column([cell.source, info['source']] for cell in cells).items():
        values[PREFIX + name] = made_of
    model = {f'{PREFIX}verdict': f'. {model_description(info)}'}
    return [Column(name, UNITS_COLUMNS[name] + model.get(name, ''), of_units) for name, of_units in values.items()]


def _are_same(one_s: np.ndarray, other_s: np.ndarray) -> bool:
    return 2 * _shared(one_s, other_s) > len(one_s) and 2 * _shared(other_s, one_s) > len(other_s)


def _shared(times_s: np.ndarray, others_s: np.ndarray) -> int:
    """Returns how many of the times are spikes at the other times, which ascend."""
    if not len(others_s):
        return 0
    after = np.searchsorted(others_s, times_s)
    away = [np.abs(times_s - others_s[np.clip(place, 0, len(others_s) - 1)]) for place in (after - 1, after)]
    return int(np.count_nonzero(np.minimum(*away) <= _SAME_SPIKE_S))


def _no_match(
    unit_s: np.ndarray, cells: Sequence[ClassifiedCell], times_s: Sequence[np.ndarray], reasons: Sequence[str]
) -> str:
    if not cells:
        return f'no current of the file could be used: {reasons[0] if reasons else "it has none"}'
    shared = [_shared(unit_s, cell_s) for cell_s in times_s]
    best = int(np.argmax(shared))
    return (
        f'{shared[best]} of its {len(unit_s)} spike times are among the {len(times_s[best])} spikes found in'
        f' {cells[best].result.cell}, and no other current has more; a verdict needs most of both to be the same'
    )
