import numpy as np
import pytest
from scipy import signal

from beam_pipelines.recordings.reading_options import DEFAULT_CUTTING, PUBLISHED_CUTTING
from beam_pipelines.spikes.baseline import hann_window, subtract_baseline
from beam_pipelines.spikes.preparation import find_spikes
from tests.support.simulated_current import simulated_current


def _seconds(current_pa: np.ndarray) -> np.ndarray:
    return np.arange(len(current_pa)) / 40_000


@pytest.fixture(scope='module')
def current_pa() -> np.ndarray:
    return simulated_current(20)[0]


ADDED = {
    'holding current': lambda t: np.full_like(t, -60),
    'above zero': lambda t: np.full_like(t, 60),
    'drift': lambda t: -5 * t,
    'slow wander': lambda t: 40 * np.sin(2 * np.pi * 0.7 * t) + 10 * np.sin(2 * np.pi * 2 * t),
    'hum': lambda t: 40 * np.sin(2 * np.pi * 50.03 * t + 1) + 6 * np.sin(2 * np.pi * 150.09 * t),
    'hum of 60 Hz on a holding current': lambda t: -40 + 20 * np.sin(2 * np.pi * 59.97 * t),
}


@pytest.mark.parametrize('kind', ADDED)
def test_what_a_rig_adds_is_taken_off(current_pa, kind):
    added = ADDED[kind](_seconds(current_pa))
    found, _ = subtract_baseline((current_pa + added).astype(np.float32))
    inner = slice(4_000, -4_000)
    assert np.abs(found - current_pa)[inner].max() < 6
    assert np.sqrt(np.mean(np.square(found - current_pa))) < 2


@pytest.mark.parametrize('kind', ADDED)
def test_spikes_are_found_as_without_it(current_pa, kind):
    _, expected = find_spikes([current_pa], PUBLISHED_CUTTING)
    added = ADDED[kind](_seconds(current_pa))
    _, found = find_spikes([(current_pa + added).astype(np.float32)], DEFAULT_CUTTING)
    nearest = np.abs(found.triggers[:, np.newaxis] - expected.triggers).min(axis=1)
    assert len(found.triggers) == len(expected.triggers) > 10
    assert nearest.max() <= 4


def test_a_current_around_zero_is_left_alone(current_pa):
    found, baseline = subtract_baseline(current_pa)
    assert found is current_pa
    assert (baseline.low_pa, baseline.high_pa, baseline.hum_pa) == (0, 0, 0)


def test_what_was_taken_off_is_told(current_pa):
    t = _seconds(current_pa)
    _, baseline = subtract_baseline((current_pa - 40 + 20 * np.sin(2 * np.pi * 50 * t)).astype(np.float32))
    assert (baseline.low_pa, baseline.high_pa) == pytest.approx((-40, -40), abs=2)
    assert (baseline.hum_pa, baseline.hum_hz) == pytest.approx((20, 50), abs=1)


@pytest.mark.parametrize('samples', [0, 1, 150, 250, 3_000, 20_001])
def test_short_sweeps_have_a_baseline_too(samples):
    noise = np.random.default_rng(0).normal(-60, 1, samples).astype(np.float32)
    found, _ = subtract_baseline(noise)
    assert found.shape == noise.shape
    assert not samples or abs(float(np.median(found))) < 1


@pytest.mark.parametrize('samples', [100, 101, 20_001, 40_000])
def test_the_window_is_that_of_scipy_to_the_last_bit(samples):
    np.testing.assert_array_equal(
        hann_window(samples), signal.windows.hann(samples, sym=False).astype(np.float32), strict=True
    )
