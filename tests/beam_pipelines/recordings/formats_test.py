import struct
import sys

import h5py
import numpy as np
import pytest

from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.formats import is_recording, read_recordings
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.rejection import RecordingRejected
from tests.support import foreign_recordings as write

# pynwb reads times as Python does, and rejects the file on 3.10.
_from_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason='Python 3.10 does not read this form of ISO 8601')


@pytest.fixture
def current_pa():
    return np.random.default_rng(0).normal(0, 20, 20_480)


def _read(path, **options):
    return list(read_recordings(str(path), ReadingOptions(**options)))


def _rejection(path, **options) -> RecordingRejected:
    """Returns why a file, or the first current in a file of several, is rejected."""
    try:
        rejected = next(of for of in _read(path, **options) if isinstance(of, RecordingRejected))
    except RecordingRejected as error:
        rejected = error
    assert '\n' not in str(rejected)
    return rejected


def _assert_same(recording, current_pa, atol=1e-3):
    np.testing.assert_allclose(np.concatenate(recording.sweeps), current_pa, atol=atol)
    assert recording.sweeps[0].dtype == np.float32


def test_a_winwcp_file_gives_its_current_and_not_its_voltage(tmp_path, current_pa):
    stored = write.write_wcp(tmp_path / 'a.wcp', current_pa.reshape(2, 10_240))
    (recording,) = _read(tmp_path / 'a.wcp')
    assert recording.channel == 'Im' and len(recording.sweeps) == 2
    _assert_same(recording, stored.ravel())
    assert recording.sweep_starts_s == ()  # neo does not know them


def test_a_winwcp_file_in_na_is_converted(tmp_path, current_pa):
    stored = write.write_wcp(tmp_path / 'a.WCP', current_pa[np.newaxis] / 1000, 'nA')
    _assert_same(_read(tmp_path / 'a.WCP')[0], stored[0] * 1000)


def test_a_spike2_file_with_a_pause_has_two_sweeps_at_their_times(tmp_path, current_pa):
    write.write_smr(tmp_path / 'a.smr', current_pa, pause_after=8_000)
    (recording,) = _read(tmp_path / 'a.smr')
    _assert_same(recording, current_pa)
    assert [len(sweep) for sweep in recording.sweeps] == [8_000, 12_480]
    assert recording.sweep_starts_s == pytest.approx((0, 1.2))


def test_an_axograph_file_in_amperes_is_converted(tmp_path, current_pa):
    write.write_axgx(tmp_path / 'a.axgx', current_pa)
    _assert_same(_read(tmp_path / 'a.axgx')[0], current_pa)


def test_an_igor_wave_has_a_sweep_in_each_column(tmp_path, current_pa):
    write.write_ibw(tmp_path / 'a.ibw', current_pa.reshape(2, 10_240).T)
    (recording,) = _read(tmp_path / 'a.ibw')
    assert len(recording.sweeps) == 2
    _assert_same(recording, current_pa)


def test_an_igor_wave_keeps_its_rate_and_unit(tmp_path, current_pa):
    write.write_ibw(tmp_path / 'a.ibw', current_pa, 'V')
    assert _rejection(tmp_path / 'a.ibw').reason == 'voltage'
    write.write_ibw(tmp_path / 'a.ibw', current_pa, rate_hz=20_000)
    assert _rejection(tmp_path / 'a.ibw').reason == 'wrong_rate'
    assert sum(map(len, _read(tmp_path / 'a.ibw', resample=True)[0].sweeps)) == 2 * len(current_pa)


def test_each_recorded_current_of_an_nwb_file_is_a_recording(tmp_path, current_pa):
    write.write_nwb(tmp_path / 'a.nwb', {'one': current_pa, 'two': -current_pa})
    one, two = _read(tmp_path / 'a.nwb')
    assert (one.channel, two.channel) == ('one', 'two')
    _assert_same(one, current_pa, atol=1e-2)
    _assert_same(two, -current_pa, atol=1e-2)
    (only,) = _read(tmp_path / 'a.nwb', channel='two')
    np.testing.assert_array_equal(only.sweeps[0], two.sweeps[0])
    assert _rejection(tmp_path / 'a.nwb', channel='three').reason == 'wrong_channel'
    assert one.source == 'recorded'


def test_series_of_one_electrode_are_sweeps_of_one_cell_in_the_order_of_their_starts(tmp_path, current_pa):
    starts_s = {'b': 0.0, 'a': 7.5, 'c': 11.0}
    write.write_nwb(
        tmp_path / 'a.nwb', {name: current_pa * number for number, name in enumerate('abc', 1)}, None, starts_s
    )
    (recording,) = _read(tmp_path / 'a.nwb')
    assert recording.sweep_starts_s == (0.0, 7.5, 11.0)
    _assert_same(recording, np.concatenate([2 * current_pa, current_pa, 3 * current_pa]), atol=1e-2)


def test_cells_of_an_nwb_file_in_other_units_stay(tmp_path, current_pa):
    write.write_nwb(tmp_path / 'a.nwb', {'one': current_pa, 'two': current_pa})
    write.add_series(tmp_path / 'a.nwb', 'three', current_pa / 1000, 'nA')
    write.add_series(tmp_path / 'a.nwb', 'four', current_pa, 'picoamperes')
    recordings = _read(tmp_path / 'a.nwb')
    assert sorted(recording.channel for recording in recordings) == ['four', 'one', 'three', 'two']
    for recording in recordings:
        _assert_same(recording, current_pa, atol=1e-2)


def test_a_spoiled_series_of_an_nwb_file_leaves_the_others(tmp_path, current_pa):
    spoiled_pa = np.append(current_pa, np.nan)
    write.write_nwb(tmp_path / 'a.nwb', {'good': current_pa, 'spoiled': spoiled_pa})
    good, rejected = _read(tmp_path / 'a.nwb')
    _assert_same(good, current_pa, atol=1e-2)
    assert rejected.reason == 'not_finite' and rejected.detail.startswith('spoiled: ')


def test_an_nwb_file_of_another_rate_is_rejected_or_resampled(tmp_path, current_pa):
    write.write_nwb(tmp_path / 'a.nwb', {'one': current_pa}, rate_hz=20_000)
    assert _rejection(tmp_path / 'a.nwb').reason == 'wrong_rate'
    assert len(_read(tmp_path / 'a.nwb', resample=True)[0].sweeps[0]) == 2 * len(current_pa)


def test_an_nwb_file_says_what_made_it(tmp_path, current_pa):
    write.write_nwb(tmp_path / 'a.nwb', {'one': current_pa}, ['simulated recording'])
    assert _read(tmp_path / 'a.nwb')[0].source == 'simulated'
    write.write_nwb(tmp_path / 'b.nwb', {'one': current_pa}, ['real spike shapes, simulated noise'])
    assert _read(tmp_path / 'b.nwb')[0].source == 'real_shapes'


def test_samples_that_an_nwb_file_only_promises_are_not_read(tmp_path, current_pa):
    import h5py

    write.write_nwb(tmp_path / 'a.nwb', {'one': current_pa})
    with h5py.File(tmp_path / 'a.nwb', 'r+') as file:
        attributes = dict(file['acquisition/one/data'].attrs)
        del file['acquisition/one/data']
        file['acquisition/one'].create_dataset('data', (10**12,), 'i2', chunks=(4096,)).attrs.update(attributes)
    assert _rejection(tmp_path / 'a.nwb').reason == 'truncated'


@pytest.mark.parametrize('dtype', ['f8', 'f4', 'i2'])
def test_a_plain_array_needs_its_rate(tmp_path, current_pa, dtype):
    current_pa = current_pa.round().astype(dtype)
    np.save(tmp_path / 'a.npy', current_pa)
    rejected = _rejection(tmp_path / 'a.npy')
    assert rejected.reason == 'wrong_rate' and '--sampling_rate_hz' in rejected.detail
    _assert_same(_read(tmp_path / 'a.npy', sampling_rate_hz=40_000.0)[0], current_pa)


@pytest.mark.parametrize(
    ('array', 'reason'),
    [
        (np.zeros((4, 4)), 'bad_array'),
        (np.zeros(0), 'bad_array'),
        (np.zeros(4, complex), 'bad_array'),
        (np.array([{}, 1], object), 'bad_array'),
        (np.array(['a']), 'bad_array'),
        (np.append(np.zeros(30_000), np.nan), 'not_finite'),
        (np.append(np.zeros(30_000), 1e300), 'not_finite'),
    ],
)
def test_an_array_that_is_no_current_is_rejected(tmp_path, array, reason):
    np.save(tmp_path / 'a.npy', array)
    assert _rejection(tmp_path / 'a.npy', sampling_rate_hz=40_000.0).reason == reason


def test_a_plain_csv_may_have_titles_and_times(tmp_path, current_pa):
    path, rate = tmp_path / 'a.csv', 40_000.0
    np.savetxt(path, current_pa)
    _assert_same(_read(path, sampling_rate_hz=rate)[0], current_pa)
    np.savetxt(
        path,
        np.column_stack([np.arange(len(current_pa)) / rate, current_pa]),
        '%.7g',
        ',',
        header='time_s,pA',
        comments='',
    )
    _assert_same(_read(path)[0], current_pa)
    assert _rejection(path, sampling_rate_hz=20_000.0).reason == 'wrong_rate'


def test_a_byte_order_mark_is_no_title(tmp_path, current_pa):
    path = tmp_path / 'a.csv'
    np.savetxt(path, current_pa)
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    _assert_same(_read(path, sampling_rate_hz=40_000.0)[0], current_pa)


@pytest.mark.parametrize(
    ('title', 'pa_per_unit'), [('Im (nA)', 1e3), ('"current [pA]"', 1), ('I', 1), ('current (A)', 1e12)]
)
def test_the_unit_in_a_title_is_that_of_the_current(tmp_path, current_pa, title, pa_per_unit):
    rows = '\n'.join(f'{value / pa_per_unit:.9g}' for value in current_pa)
    (tmp_path / 'a.csv').write_text(f'{title}\n{rows}\n')
    _assert_same(_read(tmp_path / 'a.csv', sampling_rate_hz=40_000.0)[0], current_pa, atol=1e-2)


def test_a_voltage_in_a_title_is_rejected(tmp_path, current_pa):
    np.savetxt(tmp_path / 'a.csv', current_pa, header='Vm (mV)', comments='')
    assert _rejection(tmp_path / 'a.csv', sampling_rate_hz=40_000.0).reason == 'voltage'


def test_times_in_ms_and_numbers_of_rows_are_told(tmp_path, current_pa):
    for step in (0.025, 1):
        times = step * np.arange(len(current_pa))
        np.savetxt(tmp_path / 'a.csv', np.column_stack([times, current_pa]), delimiter=',')
        rejected = _rejection(tmp_path / 'a.csv')
        assert rejected.reason == 'wrong_rate' and 'not a time in s' in rejected.detail


def test_a_single_spike_is_no_recording(tmp_path, current_pa):
    np.savetxt(tmp_path / 'a.csv', current_pa[:160])
    np.save(tmp_path / 'a.npy', current_pa[:160])
    for suffix in ('csv', 'npy'):
        rejected = _rejection(tmp_path / f'a.{suffix}', sampling_rate_hz=40_000.0)
        assert rejected.reason == f'bad_{"csv" if suffix == "csv" else "array"}' and '4 ms' in rejected.detail


def test_a_plain_file_has_no_channels(tmp_path, current_pa):
    np.save(tmp_path / 'a.npy', current_pa)
    assert _rejection(tmp_path / 'a.npy', sampling_rate_hz=40_000.0, channel='Im').reason == 'wrong_channel'


@pytest.mark.parametrize(
    'header',
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4,",
        "{'descr': (), 'shape': (4,)}",
        '(' * 500,
        "{'a': 10**9**9}",
    ],
)
def test_a_damaged_header_of_an_array_is_rejected(tmp_path, header):
    content = b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header.encode()
    (tmp_path / 'a.npy').write_bytes(content + bytes(100))
    assert _rejection(tmp_path / 'a.npy', sampling_rate_hz=40_000.0).reason == 'bad_array'


def test_an_igor_wave_that_promises_more_than_it_holds_is_rejected(tmp_path, current_pa, caplog):
    write.write_ibw(tmp_path / 'a.ibw', current_pa)
    content = (tmp_path / 'a.ibw').read_bytes()
    for position in range(4, 60, 4):
        damaged = content[:position] + (2**31 - 1).to_bytes(4, 'little') + content[position + 4 :]
        (tmp_path / 'a.ibw').write_bytes(damaged)
        assert _rejection(tmp_path / 'a.ibw').reason == 'truncated'
    assert not caplog.records


@pytest.mark.parametrize('content', ['', 'a\nb\n', '1,2,3\n4,5,6\n', '1\n2,3\n', '0.1,5\n0.1,5\n0.1,5\n', '\xff\n1\n'])
def test_another_csv_is_rejected(tmp_path, content):
    (tmp_path / 'a.csv').write_bytes(content.encode('latin-1'))
    assert _rejection(tmp_path / 'a.csv', sampling_rate_hz=40_000.0).reason == 'bad_csv'


_WRITERS = {
    'wcp': lambda path, current_pa: write.write_wcp(path, current_pa[np.newaxis]),
    'smr': write.write_smr,
    'axgx': write.write_axgx,
    'ibw': write.write_ibw,
    'nwb': lambda path, current_pa: write.write_nwb(path, {'one': current_pa}),
    'npy': np.save,
}


@pytest.mark.parametrize('suffix', _WRITERS)
@pytest.mark.parametrize('share', [0.0, 0.0005, 0.01, 0.5, 0.97])
def test_a_file_that_is_cut_is_rejected(tmp_path, current_pa, suffix, share):
    path = tmp_path / f'a.{suffix}'
    _WRITERS[suffix](path, current_pa[:16_000])  # whole blocks, so that the file ends with a sample
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    reasons = ('truncated', 'unreadable', 'bad_array', 'bad_header') if share < 0.1 else ('truncated', 'unreadable')
    assert _rejection(path, sampling_rate_hz=40_000.0).reason in reasons


@pytest.mark.parametrize('suffix', _WRITERS)
def test_a_file_of_other_bytes_is_rejected(tmp_path, suffix):
    path = tmp_path / f'a.{suffix}'
    path.write_bytes(np.random.default_rng(0).bytes(5_000))
    assert _rejection(path, sampling_rate_hz=40_000.0).reason in ('truncated', 'unreadable', 'bad_array', 'bad_header')


def test_a_spike_csv_is_no_recording():
    assert is_recording('cell/current.csv')
    assert not is_recording('cell/cell_trigger_5.csv')
    assert not is_recording('cell/notes.pkl')


class TestStart:
    """When a recording started, with the time zone if the file has one."""

    def test_of_an_nwb_file_is_that_of_the_first_sweep(self, tmp_path, current_pa):
        first, second = current_pa.reshape(2, -1)
        write.write_nwb(tmp_path / 'a.nwb', {'a': first, 'b': second}, starts_s={'a': 90.0, 'b': 60.0})
        (recording,) = _read(tmp_path / 'a.nwb')
        assert recording.started.isoformat() == '2024-03-07T12:01:00+00:00'

    @pytest.mark.parametrize(
        ('written', 'started'),
        [
            ('2024-03-07T12:00:00+09:00', '2024-03-07T12:00:00+09:00'),
            pytest.param('20240307T120000+0900', '2024-03-07T12:00:00+09:00', marks=_from_3_11),
            pytest.param('2024-03-07T12:00:00,5+09:00', '2024-03-07T12:00:00.500000+09:00', marks=_from_3_11),
            ('2024-03-07T12:00:00', '2024-03-07T12:00:00'),  # Not in the time zone of this machine.
            ('2024-03-07', '2024-03-07T00:00:00'),
            ('1970-01-01T00:00:00+00:00', None),
        ],
    )
    def test_of_an_nwb_file_is_in_its_time_zone(self, tmp_path, current_pa, written, started):
        write.write_nwb(tmp_path / 'a.nwb', {'a': current_pa})
        with h5py.File(tmp_path / 'a.nwb', 'r+') as file:
            for name in ('session_start_time', 'timestamps_reference_time'):
                file[name][()] = written
        (recording,) = _read(tmp_path / 'a.nwb')
        assert (recording.started and recording.started.isoformat()) == started

    @pytest.mark.parametrize('start_s', [1e300, np.nan])
    def test_of_an_nwb_file_of_a_clock_without_sense_is_not_known(self, tmp_path, current_pa, start_s):
        write.write_nwb(tmp_path / 'a.nwb', {'a': current_pa}, starts_s={'a': start_s})
        (recording,) = _read(tmp_path / 'a.nwb')
        assert recording.started is None

    def test_of_a_winwcp_file_is_local(self, tmp_path, current_pa):
        for written, started in (('25/04/2018 15:47:51', '2018-04-25T15:47:51'), ('', None)):
            write.write_wcp(tmp_path / 'a.wcp', current_pa[np.newaxis], started=written)
            (recording,) = _read(tmp_path / 'a.wcp')
            assert (recording.started and recording.started.isoformat()) == started

    def test_of_an_axograph_file_is_local(self, tmp_path, current_pa):
        for notes, started in (('Created : Wed Apr 25 2018 15:47:51', '2018-04-25T15:47:51'), ('', None)):
            write.write_axgx(tmp_path / 'a.axgx', current_pa, notes)
            (recording,) = _read(tmp_path / 'a.axgx')
            assert (recording.started and recording.started.isoformat()) == started

    @pytest.mark.parametrize('samples', ['integers', 'floats'])
    def test_of_an_abf_file_is_local(self, tmp_path, current_pa, samples):
        write_abf(tmp_path / 'a.abf', current_pa, 40_000)
        content = bytearray((tmp_path / 'a.abf').read_bytes())
        struct.pack_into('<ii', content, 20, 20180425, 60 * (60 * 15 + 47) + 51)
        if samples == 'floats':
            struct.pack_into('<h', content, 100, 1)
            content[2048:] = current_pa.astype('<f4').tobytes()
        (tmp_path / 'a.abf').write_bytes(content)
        (recording,) = _read(tmp_path / 'a.abf')
        assert recording.started.isoformat() == '2018-04-25T15:47:51'
