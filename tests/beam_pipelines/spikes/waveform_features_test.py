import numpy as np
import pytest

from beam_pipelines.domain import SAMPLING_RATE_HZ
from beam_pipelines.spikes.waveform_features import measure_udi_ms


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
