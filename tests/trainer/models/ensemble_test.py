import keras
import numpy as np
import pytest

from tests.support.spikes import make_spikes
from trainer.models.ensemble import AddTimeColumn, build_ensemble, join_members, members_of

BATCH = 32
STEPS = 50


def without_dropout(model: keras.Model) -> keras.Model:
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return model


def fit(model: keras.Model, waveform: np.ndarray, targets) -> None:
    losses = dict.fromkeys(targets, 'binary_crossentropy') if isinstance(targets, dict) else 'binary_crossentropy'
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=losses, jit_compile=False)
    model.fit(waveform, targets, batch_size=BATCH, shuffle=False, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize('architecture', ['cnn', 'published'])
def test_members_get_the_weights_that_they_get_when_trained_alone(architecture):
    waveform, label = make_spikes(BATCH * STEPS)
    one_hot = np.eye(2, dtype=np.float32)[label]
    ensemble = build_ensemble(architecture, (3, 6), seed=1)
    alone = {}
    for member in map(without_dropout, members_of(ensemble)):
        alone[member.name] = without_dropout(keras.models.clone_model(member))
        alone[member.name].set_weights(member.get_weights())

    before = {member.name: member.get_weights() for member in members_of(ensemble)}
    fit(ensemble, waveform, dict.fromkeys(ensemble.output_names, one_hot))

    with_time = np.asarray(AddTimeColumn()(waveform))
    for member in members_of(ensemble):
        fit(alone[member.name], with_time if architecture == 'published' else waveform, one_hot)
        trained = [variable.numpy() for variable in member.trainable_variables]
        trained_alone = [variable.numpy() for variable in alone[member.name].trainable_variables]
        for weight, expected in zip(trained, trained_alone, strict=True):
            np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
        assert not np.allclose(before[member.name][-2], member.get_weights()[-2], atol=1e-3)


def test_time_column_is_the_published_one():
    waveform, _ = make_spikes(3)
    with_time = np.asarray(AddTimeColumn()(waveform))
    assert with_time.shape == (3, 160, 2, 1)
    np.testing.assert_allclose(with_time[:, :, 0, 0], np.tile(np.arange(160) * 25e-6, (3, 1)), rtol=1e-6)
    np.testing.assert_array_equal(with_time[:, :, 1, 0], waveform)


def test_each_kernel_size_is_a_member():
    ensemble = build_ensemble('cnn', (9, 10), seed=0)
    assert {member.name: member.layers[2].kernel_size for member in members_of(ensemble)} == {'k9': (9,), 'k10': (10,)}
    assert ensemble.output_names == [member.name for member in members_of(ensemble)]


def test_members_start_with_weights_of_their_own():
    first, second = members_of(build_ensemble('cnn', (5, 6), seed=0))
    assert not np.array_equal(first.get_weights()[2][:5], second.get_weights()[2][:5])


def test_same_seed_gives_the_same_weights():
    first, second = (build_ensemble('cnn', (5,), seed=3).get_weights() for _ in range(2))
    for weight, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(weight, again)


def test_another_seed_gives_other_weights():
    first, second = (build_ensemble('cnn', (5,), seed=seed).get_weights() for seed in (3, 4))
    assert not np.array_equal(first[2], second[2])


def test_joined_members_score_as_each_does_alone():
    waveform, _ = make_spikes(10)
    members = members_of(build_ensemble('cnn', (5, 6), seed=0))
    scores = join_members(members).predict_on_batch(waveform)
    for member in members:
        np.testing.assert_allclose(scores[member.name], member.predict_on_batch(waveform), rtol=1e-5)


@pytest.mark.parametrize('architecture', ['cnn', 'published'])
def test_mixed_precision_normalises_the_current_as_it_was_recorded(architecture):
    waveform, _ = make_spikes(10)
    rounded = np.asarray(keras.ops.cast(keras.ops.cast(waveform, 'bfloat16'), 'float32'))
    ensemble = build_ensemble(architecture, (5,), 0, 'mixed_bfloat16')
    assert not np.array_equal(ensemble.predict_on_batch(waveform)['k5'], ensemble.predict_on_batch(rounded)['k5'])


@pytest.mark.parametrize('architecture', ['cnn', 'published'])
def test_saved_ensemble_loads_in_safe_mode_and_scores_the_same(architecture, tmp_path):
    waveform, _ = make_spikes(10)
    ensemble = build_ensemble(architecture, (5, 6), seed=0)
    ensemble.save(tmp_path / 'ensemble.keras')
    loaded = keras.saving.load_model(tmp_path / 'ensemble.keras', safe_mode=True)
    expected = ensemble.predict_on_batch(waveform)
    scores = loaded.predict_on_batch(waveform)
    assert loaded.output_names == ensemble.output_names
    for name in ensemble.output_names:
        np.testing.assert_allclose(scores[name], expected[name], rtol=1e-6)
