import dataclasses

import msgspec
import numpy as np
import pytest

from beam_pipelines.recordings.reading_options import DEFAULT_CUTTING, PUBLISHED_CUTTING, ReadingOptions
from beam_pipelines.recordings.recording import Recording
from beam_pipelines.spikes.extraction import RecordedCell
from beam_pipelines.spikes.preparation import find_spikes
from tests.support.simulated_current import simulated_current
from trainer.classify.recording_warnings import recording_warnings

OPTIONS = ReadingOptions(cutting=msgspec.structs.replace(DEFAULT_CUTTING, polarity='auto'))


@pytest.fixture(scope='module')
def current_pa() -> np.ndarray:
    return simulated_current(20)[0]


def warnings_of(current_pa: np.ndarray, channel: str = '') -> dict[str, str]:
    """Returns code -> sentence."""
    current, spikes = find_spikes([current_pa], OPTIONS.cutting)
    recording = Recording([current_pa], 40_000, channel=channel)
    cell = RecordedCell('A#1', 'A#1.abf', spikes, recording, current, bool(channel))
    return {warning.code: warning.sentence for warning in recording_warnings(cell, OPTIONS)}


def test_an_ordinary_recording_has_none(current_pa):
    assert warnings_of(current_pa) == {}


def test_a_turned_recording_is_told(current_pa):
    warnings = warnings_of(-current_pa)
    assert set(warnings) == {'points_upward'} and 'point upward' in warnings['points_upward']


def test_turned_spike_csvs_are_told(current_pa):
    cell = RecordedCell('A#1', 'A#1', find_spikes([current_pa], OPTIONS.cutting)[1], csvs_inverted=True)
    (warning,) = recording_warnings(cell, OPTIONS)
    assert warning.code == 'points_upward' and 'point upward' in str(warning)
    assert recording_warnings(dataclasses.replace(cell, csvs_inverted=False), OPTIONS) == ()


def test_hum_is_told_with_its_size(current_pa):
    hum = 30 * np.sin(2 * np.pi * 50 * np.arange(len(current_pa)) / 40_000)
    warnings = warnings_of((current_pa + hum).astype(np.float32))
    assert set(warnings) == {'hum'}
    assert warnings['hum'] in {f'Mains hum of {pa} pA at 50.0 Hz was taken off this recording.' for pa in (29, 30, 31)}


def test_left_out_events_are_counted_by_reason(current_pa):
    spoiled = current_pa.copy()
    spoiled[100_000:100_004] -= 300
    warnings = warnings_of(spoiled)
    assert set(warnings) == {'events_left_out'}
    assert warnings['events_left_out'].startswith('1 event of ')
    assert warnings['events_left_out'].endswith(' left out: 1 too fast for a spike.')


def test_spikes_below_the_threshold_are_counted(current_pa):
    trough_pa = find_spikes([current_pa], OPTIONS.cutting)[1].waveforms.min(axis=1)
    weaker = current_pa * np.float32(50 / np.quantile(-trough_pa, 0.6))
    assert 'do not reach the threshold of -50 pA' in warnings_of(weaker)['below_threshold']


def test_the_one_current_with_spikes_is_named(current_pa):
    warnings = warnings_of(current_pa, 'IN 1')
    assert set(warnings) == {'several_currents'}
    assert warnings['several_currents'] == 'The file has several currents; the only one with spikes was read, IN 1.'


@pytest.mark.parametrize('name', ['Voltage 0', 'Vm', '10_Vm', 'Vmemb', 'IN volts'])
def test_a_current_in_a_channel_named_as_a_voltage_is_told(current_pa, name):
    assert warnings_of(current_pa, name)['may_be_voltage'].startswith(f'The channel is named {name}')


def test_a_membrane_potential_labelled_as_a_current_is_told(current_pa):
    potential_mv = -62 + 95 * current_pa / current_pa.min()
    warnings = warnings_of(potential_mv.astype(np.float32))
    assert warnings['may_be_voltage'].startswith('The values may be a membrane potential in mV (at rest -6')


@pytest.mark.parametrize('upward', [False, True])
@pytest.mark.parametrize('holding_pa', [0, -37.5])
def test_a_saturated_recording_is_told_with_its_extreme_value(current_pa, holding_pa, upward):
    trough_pa = find_spikes([current_pa], OPTIONS.cutting)[1].waveforms.min(axis=1)
    clipped = np.maximum(current_pa, np.float32(np.quantile(trough_pa, 0.9))) + np.float32(holding_pa)
    sign = -1 if upward else 1
    warnings = warnings_of(sign * clipped)
    assert f'the current stays at its extreme value, {sign * clipped.min():.4g} pA' in warnings['saturation']


@pytest.mark.parametrize(
    ('cutting', 'words'),
    [(OPTIONS.cutting, 'stays at its extreme value, -80 pA'), (PUBLISHED_CUTTING, 'spikes are cut off level')],
)
def test_spikes_that_are_cut_off_at_another_value_than_the_extreme_are_told(current_pa, cutting, words):
    # The converter's range is larger than that of the amplifier, and an artefact comes from elsewhere.
    clipped = np.maximum(current_pa, np.float32(-80))
    clipped[100_000] = -900
    current, spikes = find_spikes([clipped], cutting)
    cell = RecordedCell('A#1', 'A#1.abf', spikes, Recording([clipped], 40_000), current)
    sentences = {w.code: w.sentence for w in recording_warnings(cell, ReadingOptions(cutting=cutting))}
    assert words in sentences['saturation']


def test_the_extreme_value_of_a_scaled_recording_is_in_pa(current_pa):
    cutting = msgspec.structs.replace(OPTIONS.cutting, scale=1000)
    trough_pa = find_spikes([current_pa], OPTIONS.cutting)[1].waveforms.min(axis=1)
    clipped_na = np.maximum(current_pa, np.float32(np.quantile(trough_pa, 0.9))) / np.float32(1000)
    current, spikes = find_spikes([clipped_na], cutting)
    cell = RecordedCell('A#1', 'A#1.abf', spikes, Recording([clipped_na], 40_000), current)
    sentences = {w.code: w.sentence for w in recording_warnings(cell, ReadingOptions(cutting=cutting))}
    assert f'{1000 * clipped_na.min():.4g} pA' in sentences['saturation']
