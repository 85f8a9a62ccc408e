"""What is checked of many records at once: the same as of each alone."""

import google_crc32c
import numpy as np
import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.block_checks import are_right, extend_crc


@pytest.fixture
def rows() -> np.ndarray:
    generator = np.random.default_rng(0)
    waveform = generator.normal(size=(37, 160)).astype(np.float32)
    integers = [
        generator.integers(0, 1 + record_layout.max_value(name), 37) for name in ('label', 'cell', 'trigger', 'mask')
    ]
    return record_layout.encode_records(waveform, *integers)


def _crcs(rows: np.ndarray) -> np.ndarray:
    return record_layout.view_records(rows)['crc']


@pytest.mark.parametrize('count', [0, 1, 2, 3, 8, 37])
@pytest.mark.parametrize('before', [b'', b'before'])
def test_crc_of_right_records_follows_from_the_crcs_they_hold(rows, count, before):
    assert extend_crc(google_crc32c.value(before), _crcs(rows[:count])) == google_crc32c.value(
        before + rows[:count].tobytes()
    )


def test_one_wrong_bit_in_any_place_of_the_data_or_its_crc_changes_one_side_alone(rows):
    for byte in range(record_layout.RECORD_BYTES):
        changed = rows.copy()
        changed[byte % len(rows), byte] ^= 1 << byte % 8
        assert extend_crc(0, _crcs(changed)) != google_crc32c.value(changed.tobytes())


def test_records_are_right_exactly_if_each_alone_has_nothing_but_a_wrong_crc(rows):
    assert are_right(rows) and are_right(rows[:0])
    for byte in range(record_layout.RECORD_BYTES):
        for bit in (0, 7):
            changed = rows.copy()
            changed[5, byte] ^= 1 << bit
            record_layout.view_records(changed)['crc'][5] = record_layout.data_crcs(changed[5:6])[0]
            assert are_right(changed) == (not record_layout.find_bad_records(changed[5:6])), (byte, bit)
    record_layout.view_records(rows)['waveform'][36, 159] = np.inf
    assert not are_right(rows)
