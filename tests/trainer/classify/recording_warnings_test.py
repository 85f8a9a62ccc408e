import dataclasses

import msgspec
import numpy as np
import pytest

from beam_pipelines.recordings.reading_options import DEFAULT_CUTTING, ReadingOptions
from beam_pipelines.recordings.recording import Recording
from beam_pipelines.spikes.extraction import RecordedCell
from beam_pipelines.spikes.preparation import find_spikes
from tests.support.simulated_current import simulated_current
from trainer.classify.recording_warnings import recording_warnings

OPTIONS = ReadingOptions(cutting=msgspec.structs.replace(DEFAULT_CUTTING, polarity='auto'))


@pytest.fixture(scope='module')
def current_pa() -> np.ndarray:
    return simulated_current(20)[0]


def warnings_of(current_pa: np.ndarray, channel: str = '') -> tuple[str, ...]:
    current, spikes = find_spikes([current_pa], OPTIONS.cutting)
    recording = Recording([current_pa], 40_000, channel=channel)
    return recording_warnings(RecordedCell('A#1', 'A#1.abf', spikes, recording, current, bool(channel)), OPTIONS)


def test_an_ordinary_recording_has_none(current_pa):
    assert warnings_of(current_pa) == ()


def test_a_turned_recording_is_told(current_pa):
    (warning,) = warnings_of(-current_pa)
    assert 'point upward' in warning


def test_turned_spike_csvs_are_told(current_pa):
    cell = RecordedCell('A#1', 'A#1', find_spikes([current_pa], OPTIONS.cutting)[1], csvs_inverted=True)
    (warning,) = recording_warnings(cell, OPTIONS)
    assert 'point upward' in warning
    assert recording_warnings(dataclasses.replace(cell, csvs_inverted=False), OPTIONS) == ()


def test_hum_is_told_with_its_size(current_pa):
    hum = 30 * np.sin(2 * np.pi * 50 * np.arange(len(current_pa)) / 40_000)
    (warning,) = warnings_of((current_pa + hum).astype(np.float32))
    assert warning in {f'Mains hum of {pa} pA at 50.0 Hz was taken off this recording.' for pa in (29, 30, 31)}


def test_left_out_events_are_counted_by_reason(current_pa):
    spoiled = current_pa.copy()
    spoiled[100_000:100_004] -= 300
    (warning,) = warnings_of(spoiled)
    assert warning.startswith('1 event of ')
    assert warning.endswith(' left out: 1 too fast for a spike.')


def test_spikes_below_the_threshold_are_counted(current_pa):
    trough_pa = find_spikes([current_pa], OPTIONS.cutting)[1].waveforms.min(axis=1)
    weaker = current_pa * np.float32(50 / np.quantile(-trough_pa, 0.6))
    assert any('do not reach the threshold of -50 pA' in warning for warning in warnings_of(weaker))


def test_the_one_current_with_spikes_is_named(current_pa):
    (warning,) = warnings_of(current_pa, 'IN 1')
    assert warning == 'The file has several currents; the only one with spikes was read, IN 1.'


@pytest.mark.parametrize('name', ['Voltage 0', 'Vm', '10_Vm', 'Vmemb', 'IN volts'])
def test_a_current_in_a_channel_named_as_a_voltage_is_told(current_pa, name):
    assert any(warning.startswith(f'The channel is named {name}') for warning in warnings_of(current_pa, name))


def test_a_membrane_potential_labelled_as_a_current_is_told(current_pa):
    potential_mv = -62 + 95 * current_pa / current_pa.min()
    warnings = warnings_of(potential_mv.astype(np.float32))
    assert any(warning.startswith('The values may be a membrane potential in mV (at rest -6') for warning in warnings)
