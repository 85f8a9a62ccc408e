import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.support.spikes import make_spikes
from trainer.classify.saliency import consensus_saliencies, consensus_saliency, midway_spikes
from trainer.evaluation.training_range import TrainingRange
from trainer.models.ensemble import build_ensemble, join_members, members_of
from trainer.models.keras_scorer import KerasScorer

# The same on JAX, in a process of its own: a process has one backend.
JAX_PROGRAM = """
import sys
import keras, numpy as np
from trainer.models.files import load_model
from trainer.models.ensemble import AddTimeColumn  # the file names it
from trainer.models.keras_scorer import KerasScorer
from trainer.classify.saliency import consensus_saliencies
assert keras.backend.backend() == 'jax'
model = load_model(sys.argv[1] + '/ensemble.keras', compile=False)
spikes = np.load(sys.argv[1] + '/spikes.npy')
np.save(sys.argv[1] + '/saliency.npy', consensus_saliencies(KerasScorer(model), spikes[1:], spikes[0]))
"""


def make_member(name: str, samples: slice, sign: float) -> keras.Model:
    """Returns a member whose SER score rises with the current in some samples (or falls, if `sign` is -1)."""
    weights = np.zeros((160, 2), np.float32)
    weights[samples, 0], weights[samples, 1] = 0.005 * sign, -0.005 * sign
    member = keras.Sequential([keras.Input((160,)), keras.layers.Dense(2, activation='sigmoid')], name=name)
    member.layers[-1].set_weights([weights, np.zeros(2, np.float32)])
    return member


def make_range(waveform: np.ndarray, label: np.ndarray) -> TrainingRange:
    unused = np.zeros(len(label))
    return TrainingRange(label, waveform, unused, unused, unused, unused, unused)


def log_odds(model: keras.Model, waveform: np.ndarray) -> np.ndarray:
    """The definition: of the mean scores of the members."""
    scores = model.predict_on_batch(waveform)
    mean = np.mean([np.asarray(score) for score in scores.values()], axis=0)
    return np.log(mean[:, 0] / mean[:, 1])


@pytest.fixture(scope='module')
def ensemble() -> keras.Model:
    """Members of both architectures that have learnt a little."""
    spikes, label = make_spikes(256)
    kinds = (('cnn', 6), ('published', 9))
    model = join_members(
        [member for kind, size in kinds for member in members_of(build_ensemble(kind, (size,), seed=1))]
    )
    model.compile('adam', dict.fromkeys(model.output_names, 'binary_crossentropy'))
    model.fit(spikes, dict.fromkeys(model.output_names, np.eye(2)[label]), epochs=2, verbose=0)
    return model


def test_saliencies_add_up_to_the_difference_in_log_odds(ensemble):
    spikes, label = make_spikes(11, seed=3)
    baseline = make_spikes(40, seed=4)[0].mean(axis=0)
    saliency = consensus_saliencies(KerasScorer(ensemble), spikes, baseline)
    difference = log_odds(ensemble, spikes) - log_odds(ensemble, baseline[np.newaxis])
    assert np.ptp(difference) > 0.5  # the model does tell them apart
    np.testing.assert_allclose(saliency.sum(axis=1), difference, atol=0.01 * np.ptp(difference))


def test_one_cell_is_classified_as_among_many(ensemble):
    spikes, _ = make_spikes(10, seed=3)
    baseline = np.zeros(160)
    many = consensus_saliencies(KerasScorer(ensemble), spikes, baseline)
    np.testing.assert_allclose(
        consensus_saliency(KerasScorer(ensemble), spikes[9], baseline), many[9], rtol=1e-3, atol=1e-4
    )


def test_saliency_lies_where_the_members_look():
    model = join_members([make_member('a', slice(42, 45), 1.0), make_member('b', slice(90, 100), -1.0)])
    spike = np.full(160, 20.0)
    saliency = consensus_saliency(KerasScorer(model), spike, np.zeros(160))
    assert np.all(saliency[42:45] > 0)
    assert np.all(saliency[90:100] < 0)
    elsewhere = np.delete(saliency, np.r_[42:45, 90:100])
    assert np.all(elsewhere == 0)


def test_a_sample_like_the_baseline_says_nothing():
    model = join_members([make_member('a', slice(0, 160), 1.0)])
    spike = np.linspace(-50, 50, 160)
    baseline = spike.copy()
    baseline[80:] = 0
    assert np.all(consensus_saliency(KerasScorer(model), spike, baseline)[:80] == 0)
    assert np.all(consensus_saliency(KerasScorer(model), spike, baseline)[80:] > 0)


def test_members_that_are_wholly_sure_give_a_finite_saliency():
    member = make_member('a', slice(0, 160), 1.0)
    saliency = consensus_saliency(KerasScorer(join_members([member])), np.full(160, -100.0), np.zeros(160))
    assert np.isfinite(saliency).all()
    assert saliency.sum() < -10


def test_baseline_is_midway_between_the_classes_and_as_large_as_the_cell():
    shape = np.zeros((3, 160))
    shape[0, 40:50], shape[1, 40:50], shape[2, 60:70] = -1, -9, -5  # two SER cells of one shape, one NSER cell
    training_range = make_range(shape, np.array([0, 0, 1]))
    cells = np.random.default_rng(0).normal(3, 20, (4, 160))
    baseline = midway_spikes(training_range, cells)
    np.testing.assert_allclose(baseline.mean(axis=1), cells.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(baseline.std(axis=1), cells.std(axis=1), rtol=1e-5)
    np.testing.assert_allclose(baseline[:, 40:50], baseline[:, 60:70], rtol=1e-5)
    np.testing.assert_allclose(midway_spikes(training_range, cells[2]), baseline[2], rtol=1e-6)


def test_the_size_of_a_spike_says_nothing(ensemble):
    # The first layer divides by it, so that a larger spike of the same shape stands as far from its baseline.
    spikes, label = make_spikes(60, seed=5)
    training_range = make_range(spikes, label)
    mean = spikes[label == 0].mean(axis=0)
    small, large = (
        consensus_saliency(KerasScorer(ensemble), spike, midway_spikes(training_range, spike))
        for spike in (mean, 3 * mean)
    )
    np.testing.assert_allclose(large, small, atol=0.02 * np.abs(small).max())


@pytest.mark.slow
def test_jax_gives_the_same(ensemble, tmp_path):
    spikes, _ = make_spikes(3, seed=6)
    model = join_members(members_of(ensemble)[1:])  # one is enough: each costs seconds of compiling
    np.save(tmp_path / 'spikes.npy', spikes)
    model.save(tmp_path / 'ensemble.keras')
    result = subprocess.run(
        [sys.executable, '-c', JAX_PROGRAM, str(tmp_path)],
        env=os.environ | {'KERAS_BACKEND': 'jax'},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    expected = consensus_saliencies(KerasScorer(model), spikes[1:], spikes[0])
    np.testing.assert_allclose(np.load(tmp_path / 'saliency.npy'), expected, atol=0.01 * np.abs(expected).max())
