import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.support.spikes import make_spikes
from tests.support.training_runs import TINY_RUN, train
from trainer.evaluation.verdicts import spike_p_ser
from trainer.models.architectures import build_member
from trainer.models.ensemble import build_ensemble, join_members, members_of
from trainer.models.exported_consensus import build_consensus, is_written, remove_consensus, write_consensus
from trainer.models.files import load_model

# Each in a process that knows Keras or TensorFlow, but not this package.
KERAS_PROGRAM = """
import sys, keras, numpy as np
model = keras.saving.load_model(sys.argv[1] + '/consensus.keras', safe_mode=True)
np.save(sys.argv[2] + '/p_ser.npy', model.predict(np.load(sys.argv[2] + '/spikes.npy'), verbose=0))
assert not any(name.partition('.')[0] in ('trainer', 'beam_pipelines') for name in sys.modules)
"""
TENSORFLOW_PROGRAM = """
import sys
import tensorflow as tf
import numpy as np
serve = tf.saved_model.load(sys.argv[1] + '/saved_model').signatures['serving_default']
outputs = serve(tf.constant(np.load(sys.argv[2] + '/spikes.npy')))
assert list(outputs) == ['p_ser'], outputs
np.save(sys.argv[2] + '/p_ser.npy', outputs['p_ser'].numpy())
assert not any(name.partition('.')[0] in ('trainer', 'beam_pipelines') for name in sys.modules)
"""
JAX_PROGRAM = """
import sys, numpy as np
from trainer.models.exported_consensus import build_consensus, write_consensus
from trainer.models.architectures import build_member
import keras
assert keras.backend.backend() == 'jax'
members = [build_member('cnn', 3), build_member('published', 4)]
write_consensus(sys.argv[1], members)
spikes = np.load(sys.argv[1] + '/spikes.npy')
np.save(sys.argv[1] + '/expected.npy', build_consensus(members).predict(spikes, verbose=0)['p_ser'])
"""


def p_ser_of(program: str, model_folder: pathlib.Path, folder: pathlib.Path, spikes: np.ndarray) -> np.ndarray:
    np.save(folder / 'spikes.npy', spikes)
    result = subprocess.run(
        [sys.executable, '-c', program, str(model_folder), str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
    )
    assert result.returncode == 0, result.stderr
    return np.load(folder / 'p_ser.npy')


def expected_p_ser(workdir: pathlib.Path, spikes: np.ndarray) -> np.ndarray:
    """What the verdicts' code makes of the members' files."""
    paths = sorted((workdir / 'members').iterdir())
    ensemble = join_members([load_model(str(path), compile=False) for path in paths])
    scores = ensemble.predict_on_batch(spikes)
    return spike_p_ser(np.stack([np.asarray(scores[name]) for name in ensemble.output_names], axis=1))


def fixed_member(name: str, ser: float, nser: float) -> keras.Model:
    """Returns a member that scores any spike the same."""
    return keras.Sequential(
        [
            keras.Input((160,)),
            keras.layers.Dense(
                2, kernel_initializer='zeros', bias_initializer=lambda *_, **__: np.float32([ser, nser])
            ),
        ],
        name=name,
    )


def consensus_of(*scores: tuple[float, float]) -> float:
    members = [fixed_member(f'k{number}', *pair) for number, pair in enumerate(scores)]
    [p_ser] = np.asarray(build_consensus(members).predict_on_batch(make_spikes(1)[0])['p_ser'])
    assert p_ser.dtype == np.float32
    return float(p_ser)


@pytest.mark.parametrize('architecture', ['cnn', 'published'])
def test_consensus_is_that_of_the_verdicts(architecture):
    spikes, _ = make_spikes(20)
    members = members_of(build_ensemble(architecture, (3, 6), seed=0))
    scores = np.stack([np.asarray(member.predict(with_time(member, spikes), verbose=0)) for member in members], axis=1)
    p_ser = build_consensus(members).predict_on_batch(spikes)['p_ser']
    np.testing.assert_allclose(p_ser, spike_p_ser(scores), rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(p_ser) > 0.5, scores[..., 0].mean(axis=1) > scores[..., 1].mean(axis=1))


def with_time(member: keras.Model, spikes: np.ndarray) -> np.ndarray:
    if len(member.input_shape) == 2:
        return spikes
    time_s = np.broadcast_to(np.arange(160, dtype=np.float32) / 40_000, spikes.shape)
    return np.stack([time_s, spikes], axis=-1)[..., np.newaxis]


def test_consensus_weighs_scores_and_not_votes():
    assert consensus_of((0.9, 0.0), (0.1, 0.2), (0.1, 0.2)) == pytest.approx(1.1 / 1.5)


def test_consensus_is_one_half_where_nothing_speaks_for_either():
    assert consensus_of((0.0, 0.0)) == 0.5
    assert consensus_of((0.25, 0.25)) == 0.5


def test_consensus_decides_as_the_published_rule_to_the_last_digit():
    # Their sum is rounded to 2, and 1 / 2 is no more than one half.
    less = float(np.nextafter(np.float32(1), np.float32(0)))
    assert consensus_of((1.0, less)) > 0.5
    assert consensus_of((less, 1.0)) <= 0.5


@pytest.mark.parametrize('precision', ['mixed_bfloat16', 'mixed_float16'])
def test_consensus_of_half_precision_members_is_float32_and_theirs(precision, tmp_path):
    spikes, _ = make_spikes(20)
    members = [build_member('published', 4, precision), build_member('cnn', 6, precision)]
    scores = np.stack([np.asarray(member(with_time(member, spikes), training=False)) for member in members], axis=1)
    consensus = build_consensus(members)
    consensus.save(tmp_path / 'consensus.keras')
    for model in (consensus, keras.saving.load_model(tmp_path / 'consensus.keras', safe_mode=True)):
        p_ser = np.asarray(model(spikes, training=False)['p_ser'])
        assert p_ser.dtype == np.float32
        np.testing.assert_allclose(p_ser, spike_p_ser(scores), rtol=1e-6)


def test_what_is_written_disappears_whole(tmp_path):
    write_consensus(str(tmp_path), [build_member('cnn', 3)])
    assert sorted(os.listdir(tmp_path)) == ['consensus.keras', 'consensus.onnx', 'saved_model']
    assert is_written(str(tmp_path))
    remove_consensus(str(tmp_path))
    assert os.listdir(tmp_path) == []
    assert not is_written(str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize('program', [KERAS_PROGRAM, TENSORFLOW_PROGRAM], ids=['keras', 'tensorflow'])
def test_consensus_of_a_run_loads_without_this_package(program, original_run, tmp_path):
    workdir = original_run
    spikes, _ = make_spikes(30)
    p_ser = p_ser_of(program, workdir, tmp_path, spikes)
    assert (p_ser.shape, p_ser.dtype) == ((30,), np.float32)
    np.testing.assert_allclose(p_ser, expected_p_ser(workdir, spikes), rtol=1e-4)


@pytest.mark.slow
def test_saved_model_of_jax_computes_in_tensorflow(tmp_path):
    spikes, _ = make_spikes(10)
    np.save(tmp_path / 'spikes.npy', spikes)
    environment = os.environ | {'KERAS_BACKEND': 'jax'}
    subprocess.run([sys.executable, '-c', JAX_PROGRAM, str(tmp_path)], check=True, timeout=300, env=environment)
    p_ser = p_ser_of(TENSORFLOW_PROGRAM, tmp_path, tmp_path, spikes)
    np.testing.assert_allclose(p_ser, np.load(tmp_path / 'expected.npy'), rtol=1e-4)


@pytest.mark.slow
def test_consensus_is_made_anew_when_a_run_goes_on_or_it_is_missing(data_dir, tmp_path):
    workdir = tmp_path / 'run'
    config = TINY_RUN | {'train_on': 'original', 'kernel_sizes': (4,), 'batch_size': 8, 'examples_per_epoch': 48}
    first = train(config | {'epochs': 1}, str(data_dir), str(workdir))
    before = (workdir / 'consensus.keras').stat().st_mtime_ns
    assert train(config | {'epochs': 1}, str(data_dir), str(workdir)) == first
    assert (workdir / 'consensus.keras').stat().st_mtime_ns == before
    train(config | {'epochs': 2}, str(data_dir), str(workdir))
    assert (workdir / 'consensus.keras').stat().st_mtime_ns > before
    (workdir / 'consensus.keras').unlink()  # as if killed before it was written
    train(config | {'epochs': 2}, str(data_dir), str(workdir))
    spikes, _ = make_spikes(10)
    loaded = keras.saving.load_model(workdir / 'consensus.keras', safe_mode=True)
    np.testing.assert_allclose(loaded.predict_on_batch(spikes), expected_p_ser(workdir, spikes), rtol=1e-4)


@pytest.mark.slow
def test_info_says_what_each_member_and_the_consensus_are_worth(synthetic_run):
    info = json.loads((synthetic_run[0] / 'model_info.json').read_text())
    assert set(info['validation']) == {'k5', 'k8', 'consensus'}
    for metrics in info['validation'].values():
        assert 0.4 < metrics['accuracy'] <= 1
        assert 0.4 < metrics['auc'] <= 1
    assert set(info['validation_loss']) == {'k5', 'k8'}
    assert info['init_from'] is None
    assert info['source'] == 'simulated'
    assert info['config']['kernel_sizes'] == [5, 8]
    assert len(info['dataset_fingerprint']) > 8
    assert {'keras', 'backend', 'tensorflow', 'numpy', 'python', 'sero_spikes'} == set(info['versions'])
