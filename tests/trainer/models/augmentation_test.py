import keras
import numpy as np
import pytest
from scipy import signal

from beam_pipelines import domain
from beam_pipelines.simulation import cells, noise
from beam_pipelines.spikes.detection import detect_spikes
from trainer.config import AUGMENTATIONS
from trainer.data.augmentation_draws import DRAWS
from trainer.models.augmentation import augment

# The numbers that change nothing but the time of the trigger, for all that is varied.
NEUTRAL = {
    'is_filtered': 0.9,
    'cutoff': 0.5,
    'gain': np.log(1 / 0.7) / np.log(2),
    'jitter': 0.5,
    'hum': 0.0,
    'mains': 0.2,
    'hum_phase': 0.0,
    'baseline_offset': 0.5,
    'baseline_change': 0.5,
}


@pytest.fixture(scope='module')
def trace() -> np.ndarray:
    """A cell of 20 s on a day of the usual noise."""
    rng = np.random.default_rng(0)
    current_pa = noise.background_pa(noise.draw_day_noise((11_500, 12_600), rng), 20 * domain.SAMPLING_RATE_HZ, rng)
    cell = cells.draw_cell('SER', 1.0, 1.0, rng)
    cells.add_spikes(current_pa, cell, cells.spike_times_s(cell, 20.0, rng), domain.SAMPLING_RATE_HZ, rng)
    return current_pa.astype(np.float32)


def draws_of(rows: int, **fixed: float | np.ndarray) -> np.ndarray:
    values = NEUTRAL | fixed
    return np.stack([np.broadcast_to(values[name], rows) for name in DRAWS], axis=1).astype(np.float32)


def augmented(waveform: np.ndarray, names=AUGMENTATIONS, **fixed: float | np.ndarray) -> np.ndarray:
    made = augment(keras.ops.convert_to_tensor(waveform), draws_of(len(waveform), **fixed), names)
    return keras.ops.convert_to_numpy(made)


def test_numbers_that_change_nothing_give_the_recorded_spikes(trace):
    waveform = detect_spikes([trace]).waveforms
    np.testing.assert_allclose(augmented(waveform), waveform, atol=1e-3)
    made = augmented(waveform, names=('jitter',), is_filtered=0.0, gain=0.0, hum=0.9, baseline_offset=0.0)
    np.testing.assert_array_equal(made, waveform)


@pytest.mark.parametrize('cutoff_hz', [2_000, 3_500, 9_900])
def test_filtered_spikes_are_those_that_are_found_in_the_filtered_recording(trace, cutoff_hz):
    """Both in shape and in place: as if the amplifier had filtered before detection."""
    spikes = detect_spikes([trace])
    # An analogue filter, for which 400 kHz is fast enough.
    taps = signal.bessel(4, cutoff_hz, fs=10 * domain.SAMPLING_RATE_HZ, output='sos', norm='mag')
    filtered = signal.sosfilt(taps, signal.resample(trace, 10 * len(trace)))[::10].astype(np.float32)
    found = detect_spikes([filtered])
    made = augmented(spikes.waveforms, is_filtered=0.1, cutoff=np.log(cutoff_hz / 2_000) / np.log(5))
    nearest = np.abs(found.triggers[:, np.newaxis] - spikes.triggers).argmin(axis=1)
    assert len(set(nearest)) >= 0.95 * len(spikes.triggers)
    inner = slice(20, -20)  # at the ends a mirror image stands in for what the window does not hold
    # Rounding decides where a trace touches the threshold, so a few may be a sample off.
    assert np.mean(_rms(made[nearest] - found.waveforms, inner) < 0.2) >= 0.9
    assert np.median(_rms(made[nearest] - found.waveforms)) < 2
    assert np.median(_rms(spikes.waveforms[nearest] - found.waveforms, inner)) > 1


def _rms(difference: np.ndarray, samples: slice = slice(None)) -> np.ndarray:
    return np.sqrt(np.mean(difference[:, samples] ** 2, axis=1))


def test_gain_scales_the_spike_and_moves_the_trigger_to_where_it_is_found(trace):
    spikes = detect_spikes([trace])
    found = detect_spikes([trace * np.float32(1.4)])
    made = augmented(spikes.waveforms, gain=1.0)
    moved = spikes.triggers - found.triggers
    assert 0 <= moved.min() and 0 < moved.max() < 10
    for row, samples in enumerate(moved):
        np.testing.assert_allclose(made[row, samples:], found.waveforms[row, samples:], rtol=1e-5, atol=1e-3)


def test_spike_that_no_longer_reaches_the_threshold_is_in_place_by_its_trough():
    waveform = np.zeros((1, 160), np.float32)
    waveform[0, 38:46] = [-10, -40, -52, -56, -60, -40, -20, -10]
    made = augmented(waveform, gain=0.0)
    assert made.min() == pytest.approx(-42)
    assert made[0].argmin() == domain.SAMPLES_BEFORE_TRIGGER


@pytest.mark.parametrize(('draw', 'samples'), [(0.0, -3), (0.5, 0), (0.999, 3)])
def test_jitter_moves_the_window(trace, draw, samples):
    waveform = detect_spikes([trace]).waveforms
    made = augmented(waveform, names=('jitter',), jitter=draw)
    moved = slice(max(0, samples), 160 + min(0, samples))
    back = slice(max(0, -samples), 160 + min(0, -samples))
    np.testing.assert_array_equal(made[:, back], waveform[:, moved])


@pytest.mark.parametrize(('mains', 'hertz'), [(0.2, 50), (0.8, 60)])
def test_hum_is_a_piece_of_a_sine(mains, hertz):
    silent = np.zeros((3, 160), np.float32)
    made = augmented(silent, hum=0.5, mains=mains, hum_phase=np.array([0, 0.25, 0.7]))
    phase = np.array([[0], [0.25], [0.7]]) + hertz * np.arange(160) / domain.SAMPLING_RATE_HZ
    np.testing.assert_allclose(np.diff(made), np.diff(1.5 * np.sin(2 * np.pi * phase)), atol=0.2)
    assert np.abs(made).max() <= 1.5 + 1e-3


def test_baseline_is_an_offset_and_a_slope(trace):
    waveform = detect_spikes([trace]).waveforms
    made = augmented(waveform, names=('baseline',), baseline_offset=1.0, baseline_change=0.0)
    expected = 5 + 5 * np.linspace(0.5, -0.5, 161)[:-1]
    in_place = np.abs(made - waveform - expected).max(axis=1) < 1e-3  # the trigger of others has moved
    assert in_place.sum() >= 0.25 * len(waveform)


@pytest.mark.parametrize('waveform', [np.zeros((2, 160)), np.full((2, 160), 7.0), np.full((2, 160), -90.0)])
def test_windows_without_a_spike_stay_finite(waveform):
    draws = np.random.default_rng(0).random((2, len(DRAWS)))
    made = augmented(waveform.astype(np.float32), **dict(zip(DRAWS, draws.T, strict=True)))
    assert made.shape == (2, 160) and made.dtype == np.float32
    assert np.isfinite(made).all()
