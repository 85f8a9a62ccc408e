"""Checks what headers of WinWCP, Spike2 and AxoGraph promise before neo reads them: it loops as often as they say."""

from __future__ import annotations

import os
import re
import struct

from beam_pipelines.recordings.limits import MOST_SWEEPS, check_sweeps
from beam_pipelines.recordings.regular_files import open_regular, regular_size
from beam_pipelines.recordings.rejection import RecordingRejected

_WCP_HEADER_BYTES, _WCP_SECTOR_BYTES = 1024, 512
_WCP_MOST_CHANNELS = 128

_SMR_CHANNELS, _SMR_FIRST_CHANNEL, _SMR_CHANNEL_BYTES = 30, 512, 140
_SMR_MOST_CHANNELS = 451
_SMR_BLOCKS_OF_CHANNEL = 14
_SMR_BLOCK_HEADER_BYTES = 20

_AXGX_OLD = {b'AxGr': '>HH', b'axgx': '>ii'}


def check_neo_promises(path: str) -> None:
    """Raises RecordingRejected if a file promises more sweeps, channels or blocks than it can hold.

    Parameters
    ----------
    path : a local file, whose format is known by the end of its name; formats that are not checked pass.
    """
    suffix = os.path.splitext(path)[1].lower()
    check = {'.wcp': _check_wcp, '.smr': _check_smr, '.axgx': _check_axograph, '.axgd': _check_axograph}.get(suffix)
    if check:
        size = regular_size(path)
        with open_regular(path) as file:
            head = file.read(_SMR_FIRST_CHANNEL + _SMR_MOST_CHANNELS * _SMR_CHANNEL_BYTES)
        check(head, size)


def _check_wcp(head: bytes, size: int) -> None:
    lines = head[:_WCP_HEADER_BYTES].split(b'\r\n')
    numbers = {}
    for name in (b'NR', b'NC', b'NBD', b'NBA'):
        found = [re.fullmatch(name + rb'=\s*([-+]?\d{1,18})\s*', line) for line in lines]
        values = [int(match[1]) for match in found if match]
        if not values:
            raise RecordingRejected('bad_header', f'the header has no whole number {name.decode()}')
        # neo uses the last.
        numbers[name] = values[-1]
    records, channels, sectors, analysis = numbers.values()
    check_sweeps(records)
    if records < 1 or not 1 <= channels <= _WCP_MOST_CHANNELS or sectors < 1 or analysis < 0:
        raise RecordingRejected(
            'bad_header', f'the header promises {records} records of {sectors} sectors and {channels} channels'
        )
    promised = _WCP_HEADER_BYTES + records * (_WCP_SECTOR_BYTES * sectors + 1024)
    if promised > size:
        raise RecordingRejected('truncated', f'the header promises {promised} bytes of records, the file has {size}')


def _check_smr(head: bytes, size: int) -> None:
    if len(head) < _SMR_FIRST_CHANNEL:
        raise RecordingRejected('truncated', f'{size} bytes are less than a header')
    (channels,) = struct.unpack_from('<h', head, _SMR_CHANNELS)
    held = (len(head) - _SMR_FIRST_CHANNEL) // _SMR_CHANNEL_BYTES
    if not 1 <= channels <= min(_SMR_MOST_CHANNELS, held):
        raise RecordingRejected('bad_header', f'the header promises {channels} channels, the file can hold {held}')
    blocks = sum(
        max(
            0,
            struct.unpack_from('<h', head, _SMR_FIRST_CHANNEL + number * _SMR_CHANNEL_BYTES + _SMR_BLOCKS_OF_CHANNEL)[
                0
            ],
        )
        for number in range(channels)
    )
    if blocks * _SMR_BLOCK_HEADER_BYTES > size:
        raise RecordingRejected('bad_header', f'the header promises {blocks} blocks, the file has {size} bytes')


def _check_axograph(head: bytes, size: int) -> None:
    form = _AXGX_OLD.get(head[:4])
    if form is None or len(head) < 4 + struct.calcsize(form):
        raise RecordingRejected('bad_header', f'the file starts with {head[:4]!r}, not with AxGr or axgx')
    _, columns = struct.unpack_from(form, head, 4)
    if not 1 <= columns <= MOST_SWEEPS:
        raise RecordingRejected('too_long', f'the header promises {columns} columns, at most {MOST_SWEEPS} can be read')
