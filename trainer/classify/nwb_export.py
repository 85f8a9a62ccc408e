"""Verdicts as NWB (Neurodata Without Borders): one file per recording; its cell is the only row of the units table.

The files say nothing about the subject, the experimenter or the institution, because no recording names them.
``nwbinspector`` finds these missing, and nothing else that could be known; docs/classify.md lists all that it finds.
"""

from __future__ import annotations

import datetime
import io
import os
import pathlib
import re
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

import beam_pipelines
from beam_pipelines import domain
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.sources import RECORDED, find_source
from beam_pipelines.storage.atomic_files import staged
from trainer.classify.nwb_columns import COLUMNS, column_values, model_description

if TYPE_CHECKING:
    import pynwb

    from trainer.evaluation.results import ClassifiedCell

_AMPERES_PER_PA = 1e-12

# NWB requires a start time; nobody will mistake this one for real.
_UNKNOWN_START = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

_PROGRAM = 'sero-classify'
_EXPERIMENT = 'Are single neurons serotonergic, judged by the shape of their spikes in loose-patch recordings?'

# Windows forbids these characters in names, and keeps these names for devices, whatever their extension and case.
_FORBIDDEN = '<>:"/\\|?*'
_DEVICE = re.compile(r'(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?', re.IGNORECASE)
# File systems allow 255; a number and the extension follow.
_MOST_BYTES_OF_NAME = 240


def check_can_export_nwb() -> None:
    """Raises UserError if pynwb is not installed: before minutes of work rather than after them."""
    try:
        import pynwb  # noqa: F401
    except ImportError:
        raise UserError('NWB files need pynwb, which is not installed: pip install pynwb') from None


def export_nwb(folder: pathlib.Path, cells: Sequence[ClassifiedCell], info: Mapping) -> list[pathlib.Path]:
    """Writes one ``CELL.nwb`` per cell; ``file_stems`` says where its name differs from the cell's.

    Currents are in amperes, times in s from the recording's start. A start without a time zone, as most headers have
    it, is written as UTC. Where it is unknown, 1970-01-01 is written. ``session_description`` says either.

    Parameters
    ----------
    folder : an existing folder to write into. A file of the same name is replaced.
    cells : the cells to write.
    info : the content of the model's ``model_info.json``, and its ``calibration``.

    Returns
    -------
    The files, in the order of the cells; each is written atomically.

    Raises
    ------
    UserError
        If pynwb is not installed.
    OSError
        If a file cannot be written.
    """
    check_can_export_nwb()
    paths = [pathlib.Path(folder) / f'{stem}.nwb' for stem in file_stems([cell.result.cell for cell in cells])]
    for path, cell in zip(paths, cells, strict=True):
        _write(path, cell, info)
    return paths


def check_can_replace(folder: pathlib.Path, cells: Sequence[str]) -> None:
    """Raises UserError if a file of the cells is there that ``sero-classify`` has not written.

    Parameters
    ----------
    folder : of the NWB files; may not exist yet.
    cells : the names of the cells that may be written.
    """
    for stem in file_stems(cells):
        path = folder / f'{stem}.nwb'
        if path.exists() and not _is_own(path):
            raise UserError('was not written by sero-classify; move it, or choose another --output_dir', file=path)


def own_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files in a folder that ``sero-classify`` has written; the folder may not exist."""
    return sorted(path for path in folder.glob('*.nwb') if _is_own(path))


def _is_own(path: pathlib.Path) -> bool:
    import h5py

    try:
        with h5py.File(path) as file:
            return file['general/source_script'].attrs['file_name'] == _PROGRAM
    except (OSError, KeyError):  # It is not HDF5, or names no program.
        return False


def file_stems(cells: Sequence[str]) -> list[str]:
    """Returns names of files without extension, one per cell, which differ on every file system.

    Characters that some system forbids become ``_``, a long name is cut, and of names that differ only in case or in
    the Unicode form of their letters the second ends in ``-2``.

    Parameters
    ----------
    cells : names of cells, any text.
    """
    stems: dict[str, str] = {}  # by what a file system may compare
    for cell in cells:
        portable = ''.join(c if c.isprintable() and c not in _FORBIDDEN else '_' for c in cell)
        if not portable or portable.startswith('.') or _DEVICE.fullmatch(portable):
            portable = f'_{portable}'
        portable = portable.encode()[:_MOST_BYTES_OF_NAME].decode(errors='ignore')
        stem, number = portable, 1
        while _compared(stem) in stems:
            number += 1
            stem = f'{portable}-{number}'
        stems[_compared(stem)] = stem
    return list(stems.values())


def _compared(name: str) -> str:
    return unicodedata.normalize('NFC', unicodedata.normalize('NFC', name).casefold())


def _write(path: pathlib.Path, cell: ClassifiedCell, info: Mapping) -> None:
    import h5py
    import pynwb

    # Made in memory: HDF5 may crash the process when the disk is full.
    content = io.BytesIO()
    with h5py.File(content, 'w') as file, pynwb.NWBHDF5IO(file=file, mode='w') as writer:
        writer.write(_nwb_file(cell, info))
    with staged(path) as temporary, open(temporary, 'wb') as on_disk:
        on_disk.write(content.getbuffer())


def _nwb_file(cell: ClassifiedCell, info: Mapping) -> pynwb.NWBFile:
    import pynwb

    start = cell.started
    if start is not None and start.tzinfo is None:
        start = start.replace(tzinfo=datetime.timezone.utc)
    trigger_pa = cell.trace.trigger_pa if cell.trace else domain.TRIGGER_PA
    file = pynwb.NWBFile(
        session_description=_session_description(cell),
        identifier=str(uuid.uuid4()),
        experiment_description=_EXPERIMENT,
        # pynwb would take the time zone of this machine.
        file_create_date=datetime.datetime.now(datetime.timezone.utc),
        session_start_time=start or _UNKNOWN_START,
        session_id=cell.result.cell,
        source_script=f'sero-spikes {beam_pipelines.__version__}',
        source_script_file_name=_PROGRAM,
        notes=model_description(info),
        keywords=_keywords(cell, info),
    )
    units = pynwb.misc.Units(
        name='units',
        description=(
            'One cell, and whether it is serotonergic by the shape of its spikes. Spike times are those of the trigger,'
            f' the first sample at or below {trigger_pa:.4g} pA; a waveform begins'
            f' {1e3 * domain.SAMPLES_BEFORE_TRIGGER / domain.SAMPLING_RATE_HZ:g} ms before it.'
        ),
        waveform_rate=float(domain.SAMPLING_RATE_HZ),
        waveform_unit='amperes',
        resolution=1 / domain.SAMPLING_RATE_HZ,
    )
    for name, description in COLUMNS.items():
        units.add_column(name=name, description=description)
    spikes, result = cell.spikes, cell.result
    observed = {'obs_intervals': [list(interval) for interval in cell.intervals_s]} if cell.intervals_s else {}
    units.add_unit(
        spike_times=spikes.time_s,
        waveforms=_amperes(spikes.waveform)[:, np.newaxis],  # (spikes, electrodes, samples)
        waveform_mean=_amperes(result.mean_waveform),
        **observed,
        **column_values(result),
    )
    file.units = units
    return file


def _amperes(current_pa: np.ndarray) -> np.ndarray:
    return (current_pa * _AMPERES_PER_PA).astype(np.float32)


def _session_description(cell: ClassifiedCell) -> str:
    made = find_source([cell.source])
    if made:
        first = f'{made.nwb_keyword.upper()}: it says nothing about {made.not_about}.'
    else:
        first = 'Loose-patch recording of one cell.'
    if cell.started and cell.started.tzinfo:
        second = 'session_start_time is when the first sweep started.'
    elif cell.started:
        second = 'session_start_time is the local time in the recording; its time zone is not known, UTC is written.'
    else:
        second = 'session_start_time is NOT KNOWN; 1970-01-01 stands in its place.'
    return f'{first} Spikes and verdict of sero-spikes on {os.path.basename(cell.path)}. {second}'


def _keywords(cell: ClassifiedCell, info: Mapping) -> list[str]:
    keywords = ['loose patch', 'dorsal raphe', 'cell type classification']
    if made := find_source([cell.source]):
        keywords.append(made.nwb_keyword)
    if made := find_source([info.get('source', RECORDED)]):
        keywords.append(f'model trained on {made.recordings.lower()}')
    return keywords
