import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from tests.support.spikes import make_spikes
from tests.support.training_runs import TINY_RUN
from trainer.cross_validation.fold_training import recorded_epochs, train_in_memory

pytestmark = pytest.mark.slow


def trained_weights(augment: tuple[str, ...]) -> np.ndarray:
    config = FrozenConfigDict(TINY_RUN | {'kernel_sizes': (5,), 'epochs': 2, 'augment': augment})
    waveform, label = make_spikes(96)
    epochs = recorded_epochs(waveform[:64], label[:64], 64, seed=0)
    ensemble = train_in_memory(config, epochs, (waveform[64:], label[64:]))
    return np.concatenate([weights.ravel() for weights in ensemble.get_weights()])


def test_a_fold_is_augmented_as_its_config_says_the_same_each_time():
    plain, varied, again = trained_weights(()), trained_weights(('hum',)), trained_weights(('hum',))
    assert np.abs(plain - varied).max() > 1e-6
    np.testing.assert_array_equal(varied, again)
