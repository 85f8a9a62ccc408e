import dataclasses

import numpy as np
import pytest

from beam_pipelines import domain
from trainer.evaluation.out_of_distribution import training_warnings
from trainer.evaluation.training_range import CellTraits, TrainingRange


def mean_spike(width_ms: float) -> np.ndarray:
    time_ms = (np.arange(domain.SPIKE_SAMPLES) - 42) / 40
    return (-80 * np.exp(-0.5 * (time_ms / width_ms) ** 2)).astype(np.float32)


SEEN = TrainingRange(
    label=np.array([0, 0, 1]),
    mean_waveform=np.stack([mean_spike(0.1), mean_spike(0.12), mean_spike(0.08)]),
    udi_ms=np.array([1.0, 1.6, 0.5]),
    amplitude_pa=np.array([60.0, 80.0, 120.0]),
    noise_pa=np.array([2.0, 3.0, 4.0]),
    firing_rate_hz=np.array([1.0, 3.0, np.nan]),
    n_spikes=np.array([200, 400, 100]),
)
LIKE_THEM = CellTraits(mean_spike(0.11), 1.2, 75.0, 3.1, 2.0, 250, 40_000)


def test_a_cell_like_those_seen_has_no_warning():
    assert training_warnings(LIKE_THEM, SEEN) == ()


@pytest.mark.parametrize(
    'trait',
    [
        {'noise_pa': 5.0}, {'noise_pa': 1.5}, {'amplitude_pa': 150.0}, {'amplitude_pa': 45.0}, {'udi_ms': 1.8},
        {'udi_ms': 0.45}, {'firing_rate_hz': 4.0}, {'firing_rate_hz': 0.8}, {'firing_rate_hz': np.nan},
        {'n_spikes': 60}, {'n_spikes': 10_000},
    ],
)  # fmt: skip
def test_a_little_beyond_the_range_is_no_warning(trait):
    assert training_warnings(dataclasses.replace(LIKE_THEM, **trait), SEEN) == ()


@pytest.mark.parametrize(
    ('trait', 'code', 'words'),
    [
        (
            {'noise_pa': 9.1},
            'noise_high',
            'The noise of this recording (9.1 pA) is 2.3 times that of the noisiest recording the model has seen'
            ' (4.0 pA); the verdict may not hold.',
        ),
        ({'noise_pa': 0.5}, 'noise_low', 'far below that of the quietest recording the model has seen (2.0 pA)'),
        (
            {'amplitude_pa': 400.0},
            'amplitude_high',
            '(400 pA) are larger than those of any cell the model has seen (60 to 120 pA)',
        ),
        ({'amplitude_pa': 30.0}, 'amplitude_low', '(30 pA) are smaller'),
        (
            {'firing_rate_hz': 80.0},
            'firing_rate_high',
            'fires at 80.0 per second, faster than any the model has seen (1.0 to 3.0)',
        ),
        ({'firing_rate_hz': 0.05}, 'firing_rate_low', 'fires at 0.05 per second, more slowly'),
        ({'n_spikes': 1}, 'few_spikes', 'rests on one spike only; the cells the model has seen have 100 to 400'),
        ({'n_spikes': 12}, 'few_spikes', 'rests on 12 spikes only'),
        (
            {'udi_ms': 2.4},
            'udi_high',
            '(UDI 2.40 ms) is wider than that of any cell the model has seen (0.50 to 1.60 ms)',
        ),
        ({'udi_ms': 0.2}, 'udi_low', '(UDI 0.20 ms) is narrower'),
        ({'udi_ms': np.nan}, 'udi_unmeasured', 'width (UDI) of the mean spike cannot be measured'),
        (
            {'mean_waveform': np.repeat([0, -200], 80).astype(np.float32)},
            'unlike_training_cells',
            'it may be an artefact and no spike',
        ),
        ({'mean_waveform': np.zeros(160, np.float32)}, 'unlike_training_cells', 'it may be an artefact and no spike'),
        ({'sampling_rate_hz': 20_000}, 'resampled', 'was sampled at 20,000 Hz and resampled to 40,000 Hz'),
    ],
)
def test_what_lies_beyond_is_said_with_the_numbers(trait, code, words):
    (warning,) = training_warnings(dataclasses.replace(LIKE_THEM, **trait), SEEN)
    assert warning.code == code and warning.is_outside_training_range
    assert words in warning.sentence
    assert warning.sentence.endswith('.')


def test_training_cells_are_named_as_they_are_known():
    (warning,) = training_warnings(dataclasses.replace(LIKE_THEM, noise_pa=9.1), SEEN, 'of original/train')
    assert 'that of the noisiest recording of original/train (4.0 pA)' in str(warning)


def test_details_are_not_lost_by_resampling_from_a_higher_rate():
    (warning,) = training_warnings(dataclasses.replace(LIKE_THEM, sampling_rate_hz=100_000), SEEN)
    assert 'lost' not in warning.sentence


def test_a_width_that_some_training_cells_lack_too_is_no_warning():
    seen = dataclasses.replace(SEEN, udi_ms=np.array([1.0, np.nan, 0.5]))
    assert training_warnings(dataclasses.replace(LIKE_THEM, udi_ms=np.nan), seen) == ()
