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
from trainer.evaluation.outputs import known, write_cells, write_table
from trainer.evaluation.results import ClassifiedCell

if TYPE_CHECKING:
    from trainer.classify.batch import Findings
    from trainer.classify.classifier import Classifier

SPIKES_COLUMNS = ('cell', 'trigger', 'time_s', 'p_ser', 'amplitude_pa', 'udi_ms', 'snr')

_CELLS, _SPIKES = 'cells.csv', 'spikes.csv'
EXPORTS = ('nwb', 'phy')
OUTPUT_NAMES = (_CELLS, _SPIKES, REJECTED_FILE, 'report.html', *EXPORTS)

_PARTIAL = '.sero-classify.partial'


class OutputInUse(UserError):
    """An output of an earlier run cannot be replaced: on Windows, because another program has it open."""


def make_folder(folder: pathlib.Path) -> None:
    """Makes the output folder; OSError or OutputInUse if it cannot be written: before minutes of work, not after."""
    folder.mkdir(parents=True, exist_ok=True)
    _make_anew(folder / _PARTIAL).rmdir()
    _check_not_in_use(folder)


def write_outputs(
    folder: pathlib.Path, findings: Findings, classifier: Classifier, exports: Sequence[str]
) -> pathlib.Path:
    """Writes ``cells.csv``, ``spikes.csv``, ``rejected.jsonl``, ``report.html`` and the exports.

    All are written to a hidden folder and then moved, so that nobody ever sees half a file.

    Parameters
    ----------
    folder : of the outputs; other files in it stay.
    findings : what became of the files.
    classifier : the model.
    exports : of ``EXPORTS``; each is a folder of its own.

    Returns
    -------
    The path of the report.

    Raises
    ------
    OutputInUse
        If an earlier output cannot be replaced; then none is.
    """
    from trainer.reports.classification_report import write_report

    _check_not_in_use(folder)
    cells, info = findings.sorted_cells(), classifier.description
    partial = _make_anew(folder / _PARTIAL)
    try:
        write_cells(partial / _CELLS, [cell.result for cell in cells])
        write_table(partial / _SPIKES, SPIKES_COLUMNS, _spike_rows(cells))
        write_text(partial / REJECTED_FILE, rejected_lines(findings.rejected))
        report = write_report(partial, cells, findings.rejected, info, classifier.training_range)
        _export(partial, cells, info, exports)
        with interrupts_held_back():  # Otherwise some files could be of this run and some of the one before.
            _publish(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / report.name


def _export(folder: pathlib.Path, cells: Sequence[ClassifiedCell], info: dict, exports: Sequence[str]) -> None:
    from trainer.classify.exports import export_nwb, export_phy

    for name in exports:
        (folder / name).mkdir()
    if 'nwb' in exports:
        export_nwb(folder / 'nwb', cells, info)
    if 'phy' in exports:
        export_phy(folder / 'phy', cells)


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


def _publish(partial: pathlib.Path, folder: pathlib.Path) -> None:
    """Replaces the earlier outputs with the new ones; if one is in use, all stay as they were."""
    earlier = partial / 'earlier'
    earlier.mkdir()
    aside: list[str] = []
    try:
        _check_not_in_use(folder)
        for name in EXPORTS:
            if (folder / name).is_dir() and not (folder / name).is_symlink():
                with _in_use_if_denied(folder / name):
                    os.replace(folder / name, earlier / name)
                aside.append(name)
        for name in OUTPUT_NAMES:
            with _in_use_if_denied(folder / name):
                if (partial / name).exists():
                    os.replace(partial / name, folder / name)
                else:
                    (folder / name).unlink(missing_ok=True)
    except (OSError, OutputInUse):
        for name in aside:
            if not (folder / name).exists():
                os.replace(earlier / name, folder / name)
        raise


def _check_not_in_use(folder: pathlib.Path) -> None:
    for name in OUTPUT_NAMES:
        if (folder / name).is_file():
            with _in_use_if_denied(folder / name):
                os.rename(folder / name, folder / name)  # Moves nothing, but is denied where replacing would be.


@contextlib.contextmanager
def _in_use_if_denied(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise OutputInUse(f'cannot be replaced ({error.strerror}); close it in other programs', file=path) from None
