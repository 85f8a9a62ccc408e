import numpy as np
import pytest

from beam_pipelines import domain
from beam_pipelines.spikes.spike_measures import measure_spikes

TIME_MS = (np.arange(domain.SPIKE_SAMPLES) - domain.SAMPLES_BEFORE_TRIGGER) / 40


def spikes(amplitude_pa=80.0, udi_ms=1.0, noise_pa=2.0, count=200, level_pa=0.0) -> np.ndarray:
    """Returns (n, 160) float32: a trough at the trigger and a peak `udi_ms` after it, in noise."""
    trough = -np.exp(-0.5 * (TIME_MS / 0.06) ** 2)
    peak = 0.2 * np.exp(-0.5 * ((TIME_MS - udi_ms) / 0.25) ** 2) * (TIME_MS > 0)
    noise = np.random.default_rng(0).normal(0, noise_pa, (count, domain.SPIKE_SAMPLES))
    return (level_pa + amplitude_pa * (trough + peak) + noise).astype(np.float32)


def test_amplitude_is_the_depth_below_the_level_before_the_spike():
    measures = measure_spikes(spikes(amplitude_pa=90, noise_pa=0, level_pa=-7))
    np.testing.assert_allclose(measures.amplitude_pa, 90, atol=0.1)


@pytest.mark.parametrize('udi_ms', [0.5, 0.8, 1.5, 2.2])
def test_udi_of_single_spikes_is_around_the_true_one(udi_ms):
    measures = measure_spikes(spikes(udi_ms=udi_ms))
    assert np.nanmedian(measures.udi_ms) == pytest.approx(udi_ms, abs=0.06)
    assert np.isnan(measures.udi_ms).mean() < 0.1


def test_udi_is_unknown_where_the_peak_is_lost_in_noise():
    assert np.isnan(measure_spikes(spikes(noise_pa=25)).udi_ms).mean() > 0.5


def test_udi_is_unknown_where_nothing_comes_after_the_trough():
    waveform = spikes(noise_pa=0, count=1)
    waveform[:, 40:] = waveform[:, [40]]
    assert np.isnan(measure_spikes(waveform).udi_ms).all()


def test_snr_is_amplitude_by_the_noise_before_the_spike():
    measures = measure_spikes(spikes(amplitude_pa=80, noise_pa=4))
    assert np.median(measures.noise_pa) == pytest.approx(4, rel=0.1)
    np.testing.assert_allclose(measures.snr, measures.amplitude_pa / measures.noise_pa)


def test_snr_is_unknown_without_noise():
    waveform = np.zeros((1, domain.SPIKE_SAMPLES), np.float32)
    waveform[0, 40] = -60
    assert np.isnan(measure_spikes(waveform).snr).all()


def test_each_spike_is_measured_as_if_alone():
    waveform = np.concatenate([spikes(udi_ms=0.6, count=3), spikes(udi_ms=1.6, count=2)])
    together = measure_spikes(waveform)
    for index in range(len(waveform)):
        alone = measure_spikes(waveform[[index]])
        assert alone.udi_ms[0] == pytest.approx(together.udi_ms[index])
        assert alone.snr[0] == pytest.approx(together.snr[index])
