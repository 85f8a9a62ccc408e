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
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.rejection import rejected_lines
from beam_pipelines.storage.atomic_files import write_text
from trainer.classify.nwb_export import check_can_replace, export_nwb, own_files
from trainer.classify.phy_export import PHY_FILE, PHY_FOLDER, check_can_export_phy, export_phy, is_phy_folder
from trainer.evaluation.outputs import known, write_cells, write_table
from trainer.evaluation.results import ClassifiedCell

if TYPE_CHECKING:
    from trainer.classify.batch import Findings
    from trainer.classify.classifier import Classifier

SPIKES_COLUMNS = ('cell', 'trigger', 'time_s', 'p_ser', 'amplitude_pa', 'udi_ms', 'snr')

_CELLS, _SPIKES = 'cells.csv', 'spikes.csv'
_NWB = 'nwb'
EXPORTS = (_NWB, 'phy')
_REPLACED = (_CELLS, _SPIKES, REJECTED_FILE, 'report.html')
OUTPUT_NAMES = (*_REPLACED, _NWB, PHY_FOLDER, PHY_FILE)

_PARTIAL = '.sero-classify.partial'


class OutputInUse(UserError):
    """An output of an earlier run cannot be replaced: on Windows, because another program has it open."""


def make_folder(folder: pathlib.Path) -> None:
    """Makes the output folder; OSError or OutputInUse if it cannot be written: before minutes of work, not after."""
    folder.mkdir(parents=True, exist_ok=True)
    _make_anew(folder / _PARTIAL).rmdir()
    _check_not_in_use(folder)


def check_can_export(folder: pathlib.Path, cells: Sequence[str], exports: Sequence[str]) -> None:
    """Raises UserError or OSError if exports on these cells would be refused: before minutes of work, not after."""
    if _NWB in exports:
        check_can_replace(folder / _NWB, cells)
    if 'phy' in exports:
        check_can_export_phy(folder, cells)


def write_outputs(
    folder: pathlib.Path, findings: Findings, classifier: Classifier, exports: Sequence[str]
) -> pathlib.Path:
    """Writes ``cells.csv``, ``spikes.csv``, ``rejected.jsonl``, ``report.html`` and the exports.

    All are written to a hidden folder and then moved, so that nobody ever sees half a file. Of the folders ``nwb`` and
    ``phy``, only what ``sero-classify`` writes is replaced; all else in them stays.

    Parameters
    ----------
    folder : of the outputs; other files in it stay.
    findings : what became of the files.
    classifier : the model.
    exports : of ``EXPORTS``.

    Returns
    -------
    The path of the report.

    Raises
    ------
    OutputInUse
        If an earlier output cannot be replaced; then none is.
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
            check_can_replace(folder / _NWB, [cell.result.cell for cell in cells])
            (partial / _NWB).mkdir()
            export_nwb(partial / _NWB, cells, info)
        with interrupts_held_back():  # Otherwise some files could be of this run and some of the one before.
            _check_not_in_use(folder)
            # First, because phy's folder may refuse it: then nothing else has changed either.
            written = export_phy(folder, cells) if 'phy' in exports else None
            if written is None or written.parent == folder:
                _remove_row_numbers(folder / PHY_FOLDER)
            _replace_nwb(partial, folder / _NWB)
            for name in _REPLACED:
                os.replace(partial / name, folder / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / report.name


def _replace_nwb(partial: pathlib.Path, folder: pathlib.Path) -> None:
    """Moves the new files, if there are any, in place of those of an earlier run; files of others stay."""
    earlier = own_files(folder)
    # Taken away first: some file systems would not tell a new name from an old one of other case.
    taken = _make_anew(partial / 'earlier')
    for path in earlier:
        os.replace(path, taken / path.name)
    new = partial / _NWB
    if new.is_dir():
        folder.mkdir(exist_ok=True)
        for path in sorted(new.iterdir()):
            os.replace(path, folder / path.name)
    elif earlier:
        _remove_if_empty(folder)


def _remove_row_numbers(folder: pathlib.Path) -> None:
    """Removes what an earlier run wrote into a folder of its own; phy's folders keep theirs."""
    file = folder / PHY_FILE
    if is_phy_folder(folder) or not file.is_file():
        return
    file.unlink()
    _remove_if_empty(folder)


def _remove_if_empty(folder: pathlib.Path) -> None:
    with contextlib.suppress(OSError):  # It is not empty, or a link to a folder.
        folder.rmdir()


def _check_not_in_use(folder: pathlib.Path) -> None:
    phy = [folder / PHY_FILE, folder / PHY_FOLDER / PHY_FILE]
    for path in (*(folder / name for name in _REPLACED), *phy, *own_files(folder / _NWB)):
        if path.is_file():
            try:
                os.rename(path, path)  # Moves nothing, but is denied where replacing would be.
            except PermissionError as error:
                detail = f'cannot be replaced ({error.strerror}); close it in other programs'
                raise OutputInUse(detail, file=path) from None


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
