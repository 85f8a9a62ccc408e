import json

import numpy as np
import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.spikes import noise_masks
from beam_pipelines.spikes.detection import find_triggers
from tests.support.recordings import read_abf


def _noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 3, samples).astype(np.float32)


def _stretches(current_pa: np.ndarray) -> np.ndarray:
    return noise_masks.find_quiet_stretches(current_pa, find_triggers(current_pa))


def test_silence_is_cut_whole_into_stretches_that_do_not_overlap():
    assert _stretches(_noise(1650)).tolist() == list(range(0, 1600, 160))


def test_a_sweep_shorter_than_a_mask_has_no_stretch():
    assert _stretches(_noise(159)).tolist() == []


@pytest.mark.parametrize('trigger', [0, 100, 5000, 9_999])
def test_no_stretch_lies_between_2_ms_before_and_20_ms_after_a_trigger(trigger):
    current_pa = _noise(10_000)
    starts = noise_masks.find_quiet_stretches(current_pa, np.array([trigger]))
    assert len(starts) > 40
    assert not ((starts + 160 > trigger - 80) & (starts <= trigger + 800)).any()


def test_a_spike_too_small_to_trigger_is_no_noise():
    current_pa = _noise(1600)
    current_pa[500] = -40
    assert 480 not in _stretches(current_pa)
    assert len(_stretches(current_pa)) == 9


def test_a_stimulus_artefact_is_no_noise():
    current_pa = _noise(1600)
    current_pa[500] = 40
    assert 480 not in _stretches(current_pa)


def test_stretches_of_simulated_recordings_hold_no_spike(recordings_root):
    for recording in json.loads((recordings_root / 'SIMULATED.json').read_text())['recordings']:
        (current_pa,) = read_abf(str(recordings_root / recording['path'])).sweeps
        starts = _stretches(current_pa)
        assert len(starts), recording['path']
        for sample in filter(None, recording['spike_samples']):
            assert not ((starts <= sample + 120) & (starts + 160 > sample - 40)).any(), (recording['path'], sample)


def test_masks_come_evenly_from_all_recordings():
    assert noise_masks.spread_over_recordings([100, 100, 100], 9) == [3, 3, 3]


def test_what_does_not_divide_differs_by_one_at_the_most():
    taken = noise_masks.spread_over_recordings([100] * 7, 45)
    assert sum(taken) == 45
    assert max(taken) - min(taken) <= 1


def test_recordings_with_little_silence_give_all_and_the_others_the_rest():
    assert noise_masks.spread_over_recordings([2, 100, 0, 100], 22) == [2, 10, 0, 10]


def test_all_silence_can_be_wanted():
    assert noise_masks.spread_over_recordings([5, 1, 3], 9) == [5, 1, 3]


def test_too_little_silence_is_an_error_with_the_numbers():
    with pytest.raises(
        UserError, match=r'not enough silence: 600 noise masks of 4 ms wanted, .* the 2 training recordings hold 17'
    ):
        noise_masks.spread_over_recordings([10, 7], 600)


def test_what_is_quiet_depends_on_the_threshold():
    current_pa = _noise(1_600)
    current_pa[[200, 500, 900]] = -15, -24, 30
    assert len(noise_masks.find_quiet_stretches(current_pa, np.empty(0, np.int64))) == 9
    assert len(noise_masks.find_quiet_stretches(current_pa, np.empty(0, np.int64), -25.0)) == 7
    assert len(noise_masks.find_quiet_stretches(current_pa, np.empty(0, np.int64), -100.0)) == 10
