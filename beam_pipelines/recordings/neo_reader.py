"""Reads the current of WinWCP, Spike2 and AxoGraph recordings, and of ABF1 files of floats, through neo."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines.recordings.current_channels import channel_of_header, choose_currents
from beam_pipelines.recordings.library_errors import library_errors, silenced
from beam_pipelines.recordings.limits import check_samples, check_sweeps
from beam_pipelines.recordings.neo_promises import check_neo_promises
from beam_pipelines.recordings.recording import RecordedCurrent, starts_with_gaps
from beam_pipelines.recordings.rejection import RecordingRejected, missing_library
from beam_pipelines.recordings.start_times import known_start

if TYPE_CHECKING:
    from neo.rawio.baserawio import BaseRawIO

# neo's reader of each format, by the end of the file's name. Only formats without pickle and without embedded code.
NEO_READERS = {
    '.wcp': 'WinWcpRawIO',
    '.smr': 'Spike2RawIO',
    '.axgx': 'AxographRawIO',
    '.axgd': 'AxographRawIO',
}
_ABF_READER = 'AxonRawIO'


def read_neo_currents(path: str, channel: str | None = None) -> list[RecordedCurrent]:
    """Reads the currents in a file whose name ends with a key of ``NEO_READERS``.

    Parameters
    ----------
    path : a local file.
    channel : see ``current_channels.choose_currents``.

    Returns
    -------
    At least one, in pA.

    Raises
    ------
    RecordingRejected
        If the file cannot be used, or neo is not installed.
    """
    return _read(path, NEO_READERS[os.path.splitext(path)[1].lower()], channel)


def read_float_abf1(path: str, channel: str | None = None) -> list[RecordedCurrent]:
    """Reads an ABF1 file of floats, which pyABF does not read; see ``read_neo_currents``."""
    return _read(path, _ABF_READER, channel)


def _read(path: str, reader_name: str, channel: str | None) -> list[RecordedCurrent]:
    try:
        from neo import rawio  # Imported here because it takes longer than reading a recording.
    except ImportError:
        raise missing_library(path, 'neo') from None
    check_neo_promises(path)
    with library_errors('neo'), np.errstate(all='ignore'):  # What overflows is rejected later.
        reader = getattr(rawio, reader_name)(filename=path)
        with silenced('neo'):
            reader.parse_header()
        check_sweeps(reader.segment_count(0))
        _check_size(reader, path)
        table = reader.header['signal_channels']
        channels = list(map(channel_of_header, table['name'], table['units']))
        return [
            _read_channel(reader, number, pa_per_unit, channels[number].name or str(number))
            for number, pa_per_unit in choose_currents(channels, channel).items()
        ]


def _read_channel(reader: BaseRawIO, number: int, pa_per_unit: float, name: str) -> RecordedCurrent:
    table = reader.header['signal_channels']
    stream = list(reader.header['signal_streams']['id']).index(table['stream_id'][number])
    in_stream = int(np.count_nonzero(table['stream_id'][:number] == table['stream_id'][number]))
    rate_hz = float(table['sampling_rate'][number])
    sweeps, starts_s = [], []
    for segment in range(reader.segment_count(0)):
        raw = reader.get_analogsignal_chunk(0, segment, stream_index=stream, channel_indexes=[in_stream])
        current = reader.rescale_signal_raw_to_float(raw, 'float64', stream, [in_stream])[:, 0]
        if len(current):
            sweeps.append((current * pa_per_unit).astype(np.float32))
            starts_s.append(float(reader.get_signal_t_start(0, segment, stream)))
    if not sweeps:
        raise RecordingRejected('bad_header', 'the file holds no sample')
    # neo leaves it out of Spike2 files.
    started = known_start(reader.raw_annotations['blocks'][0].get('rec_datetime'))
    return RecordedCurrent(sweeps, rate_hz, name, starts_with_gaps(starts_s, sweeps, rate_hz), started=started)


def _check_size(reader: BaseRawIO, path: str) -> None:
    """Rejects a file whose header promises more samples than it holds: neo would read zeros, or fill the memory."""
    table = reader.header['signal_channels']
    promised = 0
    for stream, stream_id in enumerate(reader.header['signal_streams']['id']):
        types = table['dtype'][table['stream_id'] == stream_id]
        sample_bytes = sum(np.dtype(kind).itemsize for kind in types)
        samples = sum(int(reader.get_signal_size(0, segment, stream)) for segment in range(reader.segment_count(0)))
        check_samples(samples * len(types))
        promised += samples * sample_bytes
    end = max(promised, _last_byte(reader))
    size = os.path.getsize(path)
    if end > size:
        raise RecordingRejected('truncated', f'the header promises {end} bytes of samples, the file has {size} in all')


def _last_byte(reader: BaseRawIO) -> int:
    """Returns where the last block of a Spike2 file ends; 0 for other formats, which neo checks itself.

    neo has no public name for it, and reads zeros where the file is cut within a block.
    """
    blocks = getattr(reader, '_all_data_blocks', None)
    if blocks is None:
        return 0
    bytes_of = {int(row['id']): np.dtype(row['dtype']).itemsize for row in reader.header['signal_channels']}
    return max(
        (
            int(of['pos'][-1]) + int(of['size'][-1]) * bytes_of[number]
            for number, of in blocks.items()
            if number in bytes_of
        ),
        default=0,
    )
