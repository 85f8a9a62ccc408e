"""A recording of neo or SpikeInterface has the verdict of the file of the same current, or is rejected in one line."""

import dataclasses
import re
import subprocess
import sys
import types

import neo
import numpy as np
import pytest
import quantities as pq
from spikeinterface.core import NumpyRecording

from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.cell_files import group_files
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.rejection import RecordingRejected
from tests.support.foreign_recordings import write_nwb, write_wcp
from tests.support.places import ROOT
from tests.support.simulated_current import simulated_current
from trainer import classify
from trainer.classify.measured_cell import read_measured_cells

RATE_HZ = 40_000


@pytest.fixture(scope='module')
def model(finished_run):
    return classify.load(finished_run)


@pytest.fixture(scope='module')
def current_pa() -> np.ndarray:
    return simulated_current(6.4)[0]


@pytest.fixture(scope='module')
def expected(model, current_pa):
    """The verdict on the current itself."""
    return model.classify(current_pa, RATE_HZ)


def assert_same(found, expected, atol: float = 0) -> None:
    for field in dataclasses.fields(expected):
        if field.name in ('spikes', 'warnings'):
            continue
        value, other = getattr(found, field.name), getattr(expected, field.name)
        assert value == (pytest.approx(other, abs=atol) if isinstance(other, float) else other), field.name
    np.testing.assert_array_equal(found.spikes.trigger, expected.spikes.trigger)
    np.testing.assert_allclose(found.spikes.waveform, expected.spikes.waveform, atol=atol)


def verdict_of_file(model, path):
    (recording,), _ = group_files([('original', 0, str(path))])
    ((cell, _),) = read_measured_cells(recording, ReadingOptions(cutting=model.info.cutting))
    return model.classify_cell(cell).result


def in_two_sweeps(current_pa) -> neo.Block:
    """A block whose sweeps start 60 s apart."""
    first, second = current_pa.reshape(2, -1)
    return block_of(
        segment_of(analog_signal(first, t_start=5 * pq.s)), segment_of(analog_signal(second, t_start=65 * pq.s))
    )


def analog_signal(current, units='pA', rate=RATE_HZ * pq.Hz, **fields) -> neo.AnalogSignal:
    return neo.AnalogSignal(current, units=units, sampling_rate=rate, **fields)


def segment_of(*signals) -> neo.Segment:
    segment = neo.Segment()
    segment.analogsignals.extend(signals)
    return segment


def block_of(*segments) -> neo.Block:
    block = neo.Block()
    block.segments.extend(segments)
    return block


def with_units(recording, unit='pA', gain=1.0, offset=0.0):
    count = recording.get_num_channels()
    for name, value in (('physical_unit', unit), ('gain_to_physical_unit', gain), ('offset_to_physical_unit', offset)):
        recording.set_property(name, [value] * count)
    return recording


def traces(*currents) -> np.ndarray:
    return np.stack(currents, axis=1)


def test_example_of_the_docs_runs(model, current_pa):
    page = (ROOT / 'docs' / 'classify.md').read_text(encoding='utf-8')
    (example,) = re.findall(r'```python\n(import neo\n.*?)```', page, re.DOTALL)
    calls = []
    recorder = types.SimpleNamespace(classify_recording=lambda made: calls.append(model.classify_recording(made)))
    exec(compile(example, 'docs/classify.md', 'exec'), {'model': recorder, 'current_pa': current_pa, 'np': np})
    of_neo, of_spikeinterface = calls
    assert_same(of_neo, of_spikeinterface)


class TestNeo:
    def test_segment_and_signal_have_the_verdict_of_the_current(self, model, current_pa, expected):
        signal = analog_signal(current_pa, rate=40 * pq.kHz, t_start=3 * pq.s)
        assert_same(model.classify_recording(signal), expected)
        assert_same(model.classify_recording(segment_of(signal)), expected)

    @pytest.mark.parametrize(('unit', 'pa'), [('nA', 1e-3), ('A', 1e-12), ('uA', 1e-6)])
    def test_any_unit_of_a_current_is_converted(self, model, current_pa, expected, unit, pa):
        found = model.classify_recording(segment_of(analog_signal(current_pa.astype(np.float64) * pa, unit)))
        assert_same(found, expected, 1e-4)

    def test_a_file_that_neo_has_read_has_the_verdict_of_the_file(self, model, current_pa, tmp_path):
        abf, wcp = tmp_path / 'a.abf', tmp_path / 'a.wcp'
        write_abf(abf, current_pa, RATE_HZ)
        write_wcp(wcp, current_pa.reshape(2, -1))
        for path, recording in (
            (abf, neo.AxonIO(str(abf)).read_segment()),
            (wcp, neo.WinWcpIO(str(wcp)).read_block()),
            (wcp, neo.WinWcpIO(str(wcp)).read_block(lazy=True)),
        ):
            of_file = verdict_of_file(model, path)
            found = model.classify_recording(recording)
            assert (found.verdict, found.n_spikes) == (of_file.verdict, of_file.n_spikes)
            assert (found.p_ser, found.p_ser_low) == pytest.approx((of_file.p_ser, of_file.p_ser_low), abs=1e-6)

    def test_pauses_between_segments_are_in_the_times(self, model, current_pa):
        spikes = model.classify_recording(in_two_sweeps(current_pa)).spikes
        pause_s = spikes.time_s - spikes.trigger / RATE_HZ
        assert set(pause_s.round(6)) == {0.0, 60 - 3.2}

    def test_of_several_channels_one_is_chosen_by_name_or_number(self, model, current_pa, expected):
        names = {'channel_names': np.array(['neuron', 'other'])}
        two = analog_signal(traces(current_pa, current_pa[::-1]), array_annotations=names)
        segment = segment_of(analog_signal(np.zeros(len(current_pa)), 'mV', name='Vm'), two)
        for channel in ('neuron', 1, '1'):
            assert_same(model.classify_recording(segment, channel), expected)
        with pytest.raises(RecordingRejected) as raised:
            model.classify_recording(segment)
        assert str(raised.value) == (
            'wrong_unit: 2 channels hold a current: neuron, other; name one with channel=...'
        )  # fmt: skip

    def test_the_only_channel_with_spikes_is_read_with_a_warning(self, model, current_pa, expected):
        quiet = np.random.default_rng(0).normal(0, 2, len(current_pa)).astype(np.float32)
        found = model.classify_recording(segment_of(analog_signal(traces(quiet, current_pa))))
        assert found.warning_codes == ('several_currents', *expected.warning_codes)
        assert found.p_ser == expected.p_ser

    @pytest.mark.parametrize(
        ('recording', 'line'),
        [
            (lambda pa: segment_of(analog_signal(pa, 'mV')), 'voltage: the channel is a voltage (in mV); a current is'),
            (lambda pa: segment_of(), 'wrong_unit: there is no AnalogSignal in it'),
            (lambda pa: block_of(), 'wrong_unit: there is no AnalogSignal in it'),
            (lambda pa: analog_signal(pa, rate=20 * pq.kHz), 'wrong_rate: 20000 Hz, expected 40000 Hz (resample=True'),
            (lambda pa: analog_signal(pa * 1e6), 'suspicious_scale: the largest peak is'),
            (lambda pa: analog_signal(pa[:0]), 'no_spikes: it holds no sample'),
            (lambda pa: analog_signal(np.append(pa, np.nan)), 'not_finite: a sample is not a finite number'),
            (
                lambda pa: block_of(segment_of(analog_signal(pa)), segment_of(analog_signal(pa, 'nA'))),
                'wrong_channel: its segments have different channels; give one of the segments',
            ),
            (
                lambda pa: block_of(segment_of(analog_signal(pa)), segment_of(analog_signal(pa, rate=2e4 * pq.Hz))),
                'wrong_rate: segments of 20000 to 40000 Hz',
            ),
        ],
    )
    def test_what_cannot_be_used_is_one_line(self, model, current_pa, recording, line):
        with pytest.raises(RecordingRejected) as raised:
            model.classify_recording(recording(current_pa))
        assert str(raised.value).startswith(line)
        assert '\n' not in str(raised.value) and '--' not in str(raised.value)


class TestCurrentWithAUnit:
    @pytest.mark.parametrize(('unit', 'pa'), [('pA', 1), ('nA', 1e-3), ('uA', 1e-6), ('A', 1e-12)])
    def test_is_converted(self, model, current_pa, expected, unit, pa):
        current = current_pa.astype(np.float64) * pa
        signal = analog_signal(current, unit)
        assert_same(model.classify(signal.flatten(), signal.sampling_rate), expected, 1e-4)
        assert_same(model.classify(pq.Quantity(current, unit), 40 * pq.kHz), expected, 1e-4)

    def test_of_pint_is_converted(self, model, current_pa, expected):
        pint = pytest.importorskip('pint')
        current = pint.Quantity(current_pa.astype(np.float64) * 1e-3, 'nA')
        assert_same(model.classify(current, pint.Quantity(40, 'kHz')), expected, 1e-4)
        with pytest.raises(RecordingRejected, match=r'voltage: .* \(in millivolt\)'):
            model.classify(pint.Quantity(current_pa, 'mV'), RATE_HZ)

    def test_of_astropy_is_converted(self, model, current_pa, expected):
        units = pytest.importorskip('astropy.units')
        current = current_pa.astype(np.float64) * 1e-3 * units.nA
        assert_same(model.classify(current, 40 * units.kHz), expected, 1e-4)
        with pytest.raises(RecordingRejected, match=r'voltage: .* \(in mV\)'):
            model.classify(current_pa * units.mV, RATE_HZ)

    @pytest.mark.parametrize(
        ('unit', 'line'),
        [
            ('mV', 'voltage: the channel is a voltage (in mV); a current is needed'),
            ('s', 'wrong_unit: expected a channel in pA, the 1 channel(s) are in s'),
            ('dimensionless', 'wrong_unit: expected a channel in pA, the 1 channel(s) are in dimensionless'),
        ],
    )
    def test_of_something_else_is_rejected(self, model, current_pa, unit, line):
        with pytest.raises(RecordingRejected) as raised:
            model.classify(pq.Quantity(current_pa, unit), RATE_HZ)
        assert str(raised.value) == line

    def test_of_each_number_is_an_error(self, model, current_pa):
        with pytest.raises(ValueError, match='^current_pa: expected one array with a unit, not a list of numbers that'):
            model.classify([*current_pa, 1 * pq.mV], RATE_HZ)

    def test_has_a_rate_of_frequency(self, model, current_pa):
        with pytest.raises(RecordingRejected, match=r'wrong_rate: sampling_rate_hz is in s; expected Hz or kHz'):
            model.classify(current_pa, 25e-6 * pq.s)


def test_masked_samples_are_missing_and_not_what_is_under_the_mask(model, current_pa):
    masked = np.ma.masked_array(current_pa, mask=np.arange(len(current_pa)) == 1000)
    with pytest.raises(RecordingRejected, match='not_finite'):
        model.classify(masked, RATE_HZ)
    assert model.classify(np.ma.masked_array(current_pa), RATE_HZ).n_spikes


@pytest.mark.parametrize('rate', [None, '40000', True, [40_000], 40_000j])
def test_a_rate_that_is_no_number_is_one_line(model, current_pa, rate):
    with pytest.raises(ValueError, match=r'^sampling_rate_hz: expected a number in Hz, not ') as raised:
        model.classify(current_pa, rate)
    assert '\n' not in str(raised.value)


class TestSpikeInterface:
    def test_recording_has_the_verdict_of_the_current(self, model, current_pa, expected):
        recording = with_units(NumpyRecording([traces(current_pa)], RATE_HZ))
        assert_same(model.classify_recording(recording), expected)

    def test_counts_are_scaled_by_the_gain_and_the_offset_of_the_unit(self, model, current_pa):
        counts = np.round(current_pa / 0.03 - 700).astype(np.int16)
        recording = with_units(NumpyRecording([traces(counts)], RATE_HZ), 'nA', 3e-5, 700 * 3e-5)
        # What it says of a voltage, as its readers of neo's formats set it beside the unit, is not asked for.
        recording.set_channel_gains(1.0)
        recording.set_channel_offsets(0.0)
        exact = model.classify((counts * 0.03 + 21).astype(np.float32), RATE_HZ)
        assert_same(model.classify_recording(recording), exact, 1e-4)

    def test_segments_are_sweeps(self, model, current_pa):
        halves = current_pa.reshape(2, -1)
        recording = with_units(NumpyRecording([traces(half) for half in halves], RATE_HZ, t_starts=[5.0, 65.0]))
        found = model.classify_recording(recording)
        of_neo = model.classify_recording(in_two_sweeps(current_pa))
        assert_same(found, of_neo)
        np.testing.assert_array_equal(found.spikes.time_s, of_neo.spikes.time_s)

    def test_other_rates_are_resampled_as_those_of_a_current(self, model, current_pa):
        recording = with_units(NumpyRecording([traces(current_pa[::2])], RATE_HZ / 2))
        expected = model.classify(current_pa[::2], RATE_HZ / 2, resample=True)
        assert expected.warning_codes[0] == 'resampled'
        assert_same(model.classify_recording(recording, resample=True), expected)

    def test_one_of_several_channels_is_chosen(self, model, current_pa, expected):
        both = traces(current_pa[::-1], current_pa)
        recording = with_units(NumpyRecording([both], RATE_HZ, channel_ids=['a', 'b']))
        assert_same(model.classify_recording(recording, 'b'), expected)
        assert_same(model.classify_recording(recording.select_channels(['b'])), expected)
        recording.set_property('channel_name', ['Vm_2', 'Im_2'])
        assert_same(model.classify_recording(recording, 'Im_2'), expected)
        with pytest.raises(RecordingRejected, match='wrong_channel: no channel b; there are Vm_2, Im_2'):
            model.classify_recording(recording, 'b')

    @pytest.mark.parametrize(
        ('change', 'line'),
        [
            (
                lambda recording: recording,
                'wrong_unit: its traces have no unit; of a current,'
                " recording.set_property('physical_unit', ['pA']) and gain_to_physical_unit say the unit of each",
            ),
            (
                lambda recording: recording.set_channel_gains(0.2),
                'voltage: gain_to_uV alone makes its traces a voltage; of a current, recording.set_proper',
            ),
            (lambda recording: with_units(recording, 'mV'), 'voltage: the channel is a voltage (in mV); a current is'),
            (
                lambda recording: recording.set_property('physical_unit', ['pA']),
                'wrong_unit: how many pA one count of its float32 traces is worth is not known;'
                " recording.set_property('gain_to_physical_unit', [1.0]) says it of each channel",
            ),
            (lambda recording: with_units(recording, gain=np.nan), 'not_finite: a sample is not a finite number'),
            (lambda recording: with_units(recording, gain=1e-6), 'suspicious_scale: the largest peak is'),
        ],
    )
    def test_what_cannot_be_used_is_one_line(self, model, current_pa, change, line):
        recording = NumpyRecording([traces(current_pa)], RATE_HZ)
        change(recording)
        with pytest.raises(RecordingRejected) as raised:
            model.classify_recording(recording)
        assert str(raised.value).startswith(line)
        assert '\n' not in str(raised.value) and '--' not in str(raised.value)

    def test_another_rate_says_what_to_do(self, model, current_pa):
        recording = with_units(NumpyRecording([traces(current_pa)], 30_000))
        with pytest.raises(RecordingRejected, match=r'30000 Hz, expected 40000 Hz \(resample=True takes other rates\)'):
            model.classify_recording(recording)


@pytest.mark.parametrize('recording', [np.zeros(9), b'a.abf', neo.SpikeTrain([1] * pq.s, t_stop=2)])
def test_anything_else_is_an_error_of_the_caller(model, recording):
    with pytest.raises(TypeError, match='expected a path, a BaseRecording of SpikeInterface, or a Segment, Block'):
        model.classify_recording(recording)


def test_neither_library_is_loaded_for_what_is_not_its_own(finished_run):
    program = (
        'import sys, numpy as np; from trainer import classify\n'
        f'model = classify.load({str(finished_run)!r})\n'
        'try: model.classify_recording(np.zeros(9))\n'
        'except TypeError: pass\n'
        'print({"neo", "spikeinterface"} & set(sys.modules))'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout == 'set()\n'


def test_a_file_has_the_verdict_of_its_current(model, current_pa, tmp_path):
    stored_pa = write_abf(tmp_path / 'cell.abf', current_pa, RATE_HZ)
    found = model.classify_recording(tmp_path / 'cell.abf')
    assert_same(found, model.classify(stored_pa, RATE_HZ))
    assert_same(found, model.classify_recording(str(tmp_path / 'cell.abf')))


def test_a_file_of_several_cells_asks_for_one(model, current_pa, tmp_path):
    path = tmp_path / 'cells.nwb'
    write_nwb(path, {'one': current_pa, 'two': current_pa[::-1].copy()})
    with pytest.raises(RecordingRejected, match=r'^wrong_unit: .*cells.nwb: holds 2 cells, .*; name one with channel='):
        model.classify_recording(path)
    assert model.classify_recording(path, channel='one').n_spikes == model.classify(current_pa, RATE_HZ).n_spikes


def test_a_file_that_cannot_be_used_is_named(model, tmp_path):
    (tmp_path / 'notes.txt').write_text('no recording')
    (tmp_path / 'Thumbs.db').write_text('no recording')
    (tmp_path / 'cut.abf').write_bytes(b'ABF2')
    np.save(tmp_path / 'current.npy', np.zeros(1000))
    for name, line in {
        'missing.abf': 'unreadable: {}: .*No such file',
        'notes.txt': 'unknown_format: {}: ',
        'cut.abf': '(truncated|bad_header|unreadable): {}: ',
        'current.npy': 'wrong_rate: {}: .*to classify',
        'Thumbs.db': 'unknown_format: {}: hidden, or ',
        '.': 'unknown_format: {}: a folder; ',
    }.items():
        path = tmp_path / name
        with pytest.raises(RecordingRejected, match='^' + line.format(re.escape(str(path)))):
            model.classify_recording(path)
