"""Checks many records at once: several times as fast as ``record_layout``, but without saying which one is wrong.

CRC-32C is linear. So the CRC of a block of records follows from the CRCs that the records hold, and one pass over the
block checks them all: a single wrong record is always found, and several cancel each other as rarely as two files have
the same CRC, once in 2^32.
"""

from __future__ import annotations

import functools

import google_crc32c
import numpy as np

from beam_pipelines.datasets import record_layout

_CONSTANT, _VALUES = (part.view('<u8') for part in record_layout.constant_bits())

# Longer runs of zeros are advanced over in two halves.
_LONGEST_RUN = 1024


def are_right(rows: np.ndarray) -> bool:
    """Whether all records have the bytes that every record has, and finite waveforms.

    Parameters
    ----------
    rows : (n, 756) uint8, C-contiguous.
    """
    prefixes = rows[:, : record_layout.WAVEFORM_OFFSET].view('<u8')
    return bool((prefixes & _CONSTANT == _VALUES).all()) and bool(
        np.isfinite(record_layout.view_records(rows)['waveform']).all()
    )


def extend_crc(crc: int, crcs_of_data: np.ndarray) -> int:
    """Returns the CRC-32C that content has together with the records after it, if these hold their right CRCs.

    Parameters
    ----------
    crc : of the content before the records.
    crcs_of_data : (n,) uint32, the masked CRC that each record holds.
    """
    of_data = record_layout.unmask_crcs(crcs_of_data)
    header = _advance(np.array([google_crc32c.value(record_layout.HEADER)], '<u4'), record_layout.DATA_BYTES)
    # After the data, a record has the four bytes of its masked CRC.
    of_records = _advance(header ^ of_data ^ crcs_of_data, 4) ^ np.uint32(google_crc32c.value(bytes(4)))
    crcs = np.concatenate([np.array([crc], '<u4'), of_records])
    size = record_layout.RECORD_BYTES
    while len(crcs) > 1:  # Neighbours become one, so each is then the CRC of twice as many bytes.
        if len(crcs) % 2:
            crcs = np.concatenate([np.zeros(1, '<u4'), crcs])  # the CRC of nothing
        crcs = _advance(crcs[::2], size) ^ crcs[1::2]
        size *= 2
    return int(crcs[0])


def _advance(crcs: np.ndarray, size: int) -> np.ndarray:
    """Returns what CRCs contribute to those of contents that are longer by ``size`` bytes: (n,) uint32."""
    byte = np.ascontiguousarray(crcs, '<u4').view(np.uint8).reshape(-1, 4)
    tables = _tables(size)
    return tables[0][byte[:, 0]] ^ tables[1][byte[:, 1]] ^ tables[2][byte[:, 2]] ^ tables[3][byte[:, 3]]


@functools.cache
def _tables(size: int) -> np.ndarray:
    """Returns what each value of each byte of a CRC contributes after ``size`` bytes: (4, 256) uint32."""
    half, rest = divmod(size, 2)
    if size > _LONGEST_RUN and not rest:
        return _advance(_tables(half).ravel(), half).reshape(4, 256)
    zeros = bytes(size)
    of_zeros = google_crc32c.value(zeros)
    values = [
        [google_crc32c.extend(byte << shift, zeros) ^ of_zeros for byte in range(256)] for shift in (0, 8, 16, 24)
    ]
    return np.array(values, '<u4')
