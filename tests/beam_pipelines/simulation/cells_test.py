import numpy as np
import pytest
from scipy import stats

from beam_pipelines.domain import (
    LABEL_NAMES,
    SAMPLES_BEFORE_TRIGGER,
    SAMPLING_RATE_HZ,
    SPIKE_SAMPLES,
    TRIGGER_PA,
)
from beam_pipelines.simulation import cells as simulated_cells
from beam_pipelines.simulation import noise as simulated_noise
from beam_pipelines.simulation import recordings as simulated_recordings
from beam_pipelines.spikes import published_udi
from beam_pipelines.spikes.waveform_features import measure_udi_ms


def _cells(label_name: str, n_cells: int = 100) -> list[simulated_cells.Cell]:
    rng = np.random.default_rng(0)
    return [simulated_cells.draw_cell(label_name, rng.uniform(0.2, 2.5), 1.0, rng) for _ in range(n_cells)]


@pytest.mark.parametrize('label_name', LABEL_NAMES)
@pytest.mark.parametrize('udi_ms', [0.16, 0.3, 0.6, 1.2, 2.0, 2.7])
def test_waveform_has_the_wanted_width(label_name, udi_ms):
    cell = simulated_cells.draw_cell(label_name, udi_ms, 1.0, np.random.default_rng(0))
    time_ms = np.arange(-0.5, 4, 0.002)
    waveform = simulated_cells.mean_waveform(cell, time_ms)
    trough = np.argmin(waveform)
    assert waveform[trough] == pytest.approx(-1, abs=2e-3)
    assert time_ms[trough + np.argmax(waveform[trough:])] - time_ms[trough] == pytest.approx(udi_ms, abs=0.01)


def test_waveform_has_the_shoulder_of_the_published_spike():
    cell = simulated_cells.draw_cell('SER', 1.2, 1.0, np.random.default_rng(0))
    at_ms = np.array([-0.175, -0.1, 0.0, 0.2])
    before, shoulder, trough, after = simulated_cells.mean_waveform(cell, at_ms)
    assert before > -0.35
    assert -0.75 < shoulder < -0.25
    assert trough < -0.95
    assert after > -0.1


def test_waveform_starts_and_ends_at_the_baseline():
    for label_name in LABEL_NAMES:
        for cell in _cells(label_name):
            ends = [simulated_cells.WAVEFORM_START_MS, simulated_cells.WAVEFORM_STOP_MS]
            assert np.abs(simulated_cells.mean_waveform(cell, np.array(ends))).max() < 0.02


@pytest.mark.parametrize('label_name', LABEL_NAMES)
def test_firing_is_within_bounds_and_spikes_never_overlap(label_name):
    rng = np.random.default_rng(1)
    for cell in _cells(label_name):
        times_s = simulated_cells.spike_times_s(cell, 100.0, rng)
        assert 0.5 <= cell.rate_hz <= 5.0
        assert times_s.size / 100 == pytest.approx(cell.rate_hz, rel=0.4)
        assert np.diff(times_s).min() >= simulated_cells.REFRACTORY_S
        assert times_s[0] >= 0.01 and times_s[-1] <= 100 - 0.02


def test_ser_cells_fire_slower_and_more_regularly_but_overlap():
    rate_hz = {name: np.array([cell.rate_hz for cell in _cells(name)]) for name in LABEL_NAMES}
    interval_cv = {name: np.array([cell.interval_cv for cell in _cells(name)]) for name in LABEL_NAMES}
    assert np.median(rate_hz['SER']) < np.median(rate_hz['NSER'])
    assert np.median(interval_cv['SER']) < np.median(interval_cv['NSER'])
    assert rate_hz['SER'].max() > np.median(rate_hz['NSER'])
    assert interval_cv['SER'].max() > interval_cv['NSER'].min()


@pytest.mark.parametrize('label_name', LABEL_NAMES)
def test_measured_widths_of_150_cells_have_the_published_distribution(label_name):
    rng = np.random.default_rng(0)
    counts = published_udi.FIGURE_2_COUNTS[label_name]
    measured_ms = []
    for udi_ms in published_udi.quantile_ms(counts, rng.random(150)):
        noise = simulated_noise.draw_day_noise((11_500, 15_200), rng)
        cell = simulated_cells.draw_cell(label_name, udi_ms, noise.gain, rng)
        measured_ms.append(_measured_udi_ms(cell, noise, n_spikes=20, rng=rng))
    assert np.isfinite(measured_ms).all()
    assert stats.ks_2samp(measured_ms, published_udi.sample_ms(counts)).statistic <= 0.15


def _measured_udi_ms(
    cell: simulated_cells.Cell, noise: simulated_noise.DayNoise, n_spikes: int, rng: np.random.Generator
) -> float:
    times_s = 0.03 * (1 + np.arange(n_spikes)) + rng.uniform(0, 0.001, n_spikes)
    current_pa = simulated_noise.background_pa(noise, int((0.03 * n_spikes + 0.05) * SAMPLING_RATE_HZ), rng)
    simulated_cells.add_spikes(current_pa, cell, times_s, SAMPLING_RATE_HZ, rng)
    below = current_pa <= TRIGGER_PA
    crossing = np.flatnonzero(below[1:] & ~below[:-1]) + 1
    trigger = crossing[np.diff(crossing, prepend=-SPIKE_SAMPLES) >= SPIKE_SAMPLES]
    assert trigger.size == n_spikes
    window = trigger[:, np.newaxis] - SAMPLES_BEFORE_TRIGGER + np.arange(SPIKE_SAMPLES)
    return measure_udi_ms(current_pa[window].mean(axis=0), SAMPLING_RATE_HZ)


def test_amplitudes_stay_within_bounds():
    for label_name in LABEL_NAMES:
        for cell in _cells(label_name):
            assert 55 <= cell.amplitude_pa <= 150


def test_traits_of_the_classes_overlap():
    traits = simulated_cells.CLASS_TRAITS
    for name in ('shoulder', 'hump', 'tail_ms'):
        (mean_a, sd_a), (mean_b, sd_b) = (getattr(traits[label_name], name) for label_name in LABEL_NAMES)
        assert 0 < abs(mean_a - mean_b) < 2 * (sd_a + sd_b)


def test_profiles_are_the_published_sets():
    paper = simulated_recordings.PROFILES['paper']
    assert paper.n_cells == {'original': {'SER': 108, 'NSER': 45}, 'non_homogeneous': {'SER': 55, 'NSER': 26}}
