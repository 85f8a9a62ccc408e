import datetime
import struct
import time
import tracemalloc

import numpy as np
import pytest

from beam_pipelines.recordings.abf_header import check_abf_header, read_start_time
from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.rejection import RecordingRejected
from tests.support.places import SHARED
from tests.support.recordings import read_abf
from tests.support.requirements import needs_shared

_ABF2_SECTIONS = {
    'protocol': (76, 512),
    'ADC': (92, 128),
    'DAC': (108, 256),
    'epoch': (124, 32),
    'epoch per DAC': (156, 48),
    'user list': (172, 64),
    'strings': (220, 200),
    'tag': (252, 64),
    'synch array': (316, 8),
}
_ABF2_DATA = 236

# What a header of a few bytes may cost to reject; each of these promises far more.
_MOST_BYTES = 4 << 20
_MOST_SECONDS = 2


@pytest.fixture
def abf1(tmp_path) -> bytearray:
    current_pa = np.random.default_rng(0).normal(0, 3, 20_000)
    current_pa[10_000:10_020] = -80
    write_abf(tmp_path / 'good.abf', current_pa, 40_000)
    return bytearray((tmp_path / 'good.abf').read_bytes())


@pytest.fixture
def abf2() -> bytearray:
    """An ABF2 header with one item in each section, and 1000 samples of 2 bytes: as much as is checked before pyABF."""
    content = bytearray(512 * 16)
    content[:4] = b'ABF2'
    struct.pack_into('<I', content, 12, 1)
    for block, (position, item_bytes) in enumerate(_ABF2_SECTIONS.values(), start=1):
        struct.pack_into('<IIq', content, position, block, item_bytes, 1)
    struct.pack_into('<IIq', content, _ABF2_DATA, 11, 2, 1000)
    return content


def _rejection(tmp_path, content: bytes, read=check_abf_header) -> RecordingRejected:
    """Returns the rejection, and fails the test if it took memory or time that only a trusted header would take."""
    path = tmp_path / 'crafted.abf'
    path.write_bytes(content)
    import pyabf  # noqa: F401 - what its import takes is not the header's doing.

    tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises(RecordingRejected) as raised:
            read(str(path))
        assert time.monotonic() - started < _MOST_SECONDS
        assert tracemalloc.get_traced_memory()[1] < _MOST_BYTES
    finally:
        tracemalloc.stop()
    return raised.value


def _patched(content: bytearray, position: int, form: str, *values) -> bytearray:
    struct.pack_into(f'<{form}', content, position, *values)
    return content


def test_a_good_abf1_header_passes(tmp_path, abf1):
    (tmp_path / 'good.abf').write_bytes(abf1)
    check_abf_header(str(tmp_path / 'good.abf'))


def test_a_good_abf2_header_passes(tmp_path, abf2):
    (tmp_path / 'good.abf').write_bytes(abf2)
    check_abf_header(str(tmp_path / 'good.abf'))


@needs_shared
@pytest.mark.parametrize('path', sorted((SHARED / 'data/abf').glob('*.abf')), ids=lambda path: path.name)
def test_headers_of_other_laboratories_pass(path):
    check_abf_header(str(path))


@pytest.mark.parametrize(
    ('content', 'shown'),
    [
        (b'', "b''"),
        (b'AB', "b'AB'"),
        (b'This is no recording.\n' * 500, "b'This'"),
        (bytes(5000), r"b'\x00\x00\x00\x00'"),
    ],
)
def test_what_is_no_abf_file_is_rejected_with_its_first_bytes(tmp_path, content, shown):
    rejected = _rejection(tmp_path, content, read_abf)
    assert rejected.reason == 'not_abf'
    assert shown in rejected.detail


@pytest.mark.parametrize(('signature', 'size'), [(b'ABF ', 2047), (b'ABF2', 511), (b'ABF ', 4), (b'ABF2', 4)])
def test_a_file_shorter_than_its_header_is_rejected(tmp_path, signature, size):
    rejected = _rejection(tmp_path, signature.ljust(size, b'\0'))
    assert rejected.reason == 'truncated'
    assert rejected.detail.startswith(f'{size} bytes')


def test_a_truncated_abf1_file_is_rejected_with_both_numbers(tmp_path, abf1):
    rejected = _rejection(tmp_path, abf1[: 2048 + 2 * 12_345], read_abf)
    assert rejected.reason == 'truncated'
    assert rejected.detail == 'the header promises 20000 samples, the file holds 12345'


def test_a_truncated_abf2_file_is_rejected_with_both_numbers(tmp_path, abf2):
    rejected = _rejection(tmp_path, abf2[: 512 * 11 + 200])
    assert rejected.reason == 'truncated'
    assert rejected.detail == 'the header promises 1000 samples, the file holds 100'


@pytest.mark.parametrize(
    ('position', 'form', 'value', 'reason'),
    [
        (10, 'i', 2**31 - 1, 'truncated'),  # samples
        (10, 'i', -1, 'bad_header'),
        (10, 'i', 0, 'bad_header'),
        (16, 'i', 2**31 - 1, 'bad_header'),  # sweeps
        (16, 'i', -5, 'bad_header'),
        (40, 'i', 2**22, 'truncated'),  # block where the samples start
        (40, 'i', -9, 'bad_header'),
        (48, 'i', 2**31 - 1, 'bad_header'),  # tags
        (48, 'i', -1, 'bad_header'),
        (100, 'h', 2, 'bad_header'),  # data format
        (120, 'h', 0, 'bad_header'),  # channels
        (120, 'h', 32_767, 'bad_header'),
        (122, 'f', 0.0, 'bad_header'),  # sample interval
        (122, 'f', float('nan'), 'bad_header'),
        (122, 'f', -25.0, 'bad_header'),
    ],
)
def test_an_abf1_header_that_promises_too_much_is_rejected_at_once(tmp_path, abf1, position, form, value, reason):
    assert _rejection(tmp_path, _patched(abf1, position, form, value), read_abf).reason == reason


def test_abf1_sweeps_of_different_lengths_are_rejected(tmp_path, abf1):
    _patched(abf1, 16, 'i', 2)
    assert _rejection(tmp_path, _patched(abf1, 8, 'h', 1), read_abf).reason == 'variable_sweeps'


@pytest.mark.parametrize('name', _ABF2_SECTIONS)
@pytest.mark.parametrize('promise', [(1, 64, 2**31 - 1), (1, 2**32 - 1, 1), (2**32 - 1, 64, 1), (1, 64, 2**62)])
def test_an_abf2_section_beyond_the_end_of_the_file_is_rejected_with_its_name(tmp_path, abf2, name, promise):
    rejected = _rejection(tmp_path, _patched(abf2, _ABF2_SECTIONS[name][0], 'IIq', *promise), read_abf)
    assert rejected.reason == 'bad_header'
    assert rejected.detail.startswith(f'the {name} section promises {promise[2]} items')


@pytest.mark.parametrize('promise', [(1, 0, 5), (1, 64, -1)])
def test_an_abf2_section_that_cannot_be_is_rejected(tmp_path, abf2, promise):
    assert _rejection(tmp_path, _patched(abf2, 252, 'IIq', *promise), read_abf).reason == 'bad_header'


@pytest.mark.parametrize(
    ('block', 'item_bytes', 'items', 'reason'),
    [
        (11, 2, 2**31 - 1, 'truncated'),
        (11, 2, 2**40, 'truncated'),
        (2**32 - 1, 2, 1000, 'truncated'),
        (11, 2, -1, 'bad_header'),
        (11, 2, 0, 'bad_header'),
        (11, 0, 1000, 'bad_header'),
        (11, 8, 100, 'bad_header'),
    ],
)
def test_an_abf2_header_that_promises_too_many_samples_is_rejected(tmp_path, abf2, block, item_bytes, items, reason):
    crafted = _patched(abf2, _ABF2_DATA, 'IIq', block, item_bytes, items)
    assert _rejection(tmp_path, crafted, read_abf).reason == reason


def test_an_abf2_header_that_promises_more_sweeps_than_samples_is_rejected(tmp_path, abf2):
    assert _rejection(tmp_path, _patched(abf2, 12, 'I', 2**32 - 1), read_abf).reason == 'bad_header'


@pytest.mark.parametrize('channels', [0, 17, 30])
def test_an_abf2_header_with_an_impossible_number_of_channels_is_rejected(tmp_path, abf2, channels):
    crafted = _patched(abf2, _ABF2_SECTIONS['ADC'][0], 'IIq', 1, 128, channels)
    rejected = _rejection(tmp_path, crafted, read_abf)
    assert rejected.detail == f'the header promises {channels} channels'


@needs_shared
@pytest.mark.parametrize(
    ('name', 'start'),
    [
        ('18425108_abf1.abf', datetime.datetime(2018, 4, 25, 15, 47, 51, 40_000)),
        ('test_0001.abf', datetime.datetime(2021, 7, 15, 13, 10, 30, 858_000)),  # ABF2
        ('invalidDate-abf2.abf', None),
        ('130618-1-12.abf', None),  # the year has two digits, which pyABF takes for 1806
    ],
)
def test_start_is_that_of_the_header(name, start):
    assert read_start_time(SHARED / 'data' / 'abf' / name) == start


def test_header_without_a_date_has_no_start(recordings_root):
    # pyABF would give the time of the file.
    assert read_start_time(next(recordings_root.rglob('*.abf'))) is None


@pytest.mark.parametrize('content', [b'', b'ABF ', b'ABF2' + bytes(100), b'time_s' + bytes(1000)])
def test_file_that_is_no_abf_file_has_no_start(content, tmp_path):
    path = tmp_path / 'file.abf'
    path.write_bytes(content)
    assert read_start_time(path) is None


def test_missing_file_has_no_start(tmp_path):
    assert read_start_time(tmp_path / 'gone.abf') is None
