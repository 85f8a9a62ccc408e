"""When a recording was begun, by the header of its ABF file.

Read from the bytes, because pyABF takes the time of the file for that of the recording where the header has none.
Positions: Axon Binary File Format, as pyABF's ``HeaderV1`` and ``HeaderV2`` read them.
"""

from __future__ import annotations

import datetime
import os
import struct

_HEADER_BYTES = 512
_ABF1_DATE, _ABF1_SECONDS, _ABF1_MILLISECONDS = 20, 24, 366
_ABF2_DATE = 16

# Some programs write two digits of the year, or another number altogether; pCLAMP is younger than this.
_FIRST_YEAR = 1980


def read_start_time(path: str | os.PathLike) -> datetime.datetime | None:
    """Returns the local time, without time zone, at which a recording was begun.

    Parameters
    ----------
    path : a local file.

    Returns
    -------
    None if it is no ABF file, cannot be read, or its header has no whole date.
    """
    try:
        with open(path, 'rb') as file:
            header = file.read(_HEADER_BYTES)
    except OSError:
        return None
    if len(header) < _HEADER_BYTES or header[:4] not in (b'ABF ', b'ABF2'):
        return None
    if header[:4] == b'ABF ':
        date, seconds = struct.unpack_from('<ii', header, _ABF1_DATE)
        (milliseconds,) = struct.unpack_from('<h', header, _ABF1_MILLISECONDS)
    else:
        date, milliseconds = struct.unpack_from('<II', header, _ABF2_DATE)
        seconds = 0
    if date // 10_000 < _FIRST_YEAR:
        return None
    try:
        day = datetime.datetime(date // 10_000, date // 100 % 100, date % 100)
    except ValueError:
        return None
    since_midnight = datetime.timedelta(seconds=seconds, milliseconds=milliseconds)
    return day + since_midnight if datetime.timedelta(0) <= since_midnight < datetime.timedelta(days=1) else None
