"""The formats of recordings: which reader reads a file, by the end of its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from beam_pipelines.recordings.abf_header import check_abf_header
from beam_pipelines.recordings.abf_reader import read_abf_currents
from beam_pipelines.recordings.igor_reader import read_igor_currents
from beam_pipelines.recordings.limits import check_held
from beam_pipelines.recordings.neo_reader import NEO_READERS, read_neo_currents
from beam_pipelines.recordings.nwb_reader import read_nwb_currents
from beam_pipelines.recordings.plain_reader import PLAIN_SUFFIXES, read_plain_current
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.recording import RecordedCurrent, Recording, at_40_khz
from beam_pipelines.recordings.regular_files import regular_size
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.recordings.spike_csv import is_spike_csv

_Read = Callable[[str, str | None], Iterable[RecordedCurrent | RecordingRejected]]
_READERS: dict[str, _Read] = {
    '.abf': read_abf_currents,
    **dict.fromkeys(NEO_READERS, read_neo_currents),
    '.ibw': read_igor_currents,
    '.nwb': read_nwb_currents,
}
SUFFIXES = (*_READERS, *PLAIN_SUFFIXES)


def is_recording(path: str) -> bool:
    """Whether a file is a recording by its name; spike CSVs hold single spikes, and are none."""
    return _suffix(path) in SUFFIXES and not is_spike_csv(path)


def is_one_cell(path: str) -> bool:
    """Whether a recording is of one cell, however many currents it holds; an NWB file may hold many."""
    return _suffix(path) != '.nwb'


def read_recordings(path: str, options: ReadingOptions) -> Iterator[Recording | RecordingRejected]:
    """Reads the currents in a recording, one after the other.

    Parameters
    ----------
    path : a local file for which ``is_recording``.
    options : how it is read.

    Yields
    ------
    At least one current, at 40 kHz and in pA, whatever the SI prefix of the channel's unit. Of a file of several cells,
    in place of one that cannot be used, why.

    Raises
    ------
    RecordingRejected
        If the file cannot be used; gives the reason.
    """
    check_held(path, regular_size(path))
    read = _READERS.get(_suffix(path))
    currents = read(path, options.channel) if read else [read_plain_current(path, options)]
    for current in currents:
        if isinstance(current, RecordingRejected):
            yield current
            continue
        try:
            yield at_40_khz(current, options.resample)
        except RecordingRejected as error:
            if is_one_cell(path):
                raise
            yield RecordingRejected(error.reason, f'{current.name}: {error.detail}' if current.name else error.detail)


def is_complete(path: str) -> bool:
    """Whether a file that is being written holds all that its header promises.

    True for formats that cannot tell, and for what nobody writes: no regular file.
    """
    if _suffix(path) != '.abf':
        return True
    try:
        check_abf_header(path)
    except RecordingRejected as error:
        return error.reason == 'not_a_file'
    except OSError:
        return False
    return True


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()
