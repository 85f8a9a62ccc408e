"""Writes the outputs of ``sero-classify``: all files of a run appear together and replace those of an earlier run."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from beam_pipelines.errors import UserError
from beam_pipelines.recordings.rejection import rejected_lines
from beam_pipelines.recordings.sources import stamp_column
from beam_pipelines.recordings.verdict_files import (
    ALWAYS_WRITTEN,
    CELLS,
    NWB_FOLDER,
    PHY_FILE,
    PHY_FOLDER,
    REJECTED,
    SPIKES,
)
from beam_pipelines.storage.atomic_files import write_text
from beam_pipelines.storage.locks import written_by_one
from trainer.classify.nwb_export import check_can_replace, export_nwb, own_files
from trainer.classify.phy_export import check_can_export_phy, export_phy, is_phy_folder
from trainer.evaluation.output_set import OutputSet

if TYPE_CHECKING:
    from trainer.classify.batch import Findings
    from trainer.classify.classifier import Classifier
    from trainer.evaluation.results import ClassifiedCell

SPIKES_COLUMNS = ('cell', 'trigger', 'time_s', 'p_ser', 'amplitude_pa', 'udi_ms', 'snr')

EXPORTS = ('nwb', 'phy')


class OutputInUse(UserError):
    """An output of an earlier run cannot be replaced: on Windows, because another program has it open."""


@contextlib.contextmanager
def make_folder(folder: pathlib.Path) -> Iterator[None]:
    """Makes the output folder and holds its lock while the block runs: before minutes of work, not after.

    What a killed command has begun to put there is ended first.

    Raises
    ------
    UserError
        If another command writes there.
    OSError or OutputInUse
        If the folder cannot be written.
    """
    with written_by_one(folder, 'wait for it, or choose another --output_dir'):
        _outputs_of(folder).prepare()
        _check_not_in_use(folder)
        yield


def check_can_export(folder: pathlib.Path, cells: Sequence[str], exports: Sequence[str]) -> None:
    """Raises UserError or OSError if exports on these cells would be refused: before minutes of work, not after."""
    if 'nwb' in exports:
        check_can_replace(folder / NWB_FOLDER, cells)
    if 'phy' in exports:
        check_can_export_phy(folder, cells)


def write_outputs(
    folder: pathlib.Path, findings: Findings, classifier: Classifier, exports: Sequence[str]
) -> pathlib.Path:
    """Writes ``cells.csv``, ``spikes.csv``, ``rejected.jsonl``, ``report.html`` and the exports.

    They appear together, see ``OutputSet``. Of the folders ``nwb`` and
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
    # Imported here, so that reading has begun before.
    from trainer.evaluation.outputs import write_cells, write_table
    from trainer.reports.classification_report import write_report

    cells, info = findings.sorted_cells(), classifier.description
    made_of = stamp_column([cell.source, info['source']] for cell in cells)
    with _outputs_of(folder).replacing() as partial:
        write_cells(partial / CELLS, [cell.result for cell in cells], made_of)
        write_table(partial / SPIKES, (*SPIKES_COLUMNS, *made_of), _spike_rows(cells, made_of))
        write_text(partial / REJECTED, rejected_lines(findings.rejected))
        report = write_report(partial, cells, findings.rejected, info, classifier.training_range)
        if 'nwb' in exports:
            check_can_replace(folder / NWB_FOLDER, [cell.result.cell for cell in cells])
            (partial / NWB_FOLDER).mkdir()
            export_nwb(partial / NWB_FOLDER, cells, info)
        if 'phy' in exports:
            export_phy(folder, cells, partial, made_of)
        _check_not_in_use(folder)
    return folder / report.name


def _outputs_of(folder: pathlib.Path) -> OutputSet:
    return OutputSet(folder, 'sero-classify', lambda: _earlier_outputs(folder))


def _earlier_outputs(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files of an earlier run that go even if the new run has none of their names; others' stay."""
    row_numbers = folder / PHY_FOLDER / PHY_FILE
    is_own = not is_phy_folder(folder / PHY_FOLDER) and row_numbers.is_file()
    return [*own_files(folder / NWB_FOLDER), *([row_numbers] if is_own else [])]


def _check_not_in_use(folder: pathlib.Path) -> None:
    phy = [folder / PHY_FILE, folder / PHY_FOLDER / PHY_FILE]
    for path in (*(folder / name for name in ALWAYS_WRITTEN), *phy, *own_files(folder / NWB_FOLDER)):
        if path.is_file():
            try:
                os.rename(path, path)  # Moves nothing, but is denied where replacing would be.
            except PermissionError as error:
                detail = f'cannot be replaced ({error.strerror}); close it in other programs'
                raise OutputInUse(detail, file=path) from None


def _spike_rows(cells: Sequence[ClassifiedCell], further: Mapping[str, Sequence[str]]) -> Iterator[tuple[object, ...]]:
    from trainer.evaluation.outputs import known

    for place, cell in enumerate(cells):
        of_cell = [values[place] for values in further.values()]
        spikes = cell.spikes
        columns = (
            spikes.trigger.tolist(),
            (f'{value:.6f}' for value in spikes.time_s),
            (f'{value:.4f}' for value in spikes.p_ser),
            (f'{value:.2f}' for value in spikes.amplitude_pa),
            (known(value, 3) for value in spikes.udi_ms),
            (known(value, 2) for value in spikes.snr),
        )
        yield from ((cell.result.cell, *row, *of_cell) for row in zip(*columns, strict=True))
