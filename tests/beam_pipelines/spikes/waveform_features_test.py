import numpy as np
import pytest

from beam_pipelines import domain
from beam_pipelines.domain import SAMPLING_RATE_HZ
from beam_pipelines.spikes.waveform_features import measure_firing_rate_hz, measure_spikes, measure_udi_ms

TIME_MS = (np.arange(domain.SPIKE_SAMPLES) - domain.SAMPLES_BEFORE_TRIGGER) / 40


def _waveform_pa(udi_ms: float, trough_sample: float = 42.3, offset_pa: float = 0.0) -> np.ndarray:
    time_ms = (np.arange(160) - trough_sample) / 40
    hump_sd_ms = max(0.05, 0.35 * udi_ms)
    trough_pa = -80 * np.exp(-0.5 * (time_ms / 0.05) ** 2)
    return trough_pa + 18 * np.exp(-0.5 * ((time_ms - udi_ms) / hump_sd_ms) ** 2) + offset_pa


@pytest.mark.parametrize('udi_ms', [0.25, 0.5, 1.0, 1.5, 2.0, 2.5])
@pytest.mark.parametrize('offset_pa', [0.0, -4.0])
def test_udi_is_found_between_samples(udi_ms, offset_pa):
    measured_ms = measure_udi_ms(_waveform_pa(udi_ms, offset_pa=offset_pa), SAMPLING_RATE_HZ)
    assert measured_ms == pytest.approx(udi_ms, abs=0.02)


def test_udi_does_not_depend_on_the_place_of_the_trigger():
    measured_ms = [measure_udi_ms(_waveform_pa(0.8, trough_sample), SAMPLING_RATE_HZ) for trough_sample in (41, 45.5)]
    assert measured_ms[0] == pytest.approx(measured_ms[1], abs=0.01)


def test_udi_bears_the_noise_of_a_mean_of_30_spikes():
    rng = np.random.default_rng(0)
    for udi_ms in (0.3, 0.8, 1.4, 2.0):
        errors_ms = []
        for _ in range(50):
            noise_pa = np.convolve(rng.standard_normal(162), [0.5, 0.7, 0.5], mode='valid') * 4 / np.sqrt(30)
            errors_ms.append(measure_udi_ms(_waveform_pa(udi_ms) + noise_pa, SAMPLING_RATE_HZ) - udi_ms)
        assert np.sqrt(np.mean(np.square(errors_ms))) < 0.1


def test_udi_of_the_published_spike(published_spike_pa):
    assert measure_udi_ms(published_spike_pa, SAMPLING_RATE_HZ) == pytest.approx(1.2, abs=0.1)


@pytest.mark.parametrize(
    'waveform_pa',
    [
        np.zeros(160),
        np.zeros(10),
        -80 * np.exp(-0.5 * ((np.arange(160) - 42) / 3) ** 2),  # no peak after the trough
        -80 * np.exp(-0.5 * ((np.arange(160) - 42) / 3) ** 2) + 0.2 * np.arange(160),  # still rising at the end
        np.full(160, np.nan),
        -np.arange(160.0),  # the trough is the last sample
    ],
    ids=['flat', 'short', 'no_peak', 'rising', 'nan', 'falling'],
)
def test_a_waveform_without_a_peak_has_no_udi(waveform_pa):
    assert np.isnan(measure_udi_ms(waveform_pa, SAMPLING_RATE_HZ))


@pytest.fixture
def published_spike_pa() -> np.ndarray:
    """Every second sample of the published spike from the trigger's neighbourhood on, whole where it is steep.

    Rounded to 1 pA; read back from the authors' figure (A140313#073, trigger 1007585).
    """
    before_pa = [0.0] * 34
    spike_pa = [-12, -23, -31, -34, -35, -42, -53, -66, -80, -77, -66, -46, -28, -17, -8, -2]
    every_second_pa = [-1, 1, 6, 10, 16, 10, 7, 7, 7, 5, 8, 6, 3, 12, 13, 8, 10, 11, 15, 15, 17, 11, 6, 13, 9, 10]
    every_second_pa += [1, 5, 12, 13, 8, 2, 5, 7, 4, 3, 0, -3, -5, -1, -2, 1, 5, -4, -3, -2, 2, 9, 6, 6, -1, -1, 3, -4]
    every_second_pa += [3]
    tail_pa = np.interp(np.arange(110), np.arange(len(every_second_pa)) * 2, every_second_pa)
    return np.concatenate([before_pa, spike_pa, tail_pa])


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


def test_rate_is_by_the_median_interval():
    # A spike every 0.5 s, one pause of 60 s, and one left out.
    seconds = np.array([0, 0.5, 1, 1.5, 2, 3, 3.5, 63.5, 64])
    assert measure_firing_rate_hz((seconds[::-1] * 40_000).astype(int)) == pytest.approx(2)


def test_rate_of_one_spike_is_unknown():
    assert np.isnan(measure_firing_rate_hz(np.array([5])))
