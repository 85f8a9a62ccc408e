import numpy as np
import pytest

from beam_pipelines.domain import SAMPLING_RATE_HZ
from beam_pipelines.simulation import noise as simulated_noise


@pytest.mark.parametrize('day', range(20))
def test_background_has_the_sd_and_colour_of_the_published_masks(day):
    rng = np.random.default_rng(day)
    noise = simulated_noise.draw_day_noise((11_500, 15_200), rng)
    current_pa = simulated_noise.background_pa(noise, 10 * SAMPLING_RATE_HZ, rng).astype(np.float64)
    lag1 = np.mean(current_pa[1:] * current_pa[:-1]) / current_pa.var()
    assert 2.5 <= current_pa.std() <= 4.5
    assert 0.6 <= lag1 <= 0.8
    assert current_pa.std() == pytest.approx(noise.sd_pa, rel=0.03)
    assert lag1 == pytest.approx(noise.lag1_autocorrelation, abs=0.02)
    assert current_pa.min() > -30


def test_line_of_high_frequency_stands_out():
    rng = np.random.default_rng(0)
    noise = simulated_noise.draw_day_noise((12_000, 12_000), rng)
    current_pa = simulated_noise.background_pa(noise, SAMPLING_RATE_HZ, rng)
    amplitude_pa = np.abs(np.fft.rfft(current_pa)) * 2 / current_pa.size
    assert np.argmax(amplitude_pa) == 12_000
    assert 1.0 <= noise.line_sd_pa <= 2.0
    assert amplitude_pa[12_000] == pytest.approx(noise.line_sd_pa * np.sqrt(2), rel=0.05)


def test_any_number_of_samples():
    rng = np.random.default_rng(0)
    noise = simulated_noise.draw_day_noise((12_000, 15_000), rng)
    assert simulated_noise.background_pa(noise, 40_001, rng).shape == (40_001,)
    assert simulated_noise.background_pa(noise, 40_000, rng).dtype == np.float32
