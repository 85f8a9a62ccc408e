"""Verdicts for phy: ``cluster_sero.tsv``, which phy shows as columns of its cluster view."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Sequence

from beam_pipelines.storage.atomic_files import write_text
from trainer.evaluation.classified_cell import ClassifiedCell

FILE_NAME = 'cluster_sero.tsv'
COLUMNS = ('cluster_id', 'sero', 'p_ser', 'p_ser_low', 'p_ser_high', 'cell')


def export_phy(folder: pathlib.Path, cells: Sequence[ClassifiedCell]) -> pathlib.Path:
    """Writes the verdicts as phy's cluster metadata: tabs, a header, one row a cluster.

    phy reads every ``.tsv`` in the folder of a sorted recording that has a column ``cluster_id`` and takes each other
    column for a label of the clusters (``phylib.io.model.load_metadata``). It has no clusters of ours: a cell is one
    recording. ``cluster_id`` is the cell's row in ``cells.csv``, counted from 0; to use the file beside a sorting of
    your own, put your cluster numbers there.

    Parameters
    ----------
    folder : exists; to write into.
    cells : in the order of ``cells.csv``.

    Returns
    -------
    The file, which appears whole or not at all.
    """
    text = io.StringIO()
    writer = csv.writer(text, delimiter='\t', lineterminator='\n')
    writer.writerow(COLUMNS)
    for cluster_id, cell in enumerate(cells):
        result = cell.result
        probabilities = (f'{p:.4f}' for p in (result.p_ser, result.p_ser_low, result.p_ser_high))
        writer.writerow([cluster_id, result.verdict, *probabilities, result.cell])
    path = pathlib.Path(folder) / FILE_NAME
    write_text(str(path), text.getvalue())
    return path
