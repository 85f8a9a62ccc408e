"""Writes the outputs of ``sero-classify``: all files of a run appear together and replace those of an earlier run."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from beam_pipelines.cli.signals import interrupts_held_back
from beam_pipelines.datasets.configs import REJECTED_FILE
from beam_pipelines.recordings.rejection import rejected_lines
from beam_pipelines.storage.atomic_files import write_text
from trainer.classify.phy_export import PHY_FILE, PHY_FOLDER, export_phy, is_phy_folder
from trainer.evaluation.outputs import known, write_cells, write_table
from trainer.evaluation.results import ClassifiedCell

if TYPE_CHECKING:
    from trainer.classify.batch import Findings
    from trainer.classify.classifier import Classifier

SPIKES_COLUMNS = ('cell', 'trigger', 'time_s', 'p_ser', 'amplitude_pa', 'udi_ms', 'snr')

_CELLS, _SPIKES = 'cells.csv', 'spikes.csv'
_NWB = 'nwb'
EXPORTS = (_NWB, 'phy')
_REPLACED = (_CELLS, _SPIKES, REJECTED_FILE, 'report.html', _NWB)
OUTPUT_NAMES = (*_REPLACED, PHY_FOLDER, PHY_FILE)

_PARTIAL = '.sero-classify.partial'


def make_folder(folder: pathlib.Path) -> None:
    """Makes the output folder; OSError if it cannot be written, before minutes of work, not after."""
    folder.mkdir(parents=True, exist_ok=True)
    _make_anew(folder / _PARTIAL).rmdir()


def write_outputs(
    folder: pathlib.Path, findings: Findings, classifier: Classifier, exports: Sequence[str]
) -> pathlib.Path:
    """Writes ``cells.csv``, ``spikes.csv``, ``rejected.jsonl``, ``report.html`` and the exports.

    All are written to a hidden folder and then moved, so that nobody ever sees half a file. A folder of phy keeps all
    that is in it; only ``cluster_sero.tsv`` is replaced there.

    Parameters
    ----------
    folder : of the outputs; other files in it stay.
    findings : what became of the files.
    classifier : the model.
    exports : of ``EXPORTS``.

    Returns
    -------
    The path of the report.
    """
    from trainer.reports.classification_report import write_report

    cells, info = findings.sorted_cells(), classifier.description
    partial = _make_anew(folder / _PARTIAL)
    try:
        write_cells(partial / _CELLS, [cell.result for cell in cells])
        write_table(partial / _SPIKES, SPIKES_COLUMNS, _spike_rows(cells))
        write_text(partial / REJECTED_FILE, rejected_lines(findings.rejected))
        report = write_report(partial, cells, findings.rejected, info, classifier.training_range)
        if _NWB in exports:
            _export_nwb(partial / _NWB, cells, info)
        with interrupts_held_back():  # Otherwise some files could be of this run and some of the one before.
            # First, because phy's folder may refuse it: then nothing else has changed either.
            written = export_phy(folder, cells) if 'phy' in exports else None
            if written is None or written.parent == folder:
                _remove_row_numbers(folder / PHY_FOLDER)
            for name in _REPLACED:
                _move(partial / name, folder / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / report.name


def _export_nwb(folder: pathlib.Path, cells: Sequence[ClassifiedCell], info: dict) -> None:
    from trainer.classify.nwb_export import export_nwb

    folder.mkdir()
    export_nwb(folder, cells, info)


def _remove_row_numbers(folder: pathlib.Path) -> None:
    """Removes what an earlier run wrote into a folder of its own; phy's folders keep theirs."""
    file = folder / PHY_FILE
    if is_phy_folder(folder) or not file.is_file():
        return
    file.unlink()
    with contextlib.suppress(OSError):  # It is not empty, or a link to a folder.
        folder.rmdir()


def _spike_rows(cells: Sequence[ClassifiedCell]) -> Iterator[tuple[object, ...]]:
    for cell in cells:
        spikes = cell.spikes
        columns = (
            spikes.trigger.tolist(),
            (f'{value:.6f}' for value in spikes.time_s),
            (f'{value:.4f}' for value in spikes.p_ser),
            (f'{value:.2f}' for value in spikes.amplitude_pa),
            (known(value, 3) for value in spikes.udi_ms),
            (known(value, 2) for value in spikes.snr),
        )
        yield from ((cell.result.cell, *row) for row in zip(*columns, strict=True))


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
