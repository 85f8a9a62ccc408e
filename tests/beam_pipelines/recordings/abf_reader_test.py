import struct

import numpy as np
import pyabf
import pytest

from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.formats import read_recordings
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.recording import Recording
from beam_pipelines.recordings.rejection import RecordingRejected
from tests.support.places import SHARED
from tests.support.recordings import read_abf
from tests.support.requirements import needs_shared

_SWEEPS_POSITION = 16
_MODE_POSITION, _EPISODIC = 8, 5
_INTERVAL_POSITION = 122
_NAME_POSITION, _UNIT_POSITION = 442, 602
_SCALE_FACTOR_POSITION = 922
_DATA_FORMAT_POSITION, _DATA_POINTER_POSITION = 100, 40
_TELEGRAPH_POSITION, _TELEGRAPH_GAIN_POSITION = 4512, 4576
_HEADER_BYTES, _FULL_HEADER_BYTES = 2048, 6144


def _write(tmp_path, current_pa, rate_hz=40_000):
    path = tmp_path / 'A1#1.abf'
    as_read_pa = write_abf(path, current_pa, rate_hz)
    return path, as_read_pa


def _patch(path, position: int, form: str, *values) -> None:
    content = bytearray(path.read_bytes())
    struct.pack_into(f'<{form}', content, position, *values)
    path.write_bytes(content)


def _write_floats(path, current_pa) -> None:
    """Replaces the samples of an ABF1 file by floats."""
    _patch(path, _DATA_FORMAT_POSITION, 'h', 1)
    path.write_bytes(path.read_bytes()[:_HEADER_BYTES] + current_pa.astype('<f4').tobytes())


def _rejection(path, **options) -> RecordingRejected:
    with pytest.raises(RecordingRejected) as raised:
        read_abf(str(path), **options)
    assert '\n' not in str(raised.value)
    return raised.value


@pytest.fixture
def noise_pa():
    return np.random.default_rng(0).normal(0, 20, 20_000)


def test_a_gap_free_recording_is_one_sweep_in_pa(tmp_path, noise_pa):
    path, as_read_pa = _write(tmp_path, noise_pa)
    (sweep,) = read_abf(str(path)).sweeps
    assert sweep.dtype == np.float32
    np.testing.assert_array_equal(sweep, as_read_pa)


def test_sweeps_come_apart_and_lose_no_sample(tmp_path, noise_pa):
    path, as_read_pa = _write(tmp_path, noise_pa)
    _patch(path, _MODE_POSITION, 'h', _EPISODIC)
    _patch(path, _SWEEPS_POSITION, 'i', 4)
    sweeps = read_abf(str(path)).sweeps
    assert [len(sweep) for sweep in sweeps] == [5000] * 4
    np.testing.assert_array_equal(np.concatenate(sweeps), as_read_pa)


def test_sweeps_that_do_not_divide_the_samples_are_rejected(tmp_path, noise_pa):
    path, _ = _write(tmp_path, noise_pa)
    _patch(path, _MODE_POSITION, 'h', _EPISODIC)
    _patch(path, _SWEEPS_POSITION, 'i', 3)
    assert _rejection(path).reason == 'bad_header'


@pytest.mark.parametrize('unit', ['', 'pA/V', 'Ah', 'deg C'])
def test_another_unit_is_rejected_with_its_name(tmp_path, noise_pa, unit):
    path, _ = _write(tmp_path, noise_pa)
    _patch(path, _UNIT_POSITION, '8s', unit.encode().ljust(8))
    rejected = _rejection(path)
    assert rejected.reason == 'wrong_unit'
    assert rejected.detail.endswith(f'are in {unit or "?"}')


@pytest.mark.parametrize('unit', ['V', 'mV', 'uV'])
def test_a_voltage_is_rejected_as_voltage(tmp_path, noise_pa, unit):
    path, _ = _write(tmp_path, noise_pa)
    _patch(path, _UNIT_POSITION, '8s', unit.encode().ljust(8))
    rejected = _rejection(path)
    assert (rejected.reason, rejected.detail) == (
        'voltage',
        f'the channel is a voltage (in {unit}); a current is needed',
    )


@pytest.mark.parametrize(
    ('unit', 'pa_per_unit'), [('A', 1e12), ('mA', 1e9), ('uA', 1e6), ('nA', 1e3), ('pA', 1), ('fA', 1e-3)]
)
def test_amperes_of_any_prefix_become_pa(tmp_path, noise_pa, unit, pa_per_unit):
    path, as_read = _write(tmp_path, noise_pa)
    _patch(path, _UNIT_POSITION, '8s', unit.encode().ljust(8))
    np.testing.assert_allclose(read_abf(str(path)).sweeps[0], as_read * pa_per_unit, rtol=1e-6)


@pytest.mark.parametrize('samples', ['integers', 'floats'])
@pytest.mark.parametrize('padding', [b' ', b'\0'])
def test_a_channel_can_be_named_or_numbered(tmp_path, noise_pa, padding, samples):
    path, as_read = _write(tmp_path, noise_pa)
    if samples == 'floats':
        _write_floats(path, noise_pa)
        as_read = noise_pa.astype(np.float32)
    _patch(path, _NAME_POSITION, '10s', b'IN 0'.ljust(10, padding))
    _patch(path, _UNIT_POSITION, '8s', b'nA'.ljust(8, padding))
    for channel in ('0', 'IN 0'):
        (recording,) = read_recordings(str(path), ReadingOptions(channel=channel))
        np.testing.assert_allclose(recording.sweeps[0], as_read * 1e3, rtol=1e-6)
    with pytest.raises(RecordingRejected, match='^wrong_channel: no channel 7; there are IN 0$'):
        list(read_recordings(str(path), ReadingOptions(channel='7')))


def test_a_channel_without_a_name_is_named_by_its_number(tmp_path, noise_pa):
    path, _ = _write(tmp_path, noise_pa)  # pyABF writes zeros
    with pytest.raises(RecordingRejected, match='^wrong_channel: no channel 7; there are 0$'):
        list(read_recordings(str(path), ReadingOptions(channel='7')))
    assert read_abf(str(path)).channel == '0'


def test_another_rate_is_rejected_with_both_rates(tmp_path, noise_pa):
    path, _ = _write(tmp_path, noise_pa, 20_000)
    rejected = _rejection(path)
    assert rejected.reason == 'wrong_rate'
    assert rejected.detail.startswith('20000 Hz, expected 40000 Hz')


def test_a_rate_that_is_off_by_a_rounding_error_is_40_khz(tmp_path, noise_pa):
    path, as_read_pa = _write(tmp_path, noise_pa)
    _patch(path, _INTERVAL_POSITION, 'f', 25.0001)  # us from sample to sample; pyABF makes 39999 Hz of it.
    recording = read_abf(str(path))
    np.testing.assert_array_equal(recording.sweeps[0], as_read_pa)
    assert recording.duration_s == len(as_read_pa) / 40_000


def test_a_rate_too_slow_for_a_spike_is_not_resampled(tmp_path, noise_pa):
    path, _ = _write(tmp_path, noise_pa, 5_000)
    assert _rejection(path, resample=True).reason == 'wrong_rate'


@pytest.mark.parametrize('rate_hz', [10_000, 20_000, 50_000, 100_000])
def test_resampling_keeps_the_shape_and_the_time(tmp_path, rate_hz):
    def signal(rate):
        return 80 * np.sin(2 * np.pi * 200 * np.arange(rate) / rate)

    path, _ = _write(tmp_path, signal(rate_hz), rate_hz)
    (sweep,) = read_abf(str(path), resample=True).sweeps
    assert len(sweep) == 40_000
    assert sweep.dtype == np.float32
    # The ends are left out: the filter finds nothing beyond them.
    np.testing.assert_allclose(sweep[1000:-1000], signal(40_000)[1000:-1000], atol=1)


def test_resampling_leaves_40_khz_alone(tmp_path, noise_pa):
    path, as_read_pa = _write(tmp_path, noise_pa)
    np.testing.assert_array_equal(read_abf(str(path), resample=True).sweeps[0], as_read_pa)


@pytest.mark.filterwarnings('ignore:overflow', 'ignore:invalid value')
def test_samples_that_are_not_finite_are_rejected(tmp_path, noise_pa):
    path, _ = _write(tmp_path, noise_pa)
    _patch(path, _SCALE_FACTOR_POSITION, 'f', 1e-45)
    assert _rejection(path).reason == 'not_finite'


def test_what_pyabf_stumbles_over_is_unreadable_with_its_message(tmp_path, noise_pa):
    path, _ = _write(tmp_path, noise_pa)
    _patch(path, _SCALE_FACTOR_POSITION, 'f', 0.0)
    rejected = _rejection(path)
    assert rejected.reason == 'unreadable'
    assert rejected.detail.startswith('pyABF: ZeroDivisionError')


def test_a_folder_in_place_of_a_file_is_no_file(tmp_path):
    (tmp_path / 'A1#1.abf').mkdir()
    assert _rejection(tmp_path / 'A1#1.abf').reason == 'not_a_file'


def test_a_missing_file_is_unreadable(tmp_path):
    assert _rejection(tmp_path / 'none.abf').detail == 'No such file or directory'


def test_a_header_cut_into_samples_is_unreadable(tmp_path):
    path, _ = _write(tmp_path, np.full(10, 5.0))
    assert _rejection(path).reason == 'unreadable'


# What becomes of each of the files of other laboratories: without and with --resample.
_FITTING = {
    '05210017_vc_abf1.abf': ('wrong_rate', 'wrong_unit'),  # two channels in pA
    '130618-1-12.abf': ('wrong_rate', 'used'),
    '171116sh_0014.abf': ('wrong_rate', 'used'),
    '17o05027_ic_ramp.abf': ('voltage', 'voltage'),
    '180330_ts_0032-okUnits.abf': ('voltage', 'voltage'),
    '180415_aaron_temp.abf': ('wrong_unit', 'wrong_unit'),
    '18425108.abf': ('wrong_rate', 'used'),  # in nA
    '18425108_abf1.abf': ('wrong_rate', 'used'),
    '18702001-step.abf': ('wrong_rate', 'used'),
    '18807005.abf': ('wrong_rate', 'used'),
    '2018-11-26 mini analysis converted.abf': ('wrong_rate', 'wrong_rate'),
    '2018_11_16_sh_0006.abf': ('wrong_rate', 'used'),
    '2018_12_15_0000.abf': ('wrong_rate', 'wrong_unit'),
    '2020_06_16_0001.abf': ('wrong_rate', 'used'),
    'DM1_0000.abf': ('wrong_rate', 'used'),
    'File_axon_3.abf': ('voltage', 'voltage'),
    'File_axon_5.abf': ('voltage', 'voltage'),
    'File_axon_7.abf': ('wrong_rate', 'wrong_rate'),
    'invalidDate-abf2.abf': ('wrong_rate', 'used'),
    'model_vc_step.abf': ('wrong_rate', 'used'),
    'pclamp11_4ch.abf': ('wrong_rate', 'wrong_unit'),
    'pclamp11_4ch_abf1.abf': ('wrong_rate', 'wrong_unit'),
    'sine sweep magnitude 20.abf': ('wrong_unit', 'wrong_unit'),
    'test_0001.abf': ('wrong_rate', 'wrong_unit'),
}


@needs_shared
def test_no_file_of_other_laboratories_is_forgotten_here():
    assert {path.name for path in (SHARED / 'data/abf').glob('*.abf')} == set(_FITTING)


@needs_shared
@pytest.mark.parametrize('resample', [False, True], ids=['as_is', 'resample'])
@pytest.mark.parametrize('name', _FITTING)
def test_each_file_of_other_laboratories_is_read_or_rejected_with_a_fitting_reason(name, resample):
    try:
        outcome = 'used' if read_abf(str(SHARED / 'data/abf' / name), resample).sweeps else 'empty'
    except RecordingRejected as error:
        outcome = error.reason
    assert outcome == _FITTING[name][resample]


@needs_shared
@pytest.mark.parametrize('name', [name for name, outcomes in _FITTING.items() if outcomes[1] == 'used'])
def test_resampled_files_last_as_long_and_have_the_same_mean(name):
    path = str(SHARED / 'data/abf' / name)
    original = pyabf.ABF(path)
    sweeps = read_abf(path, resample=True).sweeps
    seconds = sum(map(len, sweeps)) / 40_000
    assert seconds == pytest.approx(original.data.shape[1] / original.dataRate, rel=1e-3)
    channel, pa_per_unit = next(
        (original.adcUnits.index(unit), factor)
        for unit, factor in (('pA', 1), ('nA', 1000))
        if unit in original.adcUnits
    )
    difference_pa = np.concatenate(sweeps).mean() - pa_per_unit * original.data[channel].mean()
    assert abs(difference_pa) < 0.02 * original.data[channel].std() + 0.1


def test_sweeps_without_gaps_are_one_interval():
    recording = Recording([np.zeros(400, np.float32), np.zeros(400, np.float32)], 40_000)
    assert recording.intervals_s == [(0.0, 0.02)]
    np.testing.assert_allclose(recording.seconds_at(np.array([0, 799])), [0, 799 / 40_000])


def test_time_includes_the_pauses_between_sweeps():
    recording = Recording([np.zeros(400, np.float32), np.zeros(400, np.float32)], 40_000, sweep_starts_s=(0.0, 5.0))
    assert recording.intervals_s == [(0.0, 0.01), (5.0, 5.01)]
    np.testing.assert_allclose(recording.seconds_at(np.array([0, 399, 400, 440])), [0, 399 / 40_000, 5, 5.001])


@needs_shared
def test_an_episodic_recording_says_when_its_sweeps_started():
    recording = read_abf(str(SHARED / 'data/abf/2018_11_16_sh_0006.abf'), resample=True)
    assert recording.sweep_starts_s[:4] == (0.0, 5.0, 10.0, 15.0)
    assert recording.intervals_s[2] == pytest.approx((10.0, 10.1))
    # Sweeps that follow each other have no starts of their own.
    assert read_abf(str(SHARED / 'data/abf/171116sh_0014.abf'), resample=True).sweep_starts_s == ()


@pytest.mark.parametrize('scale_factor', [0.002, 1.0, 5.0])
def test_an_abf1_file_of_floats_is_read_and_not_scaled(tmp_path, noise_pa, scale_factor):
    path, _ = _write(tmp_path, noise_pa)
    _write_floats(path, noise_pa)
    _patch(path, _SCALE_FACTOR_POSITION, 'f', scale_factor)
    (sweep,) = read_abf(str(path)).sweeps
    np.testing.assert_array_equal(sweep, noise_pa.astype(np.float32))


@needs_shared
@pytest.mark.parametrize('scale_factor', [0.002, 5.0])
def test_an_abf2_file_of_floats_is_not_scaled(tmp_path, noise_pa, scale_factor):
    content = bytearray((SHARED / 'data/abf/2018_11_16_sh_0006.abf').read_bytes())
    (adc_block,) = struct.unpack_from('<I', content, 92)
    struct.pack_into('<H', content, 30, 1)  # samples are floats
    struct.pack_into('<f', content, adc_block * 512 + 40, scale_factor)
    (block, _, items) = struct.unpack_from('<IIq', content, 236)
    values = np.resize(noise_pa, items).astype('<f4')
    struct.pack_into('<IIq', content, 236, len(content) // 512 + 1, 4, items)
    padded = bytes(content).ljust((len(content) // 512 + 1) * 512, b'\0')
    path = tmp_path / 'a.abf'
    path.write_bytes(padded + values.tobytes())
    sweeps = read_abf(str(path), resample=True).sweeps
    original = pyabf.ABF(str(path))
    np.testing.assert_array_equal(original.data[0], values[:: original.channelCount])
    assert np.abs(np.concatenate(sweeps)).max() > 0


def _with_telegraph(tmp_path, noise_pa, flag: int, gain: float):
    """Writes a recording with a full ABF1 header, which has room for a telegraphed gain."""
    path, as_read_pa = _write(tmp_path, noise_pa)
    content = path.read_bytes()
    path.write_bytes(content[:_HEADER_BYTES].ljust(_FULL_HEADER_BYTES, b'\0') + content[_HEADER_BYTES:])
    _patch(path, _DATA_POINTER_POSITION, 'i', _FULL_HEADER_BYTES // 512)
    _patch(path, _TELEGRAPH_POSITION, '16h', *[flag] * 16)
    _patch(path, _TELEGRAPH_GAIN_POSITION, '16f', *[gain] * 16)
    return path, as_read_pa


@pytest.mark.parametrize('flag', [0, 2, -1, 12_345])
def test_a_telegraph_flag_that_is_garbage_changes_nothing(tmp_path, noise_pa, flag):
    path, as_read_pa = _with_telegraph(tmp_path, noise_pa, flag, 7.0)
    np.testing.assert_array_equal(read_abf(str(path)).sweeps[0], as_read_pa)


def test_a_telegraphed_gain_is_divided_by_and_one_of_nothing_is_rejected(tmp_path, noise_pa):
    path, as_read_pa = _with_telegraph(tmp_path, noise_pa, 1, 2.0)
    np.testing.assert_allclose(read_abf(str(path)).sweeps[0], as_read_pa / 2, rtol=1e-5)
    path, _ = _with_telegraph(tmp_path, noise_pa, 1, 0.0)
    assert _rejection(path).reason in ('not_finite', 'unreadable')


@needs_shared
@pytest.mark.parametrize('name', ['171116sh_0014.abf', '2018_11_16_sh_0006.abf'])
def test_a_file_cut_within_any_section_is_rejected(tmp_path, name):
    content = (SHARED / 'data/abf' / name).read_bytes()
    starts = [struct.unpack_from('<I', content, position)[0] * 512 for position in range(76, 332, 16)]
    path = tmp_path / 'a.abf'
    for start in {*starts, 512, 2048}:
        path.write_bytes(content[: min(start + 7, len(content) - 1)])
        assert _rejection(path, resample=True).reason in ('truncated', 'bad_header', 'unreadable')


@needs_shared
@pytest.mark.parametrize('name', ['model_vc_step.abf', '2018_11_16_sh_0006.abf'])
def test_steps_of_the_stimulus_are_where_the_command_jumps(name):
    path = str(SHARED / 'data/abf' / name)
    recording = next(iter(read_recordings(path, ReadingOptions(resample=True))))
    original = pyabf.ABF(path)
    per_sample, expected = 40_000 / original.dataRate, []
    for sweep in original.sweepList:
        original.setSweep(sweep)
        jumps = np.flatnonzero(np.abs(np.diff(original.sweepC)) > 0) + 1
        expected.extend((sweep * original.sweepPointCount + jumps) * per_sample)
    assert expected and set(np.round(expected).astype(int)) <= set(recording.stimulus_steps.tolist())


def test_a_gap_free_recording_has_no_stimulus(tmp_path, noise_pa):
    path, _ = _write(tmp_path, noise_pa)
    assert not len(read_abf(str(path)).stimulus_steps)
