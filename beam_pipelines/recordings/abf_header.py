"""The header of an ABF file, read from its bytes.

Its counts are checked against the file's size before anything is read or allocated: pyABF trusts the counts in a
header, so a crafted or damaged one makes it allocate gigabytes or loop for hours. Byte positions: Axon Binary File
Format, as pyABF's ``HeaderV1``, ``HeaderV2`` and ``Section`` read them.
"""

from __future__ import annotations

import datetime
import os
import struct
from typing import Any

from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.recordings.sources import MADE, RECORDED

_BLOCK_BYTES = 512
_MAX_CHANNELS = 16

# Positions of the (block, bytes per item, items) entries of the ABF2 sections that pyABF reads.
_ABF2_SECTIONS = {
    'protocol': 76,
    'ADC': 92,
    'DAC': 108,
    'epoch': 124,
    'epoch per DAC': 156,
    'user list': 172,
    'strings': 220,
    'data': 236,
    'tag': 252,
    'synch array': 316,
}
_ABF2_HEADER_BYTES = 512
# No section has smaller items; a million one-byte items would keep pyABF busy for minutes.
_LEAST_ITEM_BYTES = 8
_ABF1_HEADER_BYTES = 2048
_READ_BYTES = 8192
_ABF1_SAMPLE_BYTES = {0: 2, 1: 4}
_ABF1_TAG_BYTES = 64
_ABF1_DATA_FORMAT = 100
_ABF1_VARIABLE_LENGTH_MODE = 1
_ABF1_SAMPLING_SEQUENCE = 410
_ABF1_TELEGRAPH_ENABLE = 4512

# Some programs write a two-digit year, or another number altogether; pCLAMP is newer than this.
_FIRST_YEAR = 1980
_ABF1_DATE, _ABF1_SECONDS, _ABF1_MILLISECONDS = 20, 24, 366
_ABF2_DATE = 16

# Where an ABF1 header holds its comment, which says what made a recording.
COMMENT = 310


def check_abf_header(path: str) -> None:
    """Raises RecordingRejected if a file is not an ABF file, or its header promises more than the file holds.

    Parameters
    ----------
    path : a local file.
    """
    size = os.path.getsize(path)
    with open(path, 'rb') as file:
        header = file.read(_READ_BYTES)
    signature = header[:4]
    if signature == b'ABF ':
        _check_abf1(header, size)
    elif signature == b'ABF2':
        _check_abf2(header, size)
    else:
        raise RecordingRejected('not_abf', f'the file starts with {signature!r}, not with ABF or ABF2')


def read_source(path: str) -> str:
    """Returns ``recorded``, or the name of what made an ABF file, if this project marked it."""
    with open(path, 'rb') as file:
        header = file.read(_ABF1_HEADER_BYTES)
    if header[:4] == b'ABF ':
        for source in MADE:
            if header[COMMENT:].startswith(source.abf_comment):
                return source.name
    return RECORDED


def is_float_abf1(path: str) -> bool:
    """Whether a file that ``check_abf_header`` accepts is an ABF1 file of floats."""
    with open(path, 'rb') as file:
        header = file.read(_ABF1_HEADER_BYTES)
    return header[:4] == b'ABF ' and _read(header, 'h', _ABF1_DATA_FORMAT) == 1


def read_start_time(path: str | os.PathLike) -> datetime.datetime | None:
    """Returns the local time, without time zone, at which a recording started.

    pyABF is not used, because it gives the file's modification time where the header has none.

    Parameters
    ----------
    path : a local file.

    Returns
    -------
    None if it is not an ABF file, cannot be read, or its header has no complete date.
    """
    try:
        with open(path, 'rb') as file:
            header = file.read(_ABF2_HEADER_BYTES)
    except OSError:
        return None
    if len(header) < _ABF2_HEADER_BYTES or header[:4] not in (b'ABF ', b'ABF2'):
        return None
    if header[:4] == b'ABF ':
        date, seconds = _read(header, 'i', _ABF1_DATE), _read(header, 'i', _ABF1_SECONDS)
        milliseconds = _read(header, 'h', _ABF1_MILLISECONDS)
    else:
        date, seconds, milliseconds = _read(header, 'I', _ABF2_DATE), 0, _read(header, 'I', _ABF2_DATE + 4)
    if date // 10_000 < _FIRST_YEAR:
        return None
    try:
        day = datetime.datetime(date // 10_000, date // 100 % 100, date % 100)
    except ValueError:
        return None
    since_midnight = datetime.timedelta(seconds=seconds, milliseconds=milliseconds)
    return day + since_midnight if datetime.timedelta(0) <= since_midnight < datetime.timedelta(days=1) else None


def _read(header: bytes, form: str, position: int) -> Any:
    return struct.unpack_from('<' + form, header, position)[0]


def _check_data(start: int, item_bytes: int, items: int, sweeps: int, size: int) -> None:
    if start < 0 or items <= 0:
        raise RecordingRejected('bad_header', f'the header promises {items} samples at byte {start}')
    held = max(size - start, 0) // item_bytes
    if items > held:
        raise RecordingRejected('truncated', f'the header promises {items} samples, the file holds {held}')
    if not 0 <= sweeps <= items:
        raise RecordingRejected('bad_header', f'the header promises {sweeps} sweeps of {items} samples in all')


def _check_channels(channels: int) -> None:
    if not 1 <= channels <= _MAX_CHANNELS:
        raise RecordingRejected('bad_header', f'the header promises {channels} channels')


def _check_abf1(header: bytes, size: int) -> None:
    if len(header) < _ABF1_HEADER_BYTES:
        raise RecordingRejected('truncated', f'{size} bytes are less than an ABF1 header')
    data_format = _read(header, 'h', _ABF1_DATA_FORMAT)
    if data_format not in _ABF1_SAMPLE_BYTES:
        raise RecordingRejected('bad_header', f'the data format is {data_format}, expected 0 or 1')
    channels = _read(header, 'h', 120)
    _check_channels(channels)
    interval_us = _read(header, 'f', 122)
    if not 0 < interval_us < 1e9:
        raise RecordingRejected('bad_header', f'the sample interval is {interval_us} us')
    sweeps = _read(header, 'i', 16)
    start = _read(header, 'i', 40) * _BLOCK_BYTES + _read(header, 'h', 14)
    _check_data(start, _ABF1_SAMPLE_BYTES[data_format], _read(header, 'i', 10), sweeps, size)
    tag_start, tags = _read(header, 'i', 44) * _BLOCK_BYTES, _read(header, 'i', 48)
    if tags < 0 or (tags and not 0 <= tag_start <= size - tags * _ABF1_TAG_BYTES):
        raise RecordingRejected('bad_header', f'the header promises {tags} tags at byte {tag_start} of {size}')
    _check_telegraph(header, start, channels)
    # pyABF reads no synch array from ABF1, so it would cut such sweeps in the wrong places.
    if _read(header, 'h', 8) == _ABF1_VARIABLE_LENGTH_MODE and sweeps > 1:
        raise RecordingRejected('variable_sweeps', f'{sweeps} sweeps of different lengths in an ABF1 file')


def _check_telegraph(header: bytes, data_start: int, channels: int) -> None:
    """Rejects a file with an old, short header if pyABF would read its samples as a telegraphed gain."""
    for channel in range(channels):
        adc = _read(header, 'h', _ABF1_SAMPLING_SEQUENCE + 2 * channel)
        position = _ABF1_TELEGRAPH_ENABLE + 2 * adc
        if 0 <= adc < _MAX_CHANNELS and data_start <= position < len(header) - 1 and _read(header, 'h', position) == 1:
            raise RecordingRejected(
                'bad_header', f'the header ends at byte {data_start}, but pyABF reads a gain from byte {position} on'
            )


def _check_abf2(header: bytes, size: int) -> None:
    if len(header) < _ABF2_HEADER_BYTES:
        raise RecordingRejected('truncated', f'{size} bytes are less than an ABF2 header')
    sections = {name: struct.unpack_from('<IIq', header, position) for name, position in _ABF2_SECTIONS.items()}
    for name, (block, item_bytes, items) in sections.items():
        if name == 'data':
            continue
        end = block * _BLOCK_BYTES + max(item_bytes, _LEAST_ITEM_BYTES) * items
        if items < 0 or (items and item_bytes == 0) or end > size:
            raise RecordingRejected(
                'bad_header',
                f'the {name} section promises {items} items of {item_bytes} bytes at block {block},'
                f' the file has {size} bytes',
            )
    _check_channels(sections['ADC'][2])
    block, item_bytes, items = sections['data']
    if item_bytes not in _ABF1_SAMPLE_BYTES.values():
        raise RecordingRejected('bad_header', f'a sample has {item_bytes} bytes, expected 2 or 4')
    _check_data(block * _BLOCK_BYTES, item_bytes, items, _read(header, 'I', 12), size)
