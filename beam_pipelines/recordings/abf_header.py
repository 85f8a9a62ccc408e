"""The header of an ABF file, read from its bytes.

Its counts are checked against the file's size before anything is read or allocated: pyABF trusts the counts in a
header, so a crafted or damaged one makes it allocate gigabytes or loop for hours. Byte positions: Axon Binary File
Format, as pyABF's ``HeaderV1``, ``HeaderV2`` and ``Section`` read them.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import struct
from typing import Any

import numpy as np

from beam_pipelines.recordings.limits import check_samples, check_sweeps
from beam_pipelines.recordings.regular_files import open_regular, regular_size
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.recordings.sources import MADE, RECORDED
from beam_pipelines.recordings.start_times import known_start

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
# pyABF reads each item, and each byte of the strings, in Python. No program writes nearly as many.
_MOST_ITEMS = 10_000
_MOST_ITEMS_OF_SECTION = {'DAC': 64, 'epoch': 1_000, 'epoch per DAC': 1_000, 'user list': 64, 'strings': 1_000}
_MOST_STRING_BYTES = 1 << 20
_ABF1_HEADER_BYTES = 2048
_READ_BYTES = 8192
_SAMPLE_TYPES: dict[int, np.dtype] = {0: np.dtype('<i2'), 1: np.dtype('<f4')}
_ABF1_TAG_BYTES = 64
_ABF1_DATA_FORMAT, _ABF2_DATA_FORMAT = 100, 30
# Where an ABF1 header points to what may follow the samples: tags, scopes, deltas, voice tags, the synch array.
_ABF1_POINTERS = (44, 52, 60, 68, 92)
# Every section of an ABF2 file has an entry here, one after the other.
_ABF2_ENTRIES = range(76, 332 + 1, 16)
# Enough to tell floats from integers; fewer are not.
_LEAST_PROBED_SAMPLES, _MOST_PROBED_SAMPLES = 512, 4096
_ABF1_VARIABLE_LENGTH_MODE = 1
_ABF1_SAMPLING_SEQUENCE = 410
_ABF1_TELEGRAPH_ENABLE = 4512

_ABF1_DATE, _ABF1_SECONDS, _ABF1_MILLISECONDS = 20, 24, 366
_ABF2_DATE = 16

# Where an ABF1 header holds its comment, which says what made a recording.
COMMENT = 310


@dataclasses.dataclass(frozen=True)
class StoredSamples:
    """Where the samples of an ABF file are.

    Attributes
    ----------
    start : position of the first byte.
    dtype : of a sample: integers, or floats in the unit of the channel.
    count : of all channels together, which take turns.
    is_abf1 : whether the file is ABF1, and not ABF2.
    """

    start: int
    dtype: np.dtype
    count: int
    is_abf1: bool


def check_abf_header(path: str) -> StoredSamples:
    """Returns where the samples of an ABF file are.

    Parameters
    ----------
    path : a local file.

    Raises
    ------
    RecordingRejected
        If it is not an ABF file, or its header promises more than the file holds, or than anybody records.
    """
    size = regular_size(path)
    with open_regular(path) as file:
        header = file.read(_READ_BYTES)
    signature = header[:4]
    if signature == b'ABF ':
        samples, end = _check_abf1(header, size)
    elif signature == b'ABF2':
        samples, end = _check_abf2(header, size)
    else:
        raise RecordingRejected('not_abf', f'the file starts with {signature!r}, not with ABF or ABF2')
    check_samples(samples.count)
    if samples.dtype.kind == 'i' and end - samples.start >= 2 * samples.count * samples.dtype.itemsize:
        _check_not_floats(path, samples)
    return samples


def _check_not_floats(path: str, samples: StoredSamples) -> None:
    """Rejects floats whose header calls them integers: half of them would be read, as noise over the whole range."""
    probed = min(samples.count, _MOST_PROBED_SAMPLES)
    if probed < _LEAST_PROBED_SAMPLES:
        return
    first = (samples.count - probed) // 2 * 4  # in the middle, as a recording may begin with zeros
    with open_regular(path) as file:
        file.seek(samples.start + first)
        values = np.abs(np.frombuffer(file.read(4 * probed), '<f4'))
    # Integers of a current are small, and two of them are no number, or next to none, if they are taken for a float.
    with np.errstate(invalid='ignore'):
        possible = (values > 1e-9) & (values < 1e9)
    if np.mean(possible | (values == 0)) > 0.99 and possible.any():
        raise RecordingRejected(
            'bad_header', 'the header says that samples are integers of 2 bytes, but they are floats'
        )


def read_source(path: str) -> str:
    """Returns ``recorded``, or the name of what made an ABF file, if this project marked it."""
    with open_regular(path) as file:
        header = file.read(_ABF1_HEADER_BYTES)
    if header[:4] == b'ABF ':
        for source in MADE:
            if header[COMMENT:].startswith(source.abf_comment):
                return source.name
    return RECORDED


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
        with open_regular(path) as file:
            header = file.read(_ABF2_HEADER_BYTES)
    except (OSError, RecordingRejected):
        return None
    if len(header) < _ABF2_HEADER_BYTES or header[:4] not in (b'ABF ', b'ABF2'):
        return None
    if header[:4] == b'ABF ':
        date, seconds = _read(header, 'i', _ABF1_DATE), _read(header, 'i', _ABF1_SECONDS)
        milliseconds = _read(header, 'h', _ABF1_MILLISECONDS)
    else:
        date, seconds, milliseconds = _read(header, 'I', _ABF2_DATE), 0, _read(header, 'I', _ABF2_DATE + 4)
    try:
        day = datetime.datetime(date // 10_000, date // 100 % 100, date % 100)
    except ValueError:
        return None
    since_midnight = datetime.timedelta(seconds=seconds, milliseconds=milliseconds)
    is_of_day = datetime.timedelta(0) <= since_midnight < datetime.timedelta(days=1)
    return known_start(day + since_midnight) if is_of_day else None


def _read(header: bytes, form: str, position: int) -> Any:
    return struct.unpack_from('<' + form, header, position)[0]


def _check_data(samples: StoredSamples, sweeps: int, channels: int, size: int) -> None:
    start, items = samples.start, samples.count
    if start < 0 or items <= 0:
        raise RecordingRejected('bad_header', f'the header promises {items} samples at byte {start}')
    held = max(size - start, 0) // samples.dtype.itemsize
    if items > held:
        raise RecordingRejected('truncated', f'the header promises {items} samples, the file holds {held}')
    if not 0 <= sweeps <= items // channels:
        raise RecordingRejected('bad_header', f'the header promises {sweeps} sweeps of {items} samples in all')
    check_sweeps(sweeps)


def _check_channels(channels: int) -> None:
    if not 1 <= channels <= _MAX_CHANNELS:
        raise RecordingRejected('bad_header', f'the header promises {channels} channels')


def _check_abf1(header: bytes, size: int) -> tuple[StoredSamples, int]:
    """Returns where the samples are, and where something else follows them."""
    if len(header) < _ABF1_HEADER_BYTES:
        raise RecordingRejected('truncated', f'{size} bytes are less than an ABF1 header')
    data_format = _read(header, 'h', _ABF1_DATA_FORMAT)
    if data_format not in _SAMPLE_TYPES:
        raise RecordingRejected('bad_header', f'the data format is {data_format}, expected 0 or 1')
    channels = _read(header, 'h', 120)
    _check_channels(channels)
    interval_us = _read(header, 'f', 122)
    if not 0 < interval_us < 1e9:
        raise RecordingRejected('bad_header', f'the sample interval is {interval_us} us')
    sweeps = _read(header, 'i', 16)
    mode, dtype, ignored = _read(header, 'h', 8), _SAMPLE_TYPES[data_format], _read(header, 'h', 14)
    block_start = _read(header, 'i', 40) * _BLOCK_BYTES
    # Points are samples. pyABF takes them for bytes, and reads all samples displaced where the number is odd.
    if not 0 <= ignored * dtype.itemsize < _BLOCK_BYTES:
        raise RecordingRejected('bad_header', f'the header ignores {ignored} samples before the first')
    start = block_start + ignored * dtype.itemsize
    samples = StoredSamples(start, dtype, _read(header, 'i', 10), is_abf1=True)
    _check_data(samples, sweeps, channels, size)
    tag_start, tags = _read(header, 'i', 44) * _BLOCK_BYTES, _read(header, 'i', 48)
    if not 0 <= tags <= _MOST_ITEMS or (tags and not 0 <= tag_start <= size - tags * _ABF1_TAG_BYTES):
        raise RecordingRejected('bad_header', f'the header promises {tags} tags at byte {tag_start} of {size}')
    _check_telegraph(header, start, channels)
    # pyABF reads no synch array from ABF1, so it would cut such sweeps in the wrong places.
    if mode == _ABF1_VARIABLE_LENGTH_MODE and sweeps > 1:
        raise RecordingRejected('variable_sweeps', f'{sweeps} sweeps of different lengths in an ABF1 file')
    others = [_read(header, 'i', position) * _BLOCK_BYTES for position in _ABF1_POINTERS]
    return samples, min([other for other in others if other > start] + [size])


def _check_telegraph(header: bytes, data_start: int, channels: int) -> None:
    """Rejects a file with an old, short header if pyABF would read its samples as a telegraphed gain."""
    for channel in range(channels):
        adc = _read(header, 'h', _ABF1_SAMPLING_SEQUENCE + 2 * channel)
        position = _ABF1_TELEGRAPH_ENABLE + 2 * adc
        if 0 <= adc < _MAX_CHANNELS and data_start <= position < len(header) - 1 and _read(header, 'h', position) == 1:
            raise RecordingRejected(
                'bad_header', f'the header ends at byte {data_start}, but pyABF reads a gain from byte {position} on'
            )


def _check_abf2(header: bytes, size: int) -> tuple[StoredSamples, int]:
    """Returns where the samples are, and where something else follows them."""
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
    channels = sections['ADC'][2]
    _check_channels(channels)
    for name, (_, item_bytes, items) in sections.items():
        if name != 'data' and items > _MOST_ITEMS_OF_SECTION.get(name, _MOST_ITEMS):
            raise RecordingRejected('bad_header', f'the {name} section promises {items} items, more than are possible')
        if name == 'strings' and items * item_bytes > _MOST_STRING_BYTES:
            raise RecordingRejected('bad_header', f'the header promises {items * item_bytes} bytes of text')
    block, item_bytes, items = sections['data']
    data_format = _read(header, 'H', _ABF2_DATA_FORMAT)
    dtype = _SAMPLE_TYPES.get(data_format)
    if item_bytes not in {kind.itemsize for kind in _SAMPLE_TYPES.values()}:
        raise RecordingRejected('bad_header', f'a sample has {item_bytes} bytes, expected 2 or 4')
    if dtype is None or dtype.itemsize != item_bytes:
        raise RecordingRejected(
            'bad_header', f'the data format is {data_format}, but a sample has {item_bytes} bytes: 0 is 2, 1 is 4 bytes'
        )
    samples = StoredSamples(block * _BLOCK_BYTES, dtype, items, is_abf1=False)
    _check_data(samples, _read(header, 'I', 12), channels, size)
    entries = [struct.unpack_from('<IIq', header, position) for position in _ABF2_ENTRIES]
    starts = [block * _BLOCK_BYTES for block, _, items in entries if items > 0]
    return samples, min([start for start in starts if start > samples.start] + [size])
