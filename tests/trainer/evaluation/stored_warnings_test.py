import dataclasses

import msgspec
import numpy as np
import pytest

from beam_pipelines.recordings.reading_options import DEFAULT_CUTTING, PUBLISHED_CUTTING, ReadingOptions
from beam_pipelines.recordings.recording import Recording
from beam_pipelines.spikes.extraction import RecordedCell
from beam_pipelines.spikes.preparation import find_spikes
from tests.support.simulated_current import simulated_current
from trainer.classify.recording_warnings import recording_warnings
from trainer.evaluation.out_of_distribution import training_warnings
from trainer.evaluation.stored_warnings import Comparison, stored_warnings
from trainer.evaluation.training_range import measure_range, measure_traits


@pytest.fixture(scope='module')
def comparison() -> Comparison:
    """Three cells that were trained on."""
    spikes = [find_spikes([simulated_current(20, seed=seed)[0]], DEFAULT_CUTTING)[1] for seed in (5, 6, 7)]
    counts = [len(of_cell.triggers) for of_cell in spikes]
    waveforms = np.concatenate([of_cell.waveforms for of_cell in spikes])
    triggers = np.concatenate([of_cell.triggers for of_cell in spikes])
    cell = np.repeat([0, 1, 2], counts)
    return Comparison(measure_range(waveforms, np.ones_like(cell), cell, triggers), ('A#5',), DEFAULT_CUTTING)


def codes_of(warnings) -> list[str]:
    return [warning.code for warning in warnings]


@pytest.mark.parametrize('gain', [1, 3])
def test_a_cell_has_the_warnings_that_its_recording_has(comparison, gain):
    current_pa = gain * simulated_current(20, seed=5)[0]
    cutting = PUBLISHED_CUTTING
    current, spikes = find_spikes([current_pa], cutting)
    recorded = RecordedCell('A#1', 'A#1.abf', spikes, Recording([current_pa], 40_000), current)
    of_recording = recording_warnings(recorded, ReadingOptions(cutting=cutting))
    of_training = training_warnings(measure_traits(spikes.waveforms, spikes.triggers), comparison.training_range)
    order = np.random.default_rng(0).permutation(len(spikes.triggers))
    stored = stored_warnings(
        'A#1', spikes.waveforms[order], spikes.triggers[order], dataclasses.replace(comparison, cutting=cutting)
    )
    assert stored == of_recording + of_training
    assert bool(stored) == (gain == 3)


def test_saturation_and_bursts_are_told_from_the_spikes_alone(comparison):
    spikes = find_spikes([simulated_current(20, seed=5)[0]], DEFAULT_CUTTING)[1]
    waveforms = np.maximum(spikes.waveforms, np.float32(-80))
    waveforms[:6] = np.minimum(waveforms[:6], np.roll(waveforms[:6], 90, axis=1))
    warnings = stored_warnings('A#1', waveforms, spikes.triggers, comparison)
    assert codes_of(warnings) == ['saturation', 'bursts']
    assert f'In 6 of {len(waveforms)} spike windows another spike begins' in str(warnings[1])
    # Where each recording has its own threshold, a second spike is not told from noise.
    own_threshold = dataclasses.replace(comparison, cutting=msgspec.structs.replace(DEFAULT_CUTTING, trigger_sd=10))
    assert codes_of(stored_warnings('A#1', waveforms, spikes.triggers, own_threshold)) == ['saturation']


def test_a_cell_of_a_name_that_was_trained_on_is_told(comparison):
    spikes = find_spikes([simulated_current(20, seed=5)[0]], DEFAULT_CUTTING)[1]
    assert codes_of(stored_warnings('A#5', spikes.waveforms, spikes.triggers, comparison)) == ['trained_on_cell']


def test_spikes_that_were_drawn_at_random_do_not_tell_how_often_a_cell_fires(comparison):
    spikes = find_spikes([simulated_current(20, seed=5)[0]], DEFAULT_CUTTING)[1]
    waveforms, triggers = spikes.waveforms, 50 * spikes.triggers
    assert codes_of(stored_warnings('A#1', waveforms, triggers, comparison)) == ['firing_rate_low']
    assert stored_warnings('A#1', waveforms, triggers, comparison.without_firing_rate()) == ()
