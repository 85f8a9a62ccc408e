"""``consensus.onnx``: what it computes is what Keras computes, and whatever its bytes are, a fault is one line."""

import hashlib
import os
import random
import shutil
import subprocess
import sys

import keras
import numpy as np
import onnx
import pytest

from beam_pipelines.errors import UserError
from tests.support.places import ROOT
from tests.support.spikes import make_spikes
from trainer.classify.classifier import load_classifier
from trainer.errors import ModelError
from trainer.models import manifest, model_info, onnx_ensemble
from trainer.models.ensemble import build_ensemble, join_members, members_of
from trainer.models.files import save_whole
from trainer.models.keras_scorer import KerasScorer
from trainer.models.model_info import ModelInfo
from trainer.models.onnx_ensemble import OnnxEnsemble, load_onnx_ensemble
from trainer.models.onnx_export import write_onnx
from trainer.models.onnx_graph import MemberWeights, build_graph, weight_shapes
from trainer.models.scorers import load_scorer
from trainer.models.trained import load_members

FROZEN = ROOT / 'tests' / 'integration' / 'frozen' / 'finished'


def make_ensemble(architecture: str, kernel_sizes: tuple[int, ...], precision: str = 'float32') -> keras.Model:
    """Returns an ensemble of which no weight is zero."""
    model = build_ensemble(architecture, kernel_sizes, seed=1, precision=precision)
    rng = np.random.default_rng(0)
    for member in members_of(model):
        member.set_weights([weight + 0.05 * rng.standard_normal(weight.shape) for weight in member.get_weights()])
    return model


def make_info(architecture: str, kernel_sizes: tuple[int, ...]) -> ModelInfo:
    members = tuple(f'k{size}' for size in kernel_sizes)
    unused = {'source': 'recorded', 'protocol': 'by_cell', 'trained_on': 'a', 'examples_seen': 1, 'train_cells': ()}
    return ModelInfo(architecture=architecture, kernel_sizes=kernel_sizes, members=members, **unused)


def made_weights(kernel_size: int, seed: int = 0) -> MemberWeights:
    """Returns weights that are the same numbers on every machine."""
    shapes = weight_shapes(kernel_size).items()
    return MemberWeights(
        **{name: ((np.arange(np.prod(shape)) * (7 + seed) % 64 - 32) / 256).astype('<f4').reshape(shape)
           for name, shape in shapes}
    )  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """A run of an early version that was given a ``consensus.onnx``, without a manifest."""
    folder = tmp_path / 'run'
    shutil.copytree(FROZEN, folder)
    write_onnx(str(folder), load_members(str(folder), model_info.read(str(folder))))
    return folder


def error_of(folder) -> str:
    with pytest.raises(ModelError) as raised:
        load_onnx_ensemble(str(folder), model_info.read(str(folder)))
    message = str(raised.value)
    assert message.startswith(f'{folder}/consensus.onnx: ') and '\n' not in message and len(message) < 2_000
    return message


@pytest.mark.parametrize(
    ('architecture', 'kernel_sizes'),
    [('cnn', (20, 25)), ('published', (20, 25)), ('cnn', (1, 53)), ('published', (53,))],
)
def test_scores_and_gradient_are_those_of_keras(architecture, kernel_sizes, tmp_path):
    model = make_ensemble(architecture, kernel_sizes)
    write_onnx(str(tmp_path), members_of(model))
    by_onnx = load_onnx_ensemble(str(tmp_path), make_info(architecture, kernel_sizes))
    by_keras = KerasScorer(model)
    spikes, _ = make_spikes(150)
    expected = by_keras.score(spikes)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(by_onnx.score(spikes), expected, atol=1e-6)
    offset = spikes + np.float32(300)  # as docs/classify.md promises: further away, float32 is too coarse
    np.testing.assert_allclose(by_onnx.score(offset), by_keras.score(offset), atol=1e-5)
    gradient, expected = by_onnx.log_odds_gradient(spikes), by_keras.log_odds_gradient(spikes)
    wrong = np.abs(gradient - expected).max(axis=1) > 1e-4 * np.abs(expected).max()
    # Where two neighbours are equal but for rounding, either may be the larger one.
    assert wrong.sum() <= 2
    assert gradient.shape == (150, 160)


def test_gradient_is_that_of_the_scores():
    ensemble = OnnxEnsemble('published', {'k9': made_weights(9), 'k12': made_weights(12, seed=1)})

    def log_odds(waveform):
        mean = ensemble.score(waveform).astype(np.float64).mean(axis=1)
        return np.log(mean[:, 0] / mean[:, 1])

    spike = make_spikes(1)[0][0]
    steps = 0.5 * np.eye(160, dtype=np.float32)
    differences = log_odds(spike + steps) - log_odds(spike - steps)
    gradient = ensemble.log_odds_gradient(spike[np.newaxis])[0]
    assert np.corrcoef(gradient, differences)[0, 1] > 0.99


def test_members_trained_in_half_precision_are_scored_in_float32_by_both(tmp_path):
    model = make_ensemble('cnn', (6,), 'mixed_bfloat16')
    (tmp_path / 'members').mkdir()
    for member in members_of(model):
        save_whole(member, str(tmp_path / 'members' / f'{member.name}.keras'))
    info = make_info('cnn', (6,))
    members = load_members(str(tmp_path), info)
    write_onnx(str(tmp_path), members)
    spikes, _ = make_spikes(50)
    expected = KerasScorer(join_members(members)).score(spikes)
    assert np.abs(KerasScorer(model).score(spikes) - expected).max() > 1e-5
    np.testing.assert_allclose(load_onnx_ensemble(str(tmp_path), info).score(spikes), expected, atol=1e-6)


@pytest.mark.parametrize('architecture', ['cnn', 'published'])
def test_the_file_is_whole_for_programs_that_do_not_have_this_package(architecture):
    members = {'k9': made_weights(9), 'k12': made_weights(12, seed=1)}
    content = build_graph(architecture, members)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    session = onnx_ensemble.load_onnxruntime().InferenceSession(content, providers=['CPUExecutionProvider'])
    spikes, _ = make_spikes(20)
    scores, gradient = session.run(['scores', 'log_odds_gradient'], {'waveform': spikes})
    ours = OnnxEnsemble(architecture, members)
    assert scores.shape == (20, 2, 2) and gradient.shape == (20, 160)
    np.testing.assert_allclose(scores, ours.score(spikes), atol=1e-6)
    np.testing.assert_allclose(gradient, ours.log_odds_gradient(spikes), atol=1e-6)


@pytest.mark.parametrize(
    ('architecture', 'sha256'),
    [
        ('cnn', '1d5aec75180af252de3a456c72a8bb7e5849a6593679a7ace17e910173e546b5'),
        ('published', '14889e76624a497cf6b11155da9353ce2470b61aa39f5e2ff447fee6b1874ce4'),
    ],
)
def test_files_of_this_version_can_be_read_by_later_ones(architecture, sha256):
    # Each file is compared with the graph that is built from its weights. If that has to change, raise the version in
    # onnx_graph.py and go on building the graph of version 1 for files of that version.
    content = build_graph(architecture, {'k9': made_weights(9), 'k12': made_weights(12, seed=1)})
    assert hashlib.sha256(content).hexdigest() == sha256


def test_a_file_that_is_cut_or_changed_anywhere_is_named(run):
    path = run / 'consensus.onnx'
    whole = path.read_bytes()
    for length in (0, 1, 17, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        error_of(run)
    path.write_bytes(whole + b'\x00')
    error_of(run)
    structure = [at for at in range(len(whole)) if at < 15_000 or at > len(whole) - 500]
    rng = random.Random(0)
    for _ in range(400):
        changed = bytearray(whole)
        changed[rng.choice(structure)] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        error_of_or_same_graph(run)


def error_of_or_same_graph(folder) -> None:
    """A bit of a weight may change: then the file is whole, and only its manifest could tell."""
    try:
        load_onnx_ensemble(str(folder), model_info.read(str(folder)))
    except ModelError as error:
        assert str(error).startswith(f'{folder}/consensus.onnx: ') and '\n' not in str(error)


def make_of_another_version(path) -> None:
    model = onnx.load(str(path))
    model.model_version = 2
    path.write_bytes(model.SerializeToString())


def test_a_file_of_another_version_is_named_with_the_remedy(run):
    make_of_another_version(run / 'consensus.onnx')
    assert error_of(run) == (
        f'{run}/consensus.onnx: is of version 2 of the graph, expected 1'
        ' (sero-train writes it when it is given the same command again)'
    )


def test_keras_scores_where_the_file_is_of_another_version(run, capsys):
    info = model_info.read(str(run))
    spikes = make_spikes(4, seed=3)[0]
    expected = load_scorer(str(run), info).score(spikes)
    make_of_another_version(run / 'consensus.onnx')
    capsys.readouterr()
    scorer = load_scorer(str(run), info)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'{run}: consensus.onnx is of version 2 ') and line.endswith(
        '; Keras is used, which starts slower'
    )
    assert isinstance(scorer, KerasScorer)
    np.testing.assert_allclose(scorer.score(spikes), expected, atol=1e-5)


def test_keras_does_not_score_where_the_file_is_forged(run):
    path = run / 'consensus.onnx'
    path.write_bytes(path.read_bytes() + b'\x00')
    with pytest.raises(ModelError, match='consensus.onnx: '):
        load_scorer(str(run), model_info.read(str(run)))


def changed_model(change):
    def write(path):
        model = onnx.load(str(path))
        change(model)
        path.write_bytes(model.SerializeToString())

    return write


def initializer(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def set_external(model):
    tensor = initializer(model, 'k4/dense')
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value='/etc/passwd')


def set_nan(model):
    tensor = initializer(model, 'k4/bias_1')
    tensor.raw_data = np.full(32, np.nan, np.float32).tobytes()


def set_shape(model):
    initializer(model, 'k4/bias_1').dims[0] = 1 << 40


def set_other_shape(model):
    tensor = initializer(model, 'k4/bias_1')
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(31, np.float32), tensor.name))


def set_custom(model):
    model.graph.node[0].domain, model.graph.node[0].op_type = 'evil', 'Run'


def set_output(model):
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7


def rename(model):
    initializer(model, 'k4/bias_1').name = 'k4/' + 'x' * 5_000


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (set_external, 'holds another graph'),
        (set_custom, 'holds another graph'),
        (set_output, 'holds another graph'),
        (set_nan, 'k4/bias_1 is not finite'),
        (set_shape, 'has 128 bytes'),
        (set_other_shape, 'k4/bias_1 is of shape (31,), expected (32,)'),
        (rename, 'it holds no k4/bias_1'),
    ],
)
def test_what_is_not_as_sero_train_writes_it_is_named(run, change, said):
    changed_model(change)(run / 'consensus.onnx')
    assert said in error_of(run)


def test_members_of_another_run_are_named(run):
    (run / 'consensus.onnx').write_bytes(build_graph('cnn', {'k4': made_weights(4), 'k7': made_weights(7)}))
    assert 'it holds no k6/scale' in error_of(run)


def test_a_pipe_and_a_file_that_is_far_too_large_are_not_read(run):
    path = run / 'consensus.onnx'
    os.truncate(path, 1 << 40)
    assert 'is larger than' in error_of(run)
    path.unlink()
    os.mkfifo(path)
    assert 'is a pipe, and no regular file' in error_of(run)


def test_the_manifest_covers_the_file_and_it_may_be_removed(run):
    manifest.write(str(run))
    path = run / 'consensus.onnx'
    whole = path.read_bytes()
    path.write_bytes(whole[:-200] + bytes(200))
    with pytest.raises(UserError, match='consensus.onnx: is not the file that this run ended with'):
        load_classifier(str(run))
    path.unlink()
    assert isinstance(load_classifier(str(run)).scorer, KerasScorer)


def test_verdicts_are_the_same_through_keras_and_through_onnx_runtime(run, monkeypatch):
    rng = np.random.default_rng(0)
    current_pa = rng.normal(0, 3, 400_000).astype(np.float32)
    spikes, _ = make_spikes(60)
    for number, spike in enumerate(spikes):
        current_pa[2_000 + 6_000 * number :][:160] += spike
    calls = []
    for installed in (True, False):
        if not installed:
            monkeypatch.setitem(sys.modules, 'onnxruntime', None)
        classifier = load_classifier(str(run))
        assert isinstance(classifier.scorer, OnnxEnsemble if installed else KerasScorer)
        calls.append(classifier.classify(current_pa, 40_000))
    by_onnx, by_keras = calls
    assert by_onnx.n_spikes == by_keras.n_spikes >= 50
    assert by_onnx.verdict == by_keras.verdict and by_onnx.warning_codes == by_keras.warning_codes
    for field in ('p_ser', 'p_ser_low', 'p_ser_high'):
        assert getattr(by_onnx, field) == pytest.approx(getattr(by_keras, field), abs=1e-5)
    np.testing.assert_allclose(by_onnx.spikes.p_ser, by_keras.spikes.p_ser, atol=1e-5)


def test_a_verdict_through_onnx_runtime_imports_only_what_it_needs(run, tmp_path):
    current_pa = np.random.default_rng(0).normal(0, 3, 80_000)
    current_pa[4_000::8_000] -= 200
    np.save(tmp_path / 'current_pa.npy', current_pa)
    program = f"""
import sys
import numpy as np
from trainer import classify
classify.load({str(run)!r}).classify(np.load({str(tmp_path / 'current_pa.npy')!r}), 40_000)
from trainer.reports import classification_report
heavy = 'tensorflow keras apache_beam sklearn matplotlib pandas h5py pyabf neo pynwb ml_collections'.split()
print(sorted({{*heavy, 'scipy.signal', 'scipy.optimize'}} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout == '[]\n', result.stderr


def test_without_either_library_the_line_says_what_is_missing(run, monkeypatch):
    from trainer.models import scorers

    def start_keras():
        raise ModuleNotFoundError("No module named 'keras'", name='keras')

    monkeypatch.setattr(scorers, 'start_keras', start_keras)
    os.remove(run / onnx_ensemble.FILE_NAME)
    with pytest.raises(ModelError) as raised:
        load_classifier(str(run))
    assert str(raised.value) == (
        f'{run}: holds no consensus.onnx (sero-train writes it when it is given the same command again), and keras is'
        ' not installed either'
    )


def test_the_telemetry_of_onnx_runtime_does_not_run(run, tmp_path):
    # It asks for the address of a server some seconds later, and keeps its state in a temporary file from the start.
    (tmp_path / 'temporary').mkdir()
    environment = os.environ | {'TMPDIR': str(tmp_path / 'temporary')}
    for name in ('ORT_DISABLE_TELEMETRY', 'CI'):  # Either alone would switch it off.
        environment.pop(name, None)
    program = f'from trainer import classify; print(type(classify.load({str(run)!r}).scorer).__name__)'
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert result.stdout == 'OnnxEnsemble\n', result.stderr
    assert list((tmp_path / 'temporary').iterdir()) == []
