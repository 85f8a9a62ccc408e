"""The background noise of a simulated recording day: coloured noise, mains hum and one high tone.

It is modelled on the two published noise masks (sd 3.3 and 4.3 pA, lag-1 autocorrelation 0.60 and 0.75, most of the
power between 1 and 10 kHz), and differs from day to day. The best mark of a day is a tone between 11 and 16 kHz, as a
switching power supply causes. The moving average of the synthesis has its zero at 13.3 kHz, so it removes this tone
from a spike, and the noise masks add the tones of other days. It passes most of the other noise.
"""

import dataclasses

import numpy as np

from beam_pipelines.domain import SAMPLING_RATE_HZ

_MAINS_HZ = (50.0, 100.0, 150.0, 250.0)
_MAINS_SHARES = (1.0, 0.3, 0.4, 0.15)
# Loose-patch recordings are high-pass filtered against drift; little is left below this.
_HIGH_PASS_HZ = 700.0
_ROLL_OFF_ORDER = 3
_LOWEST_CORNER_HZ = 1_500.0
_HIGHEST_CORNER_HZ = 19_000.0


@dataclasses.dataclass(frozen=True)
class DayNoise:
    """The components of the background of one recording day.

    Attributes
    ----------
    sd_pa : float
        Standard deviation of the whole background, in pA.
    lag1_autocorrelation : float
        Lag-1 autocorrelation of the whole background, at 40 kHz.
    bump_hz, bump_width_hz, bump_height : float
        A broad bump in the spectrum: centre, sd and height above the plateau (1 doubles the power there).
    mains_pa : float
        Amplitude of the 50 Hz hum; its harmonics are smaller.
    line_hz, line_sd_pa : float
        Frequency and standard deviation of the high tone.
    gain : float
        Factor on the spikes of that day's cells (how tight the seal is); it does not apply to the background.
    """

    sd_pa: float
    lag1_autocorrelation: float
    bump_hz: float
    bump_width_hz: float
    bump_height: float
    mains_pa: float
    line_hz: float
    line_sd_pa: float
    gain: float


def draw_day_noise(line_band_hz: tuple[float, float], rng: np.random.Generator) -> DayNoise:
    """Draws the background of a day whose high tone lies in ``line_band_hz``."""
    sd_pa = float(rng.uniform(2.8, 4.1))
    return DayNoise(
        sd_pa=sd_pa,
        lag1_autocorrelation=float(rng.uniform(0.63, 0.72)),
        bump_hz=float(rng.uniform(1_500, 7_000)),
        bump_width_hz=float(rng.uniform(500, 1_500)),
        bump_height=float(rng.uniform(0.0, 2.0)),
        mains_pa=float(rng.uniform(0.1, 0.8)),
        line_hz=float(rng.uniform(*line_band_hz)),
        line_sd_pa=float(rng.uniform(0.32, 0.40)) * sd_pa,
        gain=float(rng.uniform(0.93, 1.07)),
    )


def background_pa(noise: DayNoise, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Returns ``n_samples`` of a day's background, in pA: a float32 array, at 40 kHz.

    The noise is drawn as a spectrum, so any spectral shape costs one inverse Fourier transform.
    """
    frequency_hz = np.fft.rfftfreq(n_samples, 1 / SAMPLING_RATE_HZ).astype(np.float32)
    power = _coloured_power(noise, frequency_hz, _corner_hz(noise))
    power *= _coloured_variance(noise) / power.sum()

    spectrum = rng.standard_normal((frequency_hz.size, 2), dtype=np.float32).view(np.complex64)[:, 0]
    spectrum *= np.sqrt(power) * np.float32(n_samples / 2)
    for hz, sd_pa in _lines(noise):
        nearest = round(hz * n_samples / SAMPLING_RATE_HZ)
        phase = rng.uniform(0, 2 * np.pi)
        spectrum[nearest] += np.complex64(sd_pa * np.sqrt(2) * np.exp(1j * phase) * n_samples / 2)
    spectrum[0] = 0
    return np.fft.irfft(spectrum, n_samples)


def _lines(noise: DayNoise) -> list[tuple[float, float]]:
    """Returns (frequency in Hz, standard deviation in pA) of the mains hum and of the high tone."""
    mains = [(hz, share * noise.mains_pa / np.sqrt(2)) for hz, share in zip(_MAINS_HZ, _MAINS_SHARES, strict=True)]
    return [*mains, (noise.line_hz, noise.line_sd_pa)]


def _coloured_variance(noise: DayNoise) -> float:
    return noise.sd_pa**2 - sum(sd_pa**2 for _, sd_pa in _lines(noise))


def _coloured_power(noise: DayNoise, frequency_hz: np.ndarray, corner_hz: float) -> np.ndarray:
    bump = noise.bump_height * np.exp(-0.5 * ((frequency_hz - noise.bump_hz) / noise.bump_width_hz) ** 2)
    high_pass = frequency_hz**2 / (frequency_hz**2 + _HIGH_PASS_HZ**2)
    return (1 + bump) * high_pass / (1 + (frequency_hz / corner_hz) ** (2 * _ROLL_OFF_ORDER))


def _corner_hz(noise: DayNoise) -> float:
    """Returns the low-pass corner at which the whole background has the wanted lag-1 autocorrelation."""
    frequency_hz = np.linspace(0, SAMPLING_RATE_HZ / 2, 2_001)
    lag1_of_frequency = np.cos(2 * np.pi * frequency_hz / SAMPLING_RATE_HZ)
    wanted = noise.lag1_autocorrelation * noise.sd_pa**2
    wanted -= sum(sd_pa**2 * np.cos(2 * np.pi * hz / SAMPLING_RATE_HZ) for hz, sd_pa in _lines(noise))
    wanted /= _coloured_variance(noise)

    low_hz, high_hz = _LOWEST_CORNER_HZ, _HIGHEST_CORNER_HZ
    for _ in range(40):
        corner_hz = (low_hz + high_hz) / 2
        power = _coloured_power(noise, frequency_hz, corner_hz)
        if power @ lag1_of_frequency / power.sum() > wanted:
            low_hz = corner_hz
        else:
            high_hz = corner_hz
    return corner_hz
