"""Recordings of SpikeInterface, and of its preprocessing, are read as acquired, scaled once, or rejected in a line."""

import numpy as np
import pytest
from spikeinterface import preprocessing
from spikeinterface.core import (
    BaseRecording,
    NumpyRecording,
    aggregate_channels,
    append_recordings,
    concatenate_recordings,
    load,
)

from beam_pipelines.recordings import limits
from beam_pipelines.recordings.library_objects import read_library_object
from beam_pipelines.recordings.rejection import RecordingRejected

COUNTS = np.random.default_rng(0).integers(-2000, 2000, (4000, 2)).astype(np.int16)
GAINS, OFFSETS = np.array([0.03, 0.5]), np.array([7.0, -3.0])
CURRENTS_PA = COUNTS * GAINS + OFFSETS


def recording_of(*segments: np.ndarray, t_starts: list[float] | None = None) -> BaseRecording:
    recording = NumpyRecording(list(segments), 40_000, t_starts=t_starts)
    recording.set_property('physical_unit', ['pA', 'pA'])
    recording.set_property('gain_to_physical_unit', GAINS)
    recording.set_property('offset_to_physical_unit', OFFSETS)
    recording.set_channel_gains([0.2, 0.2])
    recording.set_channel_offsets([0.0, 0.0])
    return recording


def currents_pa(recording: BaseRecording, channel: str | None = None) -> list[np.ndarray]:
    return [np.concatenate(current.sweeps) for current in read_library_object(recording, channel)]


def rejection_of(recording: BaseRecording, channel: str | None = None) -> str:
    with pytest.raises(RecordingRejected) as raised:
        read_library_object(recording, channel)
    assert '\n' not in str(raised.value)
    return str(raised.value)


def test_each_channel_has_its_own_gain_and_offset():
    for number in range(2):
        (current,) = currents_pa(recording_of(COUNTS), str(number))
        np.testing.assert_allclose(current, CURRENTS_PA[:, number], atol=1e-3)
    for current, expected in zip(currents_pa(recording_of(COUNTS)), CURRENTS_PA.T, strict=True):
        np.testing.assert_allclose(current, expected, atol=1e-3)


@pytest.mark.parametrize(
    'changed',
    [
        lambda recording: preprocessing.bandpass_filter(recording, 300, 6000),
        lambda recording: preprocessing.highpass_filter(recording, 300).select_channels(['1']),
        lambda recording: preprocessing.whiten(recording, dtype='float32'),
        lambda recording: preprocessing.zscore(recording),
        lambda recording: preprocessing.common_reference(recording),
        lambda recording: preprocessing.resample(recording, 20_000),
        lambda recording: append_recordings([recording, preprocessing.rectify(recording)]),
        lambda recording: concatenate_recordings([preprocessing.common_reference(recording), recording]),
        lambda recording: aggregate_channels([preprocessing.center(recording)]),
    ],
)
def test_what_changes_the_shape_of_spikes_is_named(changed):
    recording = changed(NumpyRecording([COUNTS], 40_000, channel_ids=['0', '1']))
    recording.set_property('physical_unit', ['pA'] * recording.get_num_channels())
    recording.set_property('gain_to_physical_unit', [1.0] * recording.get_num_channels())
    line = rejection_of(recording)
    assert line.startswith('preprocessed: preprocessed by ')
    assert line.endswith('Recording; give the recording as it was acquired')


def test_a_saved_filter_is_still_known(tmp_path):
    preprocessing.bandpass_filter(recording_of(COUNTS), 300, 6000).save(folder=tmp_path / 'saved', verbose=False)
    assert rejection_of(load(tmp_path / 'saved')).startswith('preprocessed: annotated with is_filtered; give the')


def test_selections_conversions_and_joins_are_read():
    recording = recording_of(COUNTS)
    for kept, expected in (
        (recording.select_channels([1]), CURRENTS_PA[:, 1:]),
        (recording.frame_slice(100, 900), CURRENTS_PA[100:900]),
        (preprocessing.astype(recording, 'float64'), CURRENTS_PA),
        (append_recordings([recording, recording]), np.concatenate([CURRENTS_PA, CURRENTS_PA])),
        (append_recordings([recording, recording]).select_segments([1]), CURRENTS_PA),
        (concatenate_recordings([recording, recording]), np.concatenate([CURRENTS_PA, CURRENTS_PA])),
        (aggregate_channels([recording.select_channels([0]), recording.select_channels([1])]), CURRENTS_PA),
        (preprocessing.scale_to_physical_units(recording), CURRENTS_PA),
    ):
        np.testing.assert_allclose(np.stack(currents_pa(kept), axis=1), expected, atol=1e-3)


def test_traces_that_are_scaled_already_are_not_scaled_again(tmp_path):
    recording = recording_of(COUNTS)
    scaled = preprocessing.scale_to_uV(recording)
    scaled.save(folder=tmp_path / 'saved', verbose=False)
    for twice in (
        scaled,
        scaled.frame_slice(0, 3000),
        load(tmp_path / 'saved'),
        preprocessing.scale(recording, gain=[0.03, 0.5], offset=[7.0, -3.0]),
    ):
        assert rejection_of(twice, '1') == (
            'wrong_unit: its float32 traces are scaled already, and gain_to_physical_unit (0.5) would scale them again;'
            ' give the recording before scale_to_uV or scale, or scale_to_physical_units of it'
        )


def test_a_voltage_gain_that_was_applied_to_pa_is_noticed():
    recording = recording_of(COUNTS)
    recording.set_property('gain_to_physical_unit', [1.0, 1.0])
    assert rejection_of(preprocessing.scale_to_uV(recording)).startswith('wrong_unit: its float32 traces are scaled')


def test_scaled_traces_whose_unit_is_said_are_read():
    scaled = preprocessing.scale(recording_of(COUNTS), gain=GAINS, offset=OFFSETS)
    scaled.set_property('gain_to_physical_unit', [1.0, 1.0])
    scaled.set_property('offset_to_physical_unit', [0.0, 0.0])
    np.testing.assert_allclose(np.stack(currents_pa(scaled), axis=1), CURRENTS_PA, atol=1e-3)


def test_scale_to_physical_units_is_read_where_a_channel_has_a_gain_of_one():
    recording = recording_of(COUNTS)
    recording.set_property('gain_to_physical_unit', [0.03, 1.0])
    (current,) = currents_pa(preprocessing.scale_to_physical_units(recording), '0')
    np.testing.assert_allclose(current, CURRENTS_PA[:, 0], atol=1e-3)


def test_segments_out_of_order_are_put_into_the_order_of_time():
    (current, _) = read_library_object(recording_of(COUNTS[2000:], COUNTS[:2000], t_starts=[65.0, 5.0]))
    np.testing.assert_allclose(np.concatenate(current.sweeps), CURRENTS_PA[:, 0], atol=1e-3)
    assert current.sweep_starts_s == (0.0, 60.0)


def test_too_long_counts_the_channels_that_are_read(monkeypatch):
    monkeypatch.setattr(limits, 'MOST_SAMPLES', len(COUNTS))
    recording = recording_of(COUNTS[:2000], COUNTS[2000:])
    assert len(read_library_object(recording, '1')) == 1
    assert rejection_of(recording).startswith('too_long: 8000 samples are more than')


def test_too_many_segments_are_rejected():
    recording = recording_of(*[COUNTS[:1]] * (limits.MOST_SWEEPS + 1))
    assert rejection_of(recording).startswith('too_long: 10001 sweeps')


def test_a_channel_that_is_not_there_names_those_that_are():
    recording = recording_of(COUNTS)
    recording.set_property('channel_name', ['Im', ''])
    assert rejection_of(recording, '7') == 'wrong_channel: no channel 7; there are Im, 1'
