"""What a header may ask for: no file of a few bytes takes much time or memory, whatever it promises."""

import os
import struct
import time

import numpy as np
import pytest

from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.formats import read_recordings
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.rejection import RecordingRejected
from tests.fuzz.recordings import CORPUS
from tests.support import foreign_recordings as write
from tests.support.requirements import needs_posix

_MODE, _SAMPLES, _IGNORED, _SWEEPS, _DATA_FORMAT = 8, 10, 14, 16, 100
_VARIABLE_LENGTH, _EPISODIC = 1, 5


def _rejection(path, **options) -> RecordingRejected:
    with pytest.raises(RecordingRejected) as raised:
        list(read_recordings(str(path), ReadingOptions(**options)))
    return raised.value


def _patch(path, *patches) -> None:
    content = bytearray(path.read_bytes())
    for position, form, *values in patches:
        struct.pack_into(f'<{form}', content, position, *values)
    path.write_bytes(content)


@pytest.fixture
def abf1(tmp_path):
    path = tmp_path / 'A1#1.abf'
    write_abf(path, np.random.default_rng(0).normal(0, 20, 20_000), 40_000)
    return path


@pytest.fixture
def abf2(tmp_path):
    path = tmp_path / 'A1#2.abf'
    path.write_bytes((CORPUS / 'A1#2.abf').read_bytes())
    return path


def test_more_sweeps_than_anybody_records_are_rejected_at_once(tmp_path):
    path = tmp_path / 'A1#1.abf'
    write_abf(path, np.random.default_rng(0).normal(0, 20, 1_200_000), 40_000)
    _patch(path, (_MODE, 'h', _EPISODIC), (_SWEEPS, 'i', 1_200_000))
    rejected = _rejection(path)
    assert rejected.reason == 'too_long' and '1200000 sweeps' in rejected.detail


def test_epochs_of_many_sweeps_are_not_laid_out(abf2):
    # 1000 epochs in each of 5000 sweeps; what the stimulus was is only a hint, so the current is read all the same.
    content = bytearray(abf2.read_bytes())
    block = len(content) // 512 + 1
    content = content.ljust(block * 512, b'\0') + content[2560 : 2560 + 48] * 1000
    struct.pack_into('<IIq', content, 156, block, 48, 1000)
    struct.pack_into('<I', content, 12, 5120)
    abf2.write_bytes(content)
    (recording,) = read_recordings(str(abf2), ReadingOptions())
    assert len(recording.sweeps) == 5120 and not len(recording.stimulus_steps)


@pytest.mark.parametrize(
    ('name', 'position', 'item_bytes', 'items'),
    [
        ('tag', 252, 64, 20_000),
        ('synch array', 316, 8, 20_000),
        ('strings', 220, 64, 2_000),
        ('DAC', 108, 256, 100),
        ('epoch per DAC', 156, 48, 5_000),
    ],
)
def test_more_items_than_any_program_writes_are_rejected(abf2, name, position, item_bytes, items):
    with open(abf2, 'ab') as file:
        file.write(bytes(item_bytes * items))
    _patch(abf2, (position, 'IIq', 10, item_bytes, items))
    rejected = _rejection(abf2)
    assert rejected.reason == 'bad_header' and rejected.detail.startswith(f'the {name} section promises {items} items')


def test_a_megabyte_of_text_is_rejected(abf2):
    with open(abf2, 'ab') as file:
        file.write(bytes(2 << 20))
    _patch(abf2, (220, 'IIq', 10, 2 << 20, 1))
    assert 'bytes of text' in _rejection(abf2).detail


def test_sweeps_of_other_number_than_their_lengths_are_rejected(abf2):
    _patch(abf2, (512, 'h', _VARIABLE_LENGTH), (12, 'I', 5))
    assert _rejection(abf2).detail == 'the header promises 5 sweeps, and has the lengths of 4'


@pytest.mark.parametrize(('length', 'said'), [(-1, 'a sweep of -1 samples'), (5_119, 'hold 20479 of 20480')])
def test_lengths_of_sweeps_that_cannot_be_are_rejected(abf2, length, said):
    _patch(abf2, (512, 'h', _VARIABLE_LENGTH), (512 * 9 + 4, 'i', length))
    assert said in _rejection(abf2).detail


def test_sweeps_of_different_lengths_come_apart(abf2):
    fixed = next(iter(read_recordings(str(abf2), ReadingOptions())))
    _patch(abf2, (512, 'h', _VARIABLE_LENGTH), (512 * 9 + 4, 'i', 5_000), (512 * 9 + 12, 'i', 5_240))
    (variable,) = read_recordings(str(abf2), ReadingOptions())
    assert [len(sweep) for sweep in variable.sweeps] == [5_000, 5_240, 5_120, 5_120]
    np.testing.assert_array_equal(np.concatenate(variable.sweeps), np.concatenate(fixed.sweeps))


@pytest.mark.parametrize('ignored', [1, 2, 100])
def test_points_that_an_abf1_header_ignores_are_samples_as_neo_takes_them(abf1, ignored):
    from neo.rawio import AxonRawIO

    _patch(abf1, (_IGNORED, 'h', ignored), (_SAMPLES, 'i', 19_000))
    reader = AxonRawIO(filename=str(abf1))
    reader.parse_header()
    raw = reader.get_analogsignal_chunk(0, 0, stream_index=0)
    ((sweep,),) = [recording.sweeps for recording in read_recordings(str(abf1), ReadingOptions())]
    np.testing.assert_allclose(sweep, reader.rescale_signal_raw_to_float(raw, 'float32', 0)[:, 0], rtol=1e-5)


@pytest.mark.parametrize('ignored', [-1, 300])
def test_points_that_cannot_be_ignored_are_rejected(abf1, ignored):
    _patch(abf1, (_IGNORED, 'h', ignored))
    assert _rejection(abf1).reason == 'bad_header'


def test_floats_that_an_abf1_header_calls_integers_are_rejected(tmp_path):
    path = tmp_path / 'A1#3.abf'
    path.write_bytes((CORPUS / 'A1#3.abf').read_bytes())
    _patch(path, (_DATA_FORMAT, 'h', 0))
    assert _rejection(path).detail.endswith('but they are floats')


def test_a_data_format_that_contradicts_the_size_of_a_sample_is_rejected(abf2):
    _patch(abf2, (30, 'H', 1))
    assert _rejection(abf2).detail.startswith('the data format is 1, but a sample has 2 bytes')


def test_floats_that_an_abf2_header_calls_integers_are_rejected(abf2):
    counts = np.frombuffer(abf2.read_bytes()[512 * 12 :], '<i2')
    abf2.write_bytes(abf2.read_bytes()[: 512 * 12] + (counts * np.float32(0.0305)).astype('<f4').tobytes())
    assert _rejection(abf2).detail.endswith('but they are floats')


@needs_posix
@pytest.mark.parametrize('items', [2**32 + 20_480, 2**31 + 5])
def test_a_number_of_samples_that_wraps_is_no_small_number(abf2, items):
    os.truncate(abf2, 512 * 12 + 2 * items)  # a file of holes, which takes no place on the disk
    _patch_in_place(abf2, 236, struct.pack('<IIq', 12, 2, items))
    started = time.monotonic()
    assert _rejection(abf2).reason in ('truncated', 'too_long')
    assert time.monotonic() - started < 5


def _patch_in_place(path, position: int, patch: bytes) -> None:
    with open(path, 'r+b') as file:
        file.seek(position)
        file.write(patch)


@needs_posix
@pytest.mark.parametrize('name', ['a.abf', 'a.npy', 'a.csv', 'a.wcp', 'a.smr', 'a.axgx', 'a.ibw', 'a.nwb'])
def test_a_file_of_holes_is_not_read(tmp_path, name):
    (tmp_path / name).touch()
    os.truncate(tmp_path / name, 1 << 40)
    rejected = _rejection(tmp_path / name)
    assert rejected.reason == 'truncated' and str(1 << 40) in rejected.detail


def test_no_file_that_a_header_names_is_opened(abf2, tmp_path, monkeypatch):
    stimulus = tmp_path / 'stimulus.abf'
    stimulus.write_bytes(abf2.read_bytes())
    strings = b'SSCH\x01\0\0\0' + bytes(36) + b'\0\0program\0Im\0pA\0Vcmd\0mV\0' + os.fsencode(stimulus) + b'\0'
    content = bytearray(abf2.read_bytes())
    block = -(-len(content) // 512)
    abf2.write_bytes(content.ljust(block * 512, b'\0') + strings)
    _patch(abf2, (220, 'IIq', block, len(strings), 1), (1536 + 42, 'h', 2), (1536 + 118, 'i', 6))
    opened = []
    real = open

    def noting(path, *rest, **more):
        opened.append(str(path))
        return real(path, *rest, **more)

    monkeypatch.setattr('builtins.open', noting)
    (recording,) = read_recordings(str(abf2), ReadingOptions())
    assert len(recording.sweeps) == 4 and str(stimulus) not in opened and opened


@pytest.mark.parametrize('rate_hz', [1e18, 9_999_991.0, 999_983.0, 10_007.0, float('inf'), float('nan'), -40_000.0])
def test_resampling_any_rate_is_quick(tmp_path, rate_hz):
    np.save(tmp_path / 'a.npy', np.random.default_rng(0).normal(0, 20, 400_000).astype(np.float32))
    started = time.monotonic()
    try:
        list(read_recordings(str(tmp_path / 'a.npy'), ReadingOptions(resample=True, sampling_rate_hz=rate_hz)))
    except RecordingRejected as error:
        assert error.reason in ('wrong_rate', 'bad_array')
    assert time.monotonic() - started < 5


def test_a_sampling_interval_that_gives_an_absurd_rate_is_rejected(abf2):
    _patch(abf2, (514, 'f', 1e-12))
    assert _rejection(abf2, resample=True).reason == 'wrong_rate'


@pytest.mark.parametrize(
    ('old', 'new', 'reason'),
    [
        (b'NR=2', b'NR=2000000000', 'too_long'),
        (b'NBD=', b'NBD=-', 'bad_header'),
        (b'NR=2', b'NR=9999', 'truncated'),
        (b'NC=2', b'NC=999', 'bad_header'),
        (b'NR=2', b'NR=x', 'bad_header'),
    ],
)
def test_a_wcp_header_that_promises_too_much_is_rejected(tmp_path, old, new, reason):
    content = (CORPUS / 'A1#4.wcp').read_bytes()
    assert old in content
    (tmp_path / 'a.wcp').write_bytes(content.replace(old, new, 1))
    assert _rejection(tmp_path / 'a.wcp').reason == reason


@pytest.mark.parametrize(('position', 'value'), [(30, 30_000), (30, -1), (512 + 14, 32_767)])
def test_an_smr_header_that_promises_too_much_is_rejected(tmp_path, position, value):
    path = tmp_path / 'a.smr'
    path.write_bytes((CORPUS / 'A1#5.smr').read_bytes())
    _patch(path, (position, 'h', value))
    assert _rejection(path).reason == 'bad_header'


def test_an_axograph_header_that_promises_too_much_is_rejected(tmp_path):
    content = bytearray((CORPUS / 'A1#6.axgx').read_bytes())
    struct.pack_into('>i', content, 8, 2**31 - 1)
    (tmp_path / 'a.axgx').write_bytes(content)
    assert _rejection(tmp_path / 'a.axgx').reason == 'too_long'


@pytest.fixture
def nwb(tmp_path):
    path = tmp_path / 'a.nwb'
    path.write_bytes((CORPUS / 'A1#8.nwb').read_bytes())
    return path


def test_an_nwb_file_opens_no_other_file(nwb, tmp_path):
    import h5py

    with h5py.File(tmp_path / 'other.h5', 'w') as other:
        other['secret'] = np.zeros(10)
    with h5py.File(nwb, 'r+') as file:
        file['acquisition/linked'] = h5py.ExternalLink(str(tmp_path / 'other.h5'), '/secret')
    rejected = _rejection(nwb)
    assert rejected.detail == 'acquisition/linked: lies in another file'


def test_an_nwb_series_of_one_huge_chunk_is_not_read(nwb):
    import h5py

    samples = 200 << 20
    with h5py.File(nwb, 'r+') as file:
        attributes = dict(file['acquisition/one/data'].attrs)
        del file['acquisition/one/data']
        data = file['acquisition/one'].create_dataset('data', (samples,), 'i2', chunks=(samples,), compression='gzip')
        data.attrs.update(attributes)
        data.id.write_direct_chunk((0,), bytes(16 << 20))  # enough bytes for what they are said to unpack to
    one, two = read_recordings(str(nwb), ReadingOptions())
    assert one.reason == 'too_long' and one.detail.startswith('one: ') and len(two.sweeps) == 1


def test_a_constant_stimulus_may_be_compressed_as_far_as_it_goes(nwb):
    import h5py

    with h5py.File(nwb, 'r+') as file:
        attributes = dict(file['stimulus/presentation/command/data'].attrs)
        del file['stimulus/presentation/command/data']
        group = file['stimulus/presentation/command']
        group.create_dataset('data', data=np.zeros(4 << 20), compression='gzip').attrs.update(attributes)
    assert len(list(read_recordings(str(nwb), ReadingOptions()))) == 2


def test_text_that_an_nwb_file_only_promises_is_not_read(nwb):
    import h5py

    with h5py.File(nwb, 'r+') as file:
        file['general'].create_dataset('keywords', (10**9,), h5py.string_dtype(), chunks=(1 << 16,))
    assert _rejection(nwb).reason == 'truncated'


def test_rows_of_a_csv_without_line_breaks_are_not_read(tmp_path):
    (tmp_path / 'a.csv').write_bytes(b'1' * (2 << 20))
    assert _rejection(tmp_path / 'a.csv').detail.startswith('lines of more than')


def test_more_rows_than_can_be_read_are_rejected_before_they_are(tmp_path):
    (tmp_path / 'a.csv').write_bytes(b'1\n' * 24_000_002)
    started = time.monotonic()
    assert _rejection(tmp_path / 'a.csv', sampling_rate_hz=40_000.0).reason == 'too_long'
    assert time.monotonic() - started < 5


def test_what_a_library_quotes_is_shortened(tmp_path):
    (tmp_path / 'a.csv').write_text('time,current\n' + 'x' * 4000 + '\n1,2\n')
    assert len(_rejection(tmp_path / 'a.csv').detail) <= 400


@needs_posix
@pytest.mark.parametrize('suffix', ['.abf', '.csv', '.npy', '.nwb', '.wcp', '.ibw'])
def test_pipes_and_devices_are_not_read(tmp_path, suffix):
    os.mkfifo(tmp_path / f'pipe{suffix}')
    os.symlink('/dev/zero', tmp_path / f'zero{suffix}')
    for name, kind in (('pipe', 'a pipe'), ('zero', 'a device')):
        rejected = _rejection(tmp_path / f'{name}{suffix}', sampling_rate_hz=40_000.0)
        assert (rejected.reason, rejected.detail) == ('not_a_file', f'it is {kind}, and no regular file')


def test_many_short_sweeps_of_an_igor_wave_are_rejected(tmp_path):
    write.write_ibw(tmp_path / 'a.ibw', np.zeros((3, 20_000), np.float32))
    assert _rejection(tmp_path / 'a.ibw').reason == 'too_long'
