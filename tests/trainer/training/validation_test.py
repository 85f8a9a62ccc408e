import json

import keras
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from tests.support.spikes import make_spikes
from tests.support.training_runs import logged
from trainer.evaluation.evaluator import evaluate
from trainer.models.ensemble import build_ensemble
from trainer.models.trained import load_ensemble
from trainer.training.validation import Validation


@pytest.fixture(scope='module')
def ensemble() -> keras.Model:
    return build_ensemble('cnn', (4, 6), seed=3)


@pytest.fixture
def spikes(make_split):
    """Spikes of more than a batch, and the split that holds them."""
    waveform, label = make_spikes(1500)
    return waveform, label, make_split((1500,), waveform, label, np.zeros(1500, int))


def validate(ensemble, split) -> dict[str, float]:
    logs = {}
    Validation(ensemble, split).on_epoch_end(0, logs)
    return logs


def test_members_and_consensus_are_scored_as_keras_and_scikit_learn_do(ensemble, spikes):
    waveform, label, split = spikes
    logs = validate(ensemble, split)
    scores = {name: np.asarray(score) for name, score in ensemble(waveform, training=False).items()}
    scores['consensus'] = (scores['k4'] + scores['k6']) / 2
    for name, score in scores.items():
        loss = np.mean(keras.losses.binary_crossentropy(np.eye(2)[label], score))
        assert logs[f'val_{name}_loss'] == pytest.approx(loss, rel=1e-5)
        p_ser = score[:, 0] / score.sum(axis=1)
        assert logs[f'val_{name}_auc'] == pytest.approx(sklearn_metrics.roc_auc_score(label == 0, p_ser), abs=1e-5)
        assert logs[f'val_{name}_accuracy'] == pytest.approx(np.mean(score.argmax(axis=1) == label), abs=1e-3)
    assert logs['val_loss'] == pytest.approx(logs['val_k4_loss'] + logs['val_k6_loss'])


def test_validation_follows_the_weights(spikes):
    ensemble = build_ensemble('cnn', (4,), seed=3)
    validation = Validation(ensemble, spikes[2])
    before, after = {}, {}
    validation.on_epoch_end(0, before)
    ensemble.get_layer('k4').layers[-1].bias.assign([5.0, -5.0])
    validation.on_epoch_end(1, after)
    assert after['val_k4_accuracy'] == pytest.approx(np.mean(spikes[1] == 0))
    assert after['val_k4_loss'] != before['val_k4_loss']


def test_score_of_one_class_alone_has_no_auc(ensemble, make_split):
    waveform, _ = make_spikes(20)
    logs = validate(ensemble, make_split((20,), waveform, np.zeros(20, int), np.zeros(20, int)))
    assert np.isnan(logs['val_consensus_auc'])


@pytest.mark.slow
def test_model_info_has_the_scores_of_the_kept_epochs(synthetic_run):
    info = json.loads((synthetic_run[0] / 'model_info.json').read_text())
    for member in ('k5', 'k8'):
        kept = info['best_epoch'][member] - 1
        for quantity, value in {**info['validation'][member], 'loss': info['validation_loss'][member]}.items():
            curve = list(logged(synthetic_run[0], f'validation/{quantity}/{member}').values())
            assert value == pytest.approx(curve[kept], abs=1e-6)


@pytest.mark.slow
def test_scores_are_those_of_sero_evaluate(original_run, data_dir):
    ensemble = load_ensemble(str(original_run))
    spike = evaluate(ensemble, str(data_dir)).splits['original/validation'].metrics['spike']
    assert ensemble.info.validation['k4'] == pytest.approx({'accuracy': spike['accuracy'], 'auc': spike['auc']})
