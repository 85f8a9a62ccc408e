import numpy as np
import pytest

from beam_pipelines.recordings.reading_options import DEFAULT_CUTTING, PUBLISHED_CUTTING
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.spikes.preparation import find_spikes
from tests.support.simulated_current import simulated_current


@pytest.fixture
def current_pa() -> np.ndarray:
    return simulated_current(20)[0]


def _artefact(amplitude_pa: float, decay_samples: float) -> np.ndarray:
    return amplitude_pa * np.exp(-np.arange(200) / decay_samples)


def test_a_recording_without_artefacts_loses_no_spike(current_pa):
    _, spikes = find_spikes([current_pa], DEFAULT_CUTTING)
    assert len(spikes.triggers) == spikes.triggers_found > 10
    assert not spikes.dropped


@pytest.mark.parametrize('amplitude_pa', [-150, -600])
@pytest.mark.parametrize('decay_samples', [4, 40])
def test_stimulus_artefacts_are_left_out_and_counted(current_pa, amplitude_pa, decay_samples):
    _, expected = find_spikes([current_pa], DEFAULT_CUTTING)
    starts = [start for start in range(20_000, 780_000, 40_000) if np.abs(expected.triggers - start).min() > 400]
    for start in starts:
        current_pa[start : start + 200] += _artefact(amplitude_pa, decay_samples)
    _, spikes = find_spikes([current_pa], DEFAULT_CUTTING)
    assert set(spikes.triggers) == set(expected.triggers)
    assert sum(spikes.dropped.values()) == spikes.triggers_found - len(spikes.triggers) == len(starts)


def test_an_event_unlike_the_others_is_left_out(current_pa):
    _, expected = find_spikes([current_pa], DEFAULT_CUTTING)
    start = int(expected.triggers[3]) + 2_000
    current_pa[start : start + 400] -= 80 * np.sin(np.linspace(0, np.pi, 400)).astype(np.float32)
    _, spikes = find_spikes([current_pa], DEFAULT_CUTTING)
    assert set(spikes.triggers) == set(expected.triggers)
    assert set(spikes.dropped) == {'unlike'}


def test_a_saturated_recording_is_rejected_with_the_value_where_it_stops(current_pa):
    with pytest.raises(RecordingRejected, match='saturated') as raised:
        find_spikes([np.maximum(current_pa, -70)], DEFAULT_CUTTING)
    assert 'clipped at -70 or' in raised.value.detail


def test_the_published_way_takes_all_events(current_pa):
    current_pa[20_000:20_010] = -200
    _, spikes = find_spikes([np.maximum(current_pa, -70)], PUBLISHED_CUTTING)
    assert 20_000 in spikes.triggers
    assert not spikes.dropped


def test_events_at_steps_of_the_stimulus_are_left_out_whatever_their_shape(current_pa):
    _, expected = find_spikes([current_pa], DEFAULT_CUTTING)
    locked, free = expected.triggers[::2], expected.triggers[1::2]
    current, spikes = find_spikes([current_pa], DEFAULT_CUTTING, np.sort(np.concatenate([locked - 10, free - 100])))
    assert spikes.triggers.tolist() == free.tolist()
    assert spikes.dropped == {'stimulus': len(locked)}


def test_the_second_spike_of_a_burst_is_counted(current_pa):
    _, alone = find_spikes([current_pa], DEFAULT_CUTTING)
    assert alone.second_spikes == 0
    burst = current_pa.copy()
    for trigger in alone.triggers[2:5]:
        burst[trigger + 40 : trigger + 150] += current_pa[trigger - 40 : trigger + 70]
    _, spikes = find_spikes([burst], DEFAULT_CUTTING)
    assert spikes.triggers.tolist() == alone.triggers.tolist()
    assert spikes.second_spikes == 3
