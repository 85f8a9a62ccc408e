"""Writes what ``sero-classify`` has found: all files of a run appear together, and none of a run before stays."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beam_pipelines.cli.signals import interrupts_held_back
from beam_pipelines.datasets.configs import REJECTED_FILE
from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.storage.atomic_files import write_text
from trainer.evaluation.classified_cell import ClassifiedCell

if TYPE_CHECKING:
    from trainer.evaluation.training_range import TrainingRange

SPIKES_COLUMNS = ('cell', 'trigger', 'time_s', 'p_ser', 'amplitude_pa', 'udi_ms', 'snr')

_CELLS, _SPIKES = 'cells.csv', 'spikes.csv'
EXPORTS = ('nwb', 'phy')
OUTPUT_NAMES = (_CELLS, _SPIKES, REJECTED_FILE, 'report.html', *EXPORTS)

_PARTIAL = '.sero-classify.partial'


def make_folder(folder: pathlib.Path) -> None:
    """Makes the output folder; OSError, before minutes of work rather than after them, if it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    _make_anew(folder / _PARTIAL).rmdir()


def write_outputs(
    folder: pathlib.Path,
    cells: Sequence[ClassifiedCell],
    rejected: Sequence[RejectedFile],
    info: dict,
    training_range: TrainingRange,
    exports: Sequence[str],
) -> pathlib.Path:
    """Writes ``cells.csv``, ``spikes.csv``, ``rejected.jsonl``, ``report.html`` and the exports.

    All are made beside their places and then moved, so that whoever looks never finds half a file.

    Parameters
    ----------
    folder : of the outputs; other files in it stay.
    cells, rejected : what became of the files.
    info : on the model, see ``classify_command``.
    training_range : of the model.
    exports : of ``EXPORTS``; each is a folder of its own.

    Returns
    -------
    The report.
    """
    from trainer.evaluation.evaluator import write_cells
    from trainer.reports.classification_report import write_report

    partial = _make_anew(folder / _PARTIAL)
    try:
        write_cells(str(partial / _CELLS), [cell.result for cell in cells])
        _write_spikes(partial / _SPIKES, cells)
        lines = [json.dumps({'path': file.path, 'reason': file.reason, 'detail': file.detail}) for file in rejected]
        write_text(str(partial / REJECTED_FILE), ''.join(f'{line}\n' for line in lines))
        report = write_report(partial, cells, rejected, info, training_range)
        _export(partial, cells, info, exports)
        with interrupts_held_back():  # Otherwise some files could be of this run and some of the one before.
            for name in OUTPUT_NAMES:
                _move(partial / name, folder / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / report.name


def _export(folder: pathlib.Path, cells: Sequence[ClassifiedCell], info: dict, exports: Sequence[str]) -> None:
    for name in exports:
        (folder / name).mkdir()
    if 'nwb' in exports:
        from trainer.classify.exports import export_nwb

        export_nwb(folder / 'nwb', cells, info)
    if 'phy' in exports:
        from trainer.classify.phy_export import export_phy

        export_phy(folder / 'phy', cells)


def _write_spikes(path: pathlib.Path, cells: Sequence[ClassifiedCell]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(SPIKES_COLUMNS)
    for cell in cells:
        spikes = cell.spikes
        columns = (
            spikes.trigger.tolist(),
            (f'{value:.6f}' for value in spikes.time_s),
            (f'{value:.4f}' for value in spikes.p_ser),
            (f'{value:.2f}' for value in spikes.amplitude_pa),
            (_known(value, 3) for value in spikes.udi_ms),
            (_known(value, 2) for value in spikes.snr),
        )
        writer.writerows((cell.result.cell, *row) for row in zip(*columns, strict=True))
    write_text(str(path), text.getvalue())


def _known(value: float, digits: int) -> str:
    return '' if math.isnan(value) else f'{value:.{digits}f}'


def _make_anew(folder: pathlib.Path) -> pathlib.Path:
    if folder.exists():  # left by a run that was killed
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def _move(source: pathlib.Path, target: pathlib.Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    if source.exists():
        os.replace(source, target)
    else:
        target.unlink(missing_ok=True)
