import numpy as np
import pytest
from scipy import ndimage

from beam_pipelines.recordings.reading_options import DEFAULT_CUTTING, PUBLISHED_CUTTING
from beam_pipelines.spikes.preparation import find_spikes
from beam_pipelines.spikes.saturation import count_level_spikes, find_saturation
from tests.support.simulated_current import simulated_current

NOISE_PA = 4.0


@pytest.fixture(scope='module', params=['SER', 'NSER'])
def current_pa(request) -> np.ndarray:
    """20 s with spikes of 103 to 132 pA."""
    return simulated_current(20, request.param)[0]


def waveforms_of(current_pa: np.ndarray) -> np.ndarray:
    return find_spikes([current_pa], PUBLISHED_CUTTING)[1].waveforms


@pytest.mark.parametrize('sign', [1, -1])
def test_current_that_is_cut_off_stays_at_its_extreme_value(current_pa, sign):
    found = find_saturation([sign * np.maximum(current_pa, np.float32(-70))], NOISE_PA)
    assert found.value == sign * -70
    assert found.places == len(waveforms_of(current_pa))


def test_one_long_stretch_at_the_extreme_value_is_enough(current_pa):
    spoiled = current_pa.copy()
    spoiled[100_000:100_050] = 500
    found = find_saturation([current_pa, spoiled], NOISE_PA)
    assert (found.value, found.places) == (500, 1)


@pytest.mark.parametrize('smoothing_samples', [0, 2, 4])
@pytest.mark.parametrize('step_pa', [None, 0.3, 1, 3])
def test_neither_a_coarse_converter_nor_a_slow_filter_is_saturation(current_pa, step_pa, smoothing_samples):
    recorded = ndimage.gaussian_filter1d(current_pa, smoothing_samples) if smoothing_samples else current_pa
    if step_pa:
        recorded = (np.round(recorded / step_pa) * step_pa).astype(np.float32)
    current, spikes = find_spikes([recorded], DEFAULT_CUTTING)
    assert find_saturation([recorded], current.noise_pa) is None
    assert count_level_spikes(spikes.waveforms) == 0


def test_a_current_that_is_zero_between_spikes_is_not_saturated():
    current_pa = np.zeros(40_000, np.float32)
    current_pa[1000:1003] = -50, -80, -20
    assert find_saturation([current_pa], 0.0) is None


def test_spikes_that_are_cut_off_level_are_counted_though_each_has_its_own_baseline(current_pa):
    waveforms = np.maximum(waveforms_of(current_pa), np.float32(-70))
    drifting = waveforms + np.linspace(-30, 30, waveforms.size, dtype=np.float32).reshape(waveforms.shape)
    assert count_level_spikes(drifting) > 0.8 * len(waveforms)
    assert count_level_spikes(-drifting) > 0.8 * len(waveforms)
    assert count_level_spikes(waveforms_of(current_pa)) == 0


def test_one_level_spike_of_many_may_be_chance(current_pa):
    waveforms = waveforms_of(current_pa).copy()
    waveforms[3] = np.maximum(waveforms[3], -60)
    assert count_level_spikes(waveforms) == 0
