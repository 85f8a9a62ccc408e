"""Changes records: their frames, their fields behind a right CRC, their number and order, or their bytes."""

from __future__ import annotations

import random

import numpy as np

from beam_pipelines.datasets import record_layout
from tests.fuzz.mutation import mutate

_FIELDS = ('label', 'cell', 'trigger', 'mask')
_VALUES = (0, 1, 2, 11, 12, 127, 2**20, 2**31 - 1, 2**42)
_CURRENTS = (0.0, -0.0, 1e-40, 3e38, -3e38, float('nan'), float('inf'), 1e20)


def mutate_records(content: bytes, chance: random.Random) -> bytes:
    """Returns the content of a shard with some changes; half of them keep the frames and CRCs right."""
    kind = chance.randrange(4)
    if kind == 0:
        return mutate(content, chance)
    rows = np.frombuffer(content, np.uint8).reshape(-1, record_layout.RECORD_BYTES).copy()
    first = chance.randrange(len(rows))
    if kind == 1:
        record = mutate(rows[first].tobytes(), chance)
        return rows[:first].tobytes() + record + rows[first + 1 :].tobytes()
    if kind == 2:
        other = chance.randrange(len(rows))
        order = list(range(len(rows)))
        order[first:first] = order[other : other + chance.choice((0, 1, 3))]
        order[other : other + chance.choice((0, 1, 3))] = []
        return rows[order].tobytes()
    _change_field(rows[first : first + 1], chance)
    return rows.tobytes()


def _change_field(row: np.ndarray, chance: random.Random) -> None:
    record = record_layout.view_records(row)
    if chance.random() < 1 / 3:
        record['waveform'][0, chance.randrange(record['waveform'].shape[1])] = chance.choice(_CURRENTS)
    else:
        field = chance.choice(_FIELDS)
        width = record[field].shape[1]
        value = chance.choice(_VALUES) % (record_layout.max_value(field) + 1)
        record[field][0] = [value >> 7 * byte & 0x7F | 0x80 * (byte < width - 1) for byte in range(width)]
    record['crc'] = record_layout.data_crcs(row)
