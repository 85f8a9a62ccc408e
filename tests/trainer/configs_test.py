import importlib

import pytest

from tests.support.places import ROOT
from trainer.config import AUGMENTATIONS, check_config

NAMES = sorted(path.stem for path in (ROOT / 'trainer' / 'configs').glob('[a-z]*.py'))


def load(name: str):
    return importlib.import_module(f'trainer.configs.{name}')


def test_configs_are_there():
    assert {'default', 'demo', 'fast', 'paper_original', 'paper_synthetic'} <= set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_config_has_the_fields_that_there_are(name):
    check_config(load(name).get_config())


@pytest.mark.parametrize('name', NAMES)
def test_docstring_of_a_config_gives_its_command(name):
    assert f'sero-train --config trainer/configs/{name}.py --data_dir' in load(name).__doc__


def test_published_training_on_recorded_spikes_is_as_published():
    config = load('paper_original').get_config()
    assert (config.train_on, config.architecture, config.learning_rate_schedule) == (
        'original',
        'published',
        'constant',
    )
    assert config.kernel_sizes == tuple(range(20, 31))
    assert (config.batch_size, config.epochs, config.patience) == (64, 25, 10)
    assert config.examples_per_epoch == int(0.7 * 43_327)


def test_published_training_on_synthetic_spikes_has_the_published_amount():
    config = load('paper_synthetic').get_config()
    assert config.examples_per_epoch * config.epochs == 200 * 25 * 44_415
    assert config.patience >= config.epochs


@pytest.mark.parametrize('name', NAMES)
def test_rig_varies_except_where_the_published_training_is_repeated(name):
    assert load(name).get_config().augment == (() if name.startswith('paper_') else AUGMENTATIONS)


@pytest.mark.parametrize(
    ('given', 'names'), [(('hum,gain',), ('hum', 'gain')), (('',), ()), (['hum'], ('hum',))]
)  # the first two as flags give them
def test_names_of_what_varies_may_be_joined_by_commas(given, names):
    config = load('default').get_config()
    with config.unlocked():
        config.augment = tuple(given)
    assert check_config(config).augment == names
