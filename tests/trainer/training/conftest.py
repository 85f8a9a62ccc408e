"""A run from which all kinds of devices go on, and what one of them learns."""

import math
import pathlib
import shutil

import pytest

from tests.support.same_curves import SHARED_BATCHES as CONFIG
from tests.support.training_runs import train


@pytest.fixture(scope='session')
def untrained(data_dir, tmp_path_factory) -> pathlib.Path:
    """The folder of a run that has made no step, of members that drop nothing. Copy it."""
    import keras

    from trainer.data.stored_dataset import open_split
    from trainer.models.ensemble import build_ensemble, members_of
    from trainer.models.files import load_model, save_whole
    from trainer.training import checkpoints

    ensemble = build_ensemble('cnn', CONFIG['kernel_sizes'], seed=3)
    for member in members_of(ensemble):
        for layer in member.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
    workdir = tmp_path_factory.mktemp('untrained') / 'run'
    # Loaded anew, because such layers are made without random numbers.
    save_whole(ensemble, str(workdir.parent / 'ensemble.keras'))
    ensemble = load_model(str(workdir.parent / 'ensemble.keras'), compile=False)
    losses = dict.fromkeys(ensemble.output_names, 'binary_crossentropy')
    ensemble.compile(keras.optimizers.Adam(CONFIG['learning_rate']), losses, jit_compile=False)
    ensemble.optimizer.build(ensemble.trainable_variables)
    state = {
        'step': 0,
        'epoch': 0,
        'best': dict.fromkeys(ensemble.output_names, math.inf),
        'best_epoch': dict.fromkeys(ensemble.output_names, 0),
        'dataset_fingerprint': open_split(data_dir, CONFIG['train_on'], 'train').metadata.fingerprint,
    }
    checkpoints.save_checkpoint(str(workdir / 'checkpoints'), 0, ensemble, state, kept=1)
    return workdir


@pytest.fixture(scope='session')
def on_one_device(untrained, data_dir, tmp_path_factory) -> pathlib.Path:
    from trainer.training.strategies import open_strategy

    workdir = tmp_path_factory.mktemp('one') / 'run'
    shutil.copytree(untrained, workdir)
    train(CONFIG, str(data_dir), str(workdir), strategy=open_strategy('one'))
    return workdir
