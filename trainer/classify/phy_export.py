"""Verdicts for phy: ``cluster_sero.tsv``, whose columns phy shows in its cluster view.

phy reads each ``.tsv`` in the folder of a sorted recording that has a column ``cluster_id``, and takes every other
column as a label of the clusters (``phylib.io.model.load_metadata``). A *phy folder* is here one that holds
``cluster_info.tsv``, ``spike_clusters.npy`` or ``params.py``.
"""

from __future__ import annotations

import csv
import pathlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines.errors import UserError
from beam_pipelines.recordings.verdict_files import PHY_FILE, PHY_FOLDER
from beam_pipelines.storage.arrays import decode_npy
from beam_pipelines.storage.atomic_files import file_named
from beam_pipelines.storage.bounds import read_bounded

if TYPE_CHECKING:
    from trainer.evaluation.results import ClassifiedCell


_COLUMNS = ('cluster_id', 'sero', 'p_ser', 'p_ser_low', 'p_ser_high', 'cell')

_TABLE, _CLUSTERS = 'cluster_info.tsv', 'spike_clusters.npy'
_MARKS = (_TABLE, _CLUSTERS, 'params.py')
# phy's older versions call the column id.
_ID_COLUMNS = ('cluster_id', 'id')

# 500 million spikes as int32: a thousand units at 10 Hz for half a day.
_MOST_BYTES_OF_CLUSTERS = 2 << 30
# phy holds them as int32.
_ID = re.compile('[0-9]{1,10}')
_CLUSTER_OF_CELL = re.compile(r'(?:^|#|(?<![a-z])(?:cluster|unit)[ _-]?)([0-9]{1,10})\Z', re.IGNORECASE)


def is_phy_folder(folder: pathlib.Path) -> bool:
    """Whether a folder belongs to phy, and not only to ``sero-classify``."""
    return any((folder / name).is_file() for name in _MARKS)


def find_phy_folder(output_dir: pathlib.Path) -> pathlib.Path:
    """Returns the folder for ``cluster_sero.tsv``; it may not exist yet.

    That is ``OUTPUT_DIR/phy``, or the output folder itself if that is a phy folder and ``OUTPUT_DIR/phy`` is none.
    """
    inner = output_dir / PHY_FOLDER
    return output_dir if is_phy_folder(output_dir) and not is_phy_folder(inner) else inner


def check_can_export_phy(output_dir: pathlib.Path, cells: Sequence[str]) -> None:
    """Raises what ``export_phy`` would raise: before minutes of work rather than after them.

    Parameters
    ----------
    output_dir : may not exist yet.
    cells : the names of the cells that may be classified.

    Raises
    ------
    UserError
        See ``match_clusters``.
    OSError
        If the folder cannot be written.
    """
    folder = find_phy_folder(output_dir)
    match_clusters(folder, cells)
    if folder.exists():
        tempfile.TemporaryFile(dir=folder).close()


def export_phy(
    output_dir: pathlib.Path,
    cells: Sequence[ClassifiedCell],
    written_to: pathlib.Path,
    further: Mapping[str, Sequence[str]] | None = None,
) -> pathlib.Path:
    """Writes the verdicts as phy's cluster metadata: tab-separated, a header, one row per cell, by cluster.

    Nothing else in the folder is touched.

    Parameters
    ----------
    output_dir : of the other verdicts; see ``find_phy_folder``.
    cells : in the order of ``cells.csv``.
    written_to : the folder that stands for ``output_dir`` until all files are written; or that itself.
    further : last columns, see ``sources.stamp_column``.

    Returns
    -------
    The file, which is written atomically.

    Raises
    ------
    UserError
        See ``match_clusters``.
    OSError
        If the file cannot be written.
    """
    from trainer.evaluation.outputs import write_table  # Imported here, so that reading has begun before.

    folder, further = find_phy_folder(output_dir), further or {}
    rows = []
    clusters = match_clusters(folder, [cell.result.cell for cell in cells])
    for cluster_id, cell, *others in zip(clusters, cells, *further.values(), strict=True):
        result = cell.result
        probabilities = (f'{p:.4f}' for p in (result.p_ser, result.p_ser_low, result.p_ser_high))
        rows.append((cluster_id, result.verdict, *probabilities, result.cell, *others))
    path = written_to / folder.relative_to(output_dir) / PHY_FILE
    path.parent.mkdir(exist_ok=True)
    write_table(path, (*_COLUMNS, *further), sorted(rows), delimiter='\t')
    return path


def match_clusters(folder: pathlib.Path, cells: Sequence[str]) -> list[int]:
    """Returns phy's cluster of each cell, by the number that ends the cell's name.

    ``5``, ``cluster_5``, ``A140313_unit5`` and ``A140313#005`` are cluster 5. A cluster may have no cell. In a folder
    that is not phy's, a cell's cluster is its row, counted from 0.

    Raises
    ------
    UserError
        If a cell names no cluster, or one that the folder does not have; two cells name the same; the folder's clusters
        cannot be read; or phy has saved an earlier verdict in files of its own.
    """
    if not is_phy_folder(folder):
        return list(range(len(cells)))
    _check_no_copies(folder)
    known = read_cluster_ids(folder)
    cell_of: dict[int, str] = {}
    for cell in cells:
        found = _CLUSTER_OF_CELL.search(cell)
        if not found:
            raise UserError(
                "names no cluster of phy; end the recording's name with the cluster, as in cluster_5.abf,"
                ' or choose another --output_dir',
                file=folder, field='cell', value=cell,
            )  # fmt: skip
        cluster = int(found[1])
        if cluster not in known:
            raise UserError(f'phy has no cluster {cluster} here', file=folder, field='cell', value=cell)
        if cluster in cell_of:
            problem = f'is cluster {cluster} of phy, and so is {cell_of[cluster]!r}; classify only one of them'
            raise UserError(problem, file=folder, field='cell', value=cell)
        cell_of[cluster] = cell
    return list(cell_of)


def read_cluster_ids(folder: pathlib.Path) -> set[int]:
    """Returns the clusters of a phy folder: those of ``cluster_info.tsv``, or else of ``spike_clusters.npy``.

    Raises
    ------
    UserError
        If neither is there, one cannot be read, or ``cluster_info.tsv`` has a cluster without spikes.
    """
    table, clusters = folder / _TABLE, folder / _CLUSTERS
    in_table = _ids_in_table(table) if table.is_file() else None
    of_spikes = _ids_of_spikes(clusters) if clusters.is_file() else None
    if in_table is None and of_spikes is None:
        raise UserError(
            f'has neither {_TABLE} nor {_CLUSTERS}, so its clusters are not known; open it in phy once',
            file=folder,
        )
    if in_table is not None and of_spikes is not None and in_table - of_spikes:
        first = min(in_table - of_spikes)
        problem = f'{_CLUSTERS} has no such cluster, so the table is out of date; save in phy, or remove the table'
        raise UserError(problem, file=table, field='cluster', value=first)
    return (of_spikes or set()) if in_table is None else in_table


def _ids_in_table(path: pathlib.Path) -> set[int]:
    ids = set()
    try:
        with file_named(path), open(path, newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file, delimiter='\t')
            names = [name for name in _ID_COLUMNS if name in (reader.fieldnames or ())]
            if not names:
                raise UserError('expected a column cluster_id or id, separated by tabs', file=path)
            for row in reader:
                value = row[names[0]] or ''
                if not _ID.fullmatch(value):
                    where = f'line {reader.line_num}, {names[0]}'
                    raise UserError('expected a whole number', file=path, field=where, value=value[:20])
                ids.add(int(value))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f'is not a table with tabs: {error}', file=path) from None
    return ids


def _ids_of_spikes(path: pathlib.Path) -> set[int]:
    clusters = decode_npy(read_bounded(path, _MOST_BYTES_OF_CLUSTERS), path, 'iu')
    if clusters.squeeze().ndim > 1:
        raise UserError(f'expected one whole number per spike, not an array of shape {clusters.shape}', file=path)
    return set(np.unique(clusters).tolist())


def _check_no_copies(folder: pathlib.Path) -> None:
    """Raises UserError if phy has saved columns of an earlier verdict, which it may show in place of the new ones."""
    copies = [f'cluster_{name}.tsv' for name in (*_COLUMNS[2:], 'source') if (folder / f'cluster_{name}.tsv').exists()]
    if copies:
        problem = f'phy has saved earlier verdicts there and may show them in place of new ones; remove {copies[0]}'
        others = f' and {", ".join(copies[1:])}' if copies[1:] else ''
        raise UserError(problem + others, file=folder)
