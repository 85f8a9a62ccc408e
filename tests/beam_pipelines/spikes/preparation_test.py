import re

import msgspec
import numpy as np
import pytest

from beam_pipelines.recordings.reading_options import DEFAULT_CUTTING, SpikeCutting
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.spikes.no_spikes import explain_no_spikes
from beam_pipelines.spikes.preparation import find_spikes
from tests.support.simulated_current import simulated_current


def _cutting(**changes) -> SpikeCutting:
    return msgspec.structs.replace(DEFAULT_CUTTING, **changes)


@pytest.fixture(scope='module')
def current_pa() -> np.ndarray:
    return simulated_current(20)[0]


@pytest.fixture(scope='module')
def triggers(current_pa) -> list[int]:
    return find_spikes([current_pa], DEFAULT_CUTTING)[1].triggers.tolist()


@pytest.mark.parametrize('factor', [-1, -4])
@pytest.mark.parametrize('polarity', ['up', 'auto'])
def test_spikes_that_point_upward_are_found(current_pa, triggers, factor, polarity):
    prepared, spikes = find_spikes([factor * current_pa], _cutting(polarity=polarity, trigger_pa=factor * 50.0))
    assert prepared.is_inverted
    assert spikes.triggers.tolist() == triggers


def test_spikes_that_point_downward_are_not_turned(current_pa, triggers):
    prepared, spikes = find_spikes([current_pa], _cutting(polarity='auto'))
    assert not prepared.is_inverted
    assert spikes.triggers.tolist() == triggers


def test_the_current_is_scaled_first(current_pa, triggers):
    _, spikes = find_spikes([current_pa / 1000], _cutting(scale=1000.0))
    assert spikes.triggers.tolist() == triggers


@pytest.mark.parametrize(('factor', 'scale'), [(1e-3, '1000'), (1e-6, '1e+06'), (1e4, '0.001')])
def test_a_current_that_makes_no_sense_in_its_unit_is_rejected_with_the_factor(current_pa, factor, scale):
    with pytest.raises(RecordingRejected, match='suspicious_scale') as raised:
        find_spikes([np.float32(factor) * current_pa], DEFAULT_CUTTING)
    assert f'--scale={scale} ' in raised.value.detail


def test_a_threshold_in_multiples_of_the_noise_finds_small_spikes(current_pa, triggers):
    smaller = 0.5 * current_pa
    assert not len(find_spikes([smaller], _cutting(trigger_pa=-80.0))[1].triggers)
    prepared, spikes = find_spikes([smaller], _cutting(trigger_sd=8.0))
    assert prepared.trigger_pa == pytest.approx(-8 * prepared.noise_pa)
    assert len(spikes.triggers) == len(triggers)


def _explanation(current_pa: np.ndarray, cutting: SpikeCutting) -> tuple[str, str]:
    prepared, spikes = find_spikes([current_pa], cutting)
    assert not len(spikes.triggers)
    return explain_no_spikes(spikes, prepared, cutting)


def test_upward_spikes_are_called_inverted_and_the_flag_is_named(current_pa):
    reason, detail = _explanation(-0.7 * current_pa, DEFAULT_CUTTING)
    assert reason == 'inverted'
    assert detail.endswith('give --polarity=up')


def test_spikes_below_the_threshold_are_counted(current_pa, triggers):
    reason, detail = _explanation(0.35 * current_pa - 60, DEFAULT_CUTTING)
    assert reason == 'no_spikes'
    assert int(re.search(r'(\d+) events beyond', detail)[1]) >= len(triggers)
    assert detail.endswith('do not reach the threshold')
    assert 'relative to its baseline of -6' in detail


def test_noise_alone_is_described():
    noise = np.random.default_rng(0).normal(0, 3, 400_000).astype(np.float32)
    reason, detail = _explanation(noise, DEFAULT_CUTTING)
    assert reason == 'no_spikes'
    assert '0 triggers at -50 pA in 10.0 s' in detail
    assert 'noise of 3 pA' in detail or 'noise of 2.99 pA' in detail or 'noise of 3.0' in detail


def test_a_flat_current_has_no_spikes():
    assert _explanation(np.zeros(40_000, np.float32), DEFAULT_CUTTING)[0] == 'no_spikes'
