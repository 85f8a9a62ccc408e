import json

import numpy as np
import pytest

from beam_pipelines.simulation import recordings as simulated_recordings
from beam_pipelines.spikes.detection import cut_windows, find_triggers
from tests.support.recordings import read_abf


def _pulses(samples: int, starts: list[int], length: int = 5, depth_pa: float = -80) -> np.ndarray:
    current_pa = np.zeros(samples, np.float32)
    for start in starts:
        current_pa[start : start + length] = depth_pa
    return current_pa


def _triggers(current_pa: np.ndarray) -> list[int]:
    return find_triggers(current_pa).tolist()


def test_trigger_is_the_first_sample_below_the_threshold():
    assert _triggers(_pulses(2000, [500, 1000])) == [500, 1000]


def test_a_sample_at_the_threshold_triggers():
    assert _triggers(_pulses(2000, [500], depth_pa=-50)) == [500]


def test_a_sample_just_above_the_threshold_does_not_trigger():
    assert _triggers(_pulses(2000, [500], depth_pa=-49.99)) == []


def test_a_sweep_that_starts_below_the_threshold_triggers_only_after_it_was_above():
    assert _triggers(_pulses(2000, [0, 700])) == [700]


def test_crossings_within_a_spike_window_belong_to_the_same_spike():
    assert _triggers(_pulses(2000, [500, 520, 659, 900])) == [500, 900]


def test_a_crossing_one_window_after_a_trigger_is_the_next_trigger():
    assert _triggers(_pulses(2000, [500, 660])) == [500, 660]


def test_the_window_counts_from_the_last_trigger_and_not_from_the_last_crossing():
    assert _triggers(_pulses(2000, [500, 600, 700, 800])) == [500, 700]


def test_a_signal_that_stays_below_the_threshold_triggers_once():
    assert _triggers(_pulses(2000, [500], length=1000)) == [500]


@pytest.mark.parametrize('samples', [0, 1, 159])
def test_sweeps_too_short_for_a_spike_have_no_trigger_or_drop_it(samples):
    current_pa = _pulses(samples, [samples // 2])
    triggers = find_triggers(current_pa)
    waveforms, kept = cut_windows(current_pa, triggers)
    assert waveforms.shape == (0, 160)
    assert not kept.any()


def test_window_goes_from_40_samples_before_the_trigger_to_120_after():
    current_pa = np.arange(1000, dtype=np.float32)
    waveforms, kept = cut_windows(current_pa, np.array([300]))
    assert kept.tolist() == [True]
    assert waveforms.tolist() == [list(range(260, 420))]


def test_windows_that_just_fit_are_kept_and_those_that_do_not_are_dropped():
    current_pa = np.zeros(1000, np.float32)
    waveforms, kept = cut_windows(current_pa, np.array([39, 40, 880, 881]))
    assert kept.tolist() == [False, True, True, False]
    assert waveforms.shape == (2, 160)


@pytest.fixture(scope='module')
def simulated(tmp_path_factory):
    """Recordings with some hundred spikes: the root and what SIMULATED.json says of each."""
    counts = {'original': {'SER': 5, 'NSER': 5}, 'non_homogeneous': {'SER': 3, 'NSER': 3}}
    profile = simulated_recordings.Profile('for_detection', counts, seconds=20.0)
    root = simulated_recordings.simulate(tmp_path_factory.mktemp('detection') / 'recordings', profile, seed=5)
    return root, json.loads((root / 'SIMULATED.json').read_text())['recordings']


def _found(root, recording) -> set[int]:
    (current_pa,) = read_abf(str(root / recording['path'])).sweeps
    return set(_triggers(current_pa))


def test_spikes_well_below_the_threshold_are_found_at_the_right_sample(simulated):
    root, recordings = simulated
    large, found_exactly = 0, 0
    for recording in recordings:
        found = _found(root, recording)
        for sample, trough_pa in zip(recording['spike_samples'], recording['trough_pa'], strict=True):
            if trough_pa < -55:
                large += 1
                found_exactly += sample in found
    assert large > 400
    assert found_exactly >= 0.995 * large


def test_nothing_is_found_that_is_no_spike(simulated):
    root, recordings = simulated
    for recording in recordings:
        assert _found(root, recording) <= set(recording['spike_samples']), recording['path']
