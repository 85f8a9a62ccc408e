import json
import pathlib
import shutil

import google_crc32c
import keras
import numpy as np
import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.checksums import cover
from beam_pipelines.errors import UserError
from trainer.data.batches import training_batches
from trainer.data.online_batches import online_batches, open_spike_bank
from trainer.data.stored_dataset import StoredSplit, dataset_folder, open_split
from trainer.models.ensemble import build_ensemble
from trainer.models.online_synthesis import SpikeSynthesis
from trainer.models.training_model import TrainingModel


@pytest.fixture(scope='module')
def split(data_dir) -> StoredSplit:
    return open_split(data_dir, 'synthetic_small', 'train')


@pytest.fixture
def own_data_dir(data_dir, tmp_path) -> pathlib.Path:
    """A copy of the synthetic dataset that a test may damage."""
    shutil.copytree(dataset_folder(data_dir, 'synthetic_small'), dataset_folder(tmp_path, 'synthetic_small'))
    return tmp_path


def edit_synthesis(data_dir: pathlib.Path, edit) -> None:
    path = pathlib.Path(dataset_folder(data_dir, 'synthetic_small'), 'metadata.json')
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps(metadata | {'synthesis': edit(metadata['synthesis'])}))
    cover(path.parent, [path.name])


def bank_error(data_dir: pathlib.Path) -> str:
    with pytest.raises(UserError) as raised:
        open_spike_bank(open_split(data_dir, 'synthetic_small', 'train'))
    message = str(raised.value)
    assert '\n' not in message
    return message


def assert_close(made, stored) -> None:
    # A spike is some 100 pA high: a few of float32's steps there.
    np.testing.assert_allclose(made, stored, rtol=1e-6, atol=3e-5)


def test_examples_made_from_their_draws_are_the_stored_records(split):
    bank = open_spike_bank(split)
    records = record_layout.view_records(np.concatenate([np.fromfile(shard.path, np.uint8) for shard in split.shards]))
    example = np.random.default_rng(0).permutation(split.examples)[:5000]
    draws = bank.draw(example)
    made = SpikeSynthesis(bank)({'spike': draws.spike, 'masks': draws.masks, 'weights': draws.weights})
    assert_close(keras.ops.convert_to_numpy(made), records['waveform'][example])
    np.testing.assert_array_equal(draws.label, record_layout.decode_varints(records['label'][example]))


@pytest.mark.parametrize('first_batch', [0, 50, 777])
def test_batches_are_those_of_the_stored_dataset(split, first_batch):
    bank = open_spike_bank(split)
    synthesis = SpikeSynthesis(bank)
    arguments = {'batch_size': 500, 'seed': 4, 'first_batch': first_batch}
    online, stored = online_batches(split, bank, **arguments), training_batches(split, **arguments)
    for (draws, label), (waveform, stored_label) in zip(online.take(40), stored.take(40), strict=True):
        assert_close(keras.ops.convert_to_numpy(synthesis(draws)), waveform)
        np.testing.assert_array_equal(label, stored_label)


def test_ensemble_in_mixed_precision_is_given_the_stored_spikes(split):
    bank = open_spike_bank(split)
    ensemble = build_ensemble('cnn', (5,), 0, 'mixed_bfloat16')
    draws = bank.draw(np.arange(100))
    given = {'spike': draws.spike, 'masks': draws.masks, 'weights': draws.weights}
    online = TrainingModel(ensemble, bank)(given)['k5']
    stored = ensemble(bank.make(draws))['k5']
    # Spikes that were rounded to bfloat16 before they are normalised move some scores by 4e-4.
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(online), keras.ops.convert_to_numpy(stored), rtol=0, atol=1e-4
    )


def test_bank_is_not_trained(split):
    assert not SpikeSynthesis(open_spike_bank(split)).trainable_variables


def test_dataset_of_recorded_spikes_has_no_bank(data_dir):
    with pytest.raises(UserError, match='input online makes synthetic spikes, and original/train holds recorded ones$'):
        open_spike_bank(open_split(data_dir, 'original', 'train'))


def test_missing_bank_is_named(own_data_dir):
    path = pathlib.Path(dataset_folder(own_data_dir, 'synthetic_small'), 'spike_bank.tfrecord')
    path.unlink()
    assert bank_error(own_data_dir).startswith(f'{path}: no such file')


@pytest.mark.parametrize('name', ['noise_masks.npy', 'spike_bank.tfrecord'])
def test_damaged_file_is_named(own_data_dir, name):
    path = pathlib.Path(dataset_folder(own_data_dir, 'synthetic_small'), name)
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert bank_error(own_data_dir).startswith(f'{path}: CRC-32C ')


def test_noise_masks_that_are_no_array_are_named_and_no_pickle_is_loaded(own_data_dir):
    path = pathlib.Path(dataset_folder(own_data_dir, 'synthetic_small'), 'noise_masks.npy')
    np.save(path, np.array([{'any': 'object'}], dtype=object), allow_pickle=True)
    crc32c = f'{google_crc32c.value(path.read_bytes()):08x}'
    edit_synthesis(own_data_dir, lambda synthesis: synthesis | {'noise_masks_crc32c': crc32c})
    assert bank_error(own_data_dir) == f'{path}: holds object, expected numbers'


def test_dataset_of_a_version_without_bank_says_what_to_do(own_data_dir):
    path = pathlib.Path(dataset_folder(own_data_dir, 'synthetic_small'), 'metadata.json')
    bank = ('spike_bank', 'spike_bank_examples', 'spike_bank_crc32c')
    edit_synthesis(own_data_dir, lambda synthesis: {key: synthesis[key] for key in synthesis if key not in bank})
    assert open_split(own_data_dir, 'synthetic_small', 'train').examples > 0
    assert bank_error(own_data_dir) == (f'{path}: synthesis has no spike_bank; build the dataset anew')


@pytest.mark.parametrize(
    'masks',
    [np.zeros((40, 159), np.float32), np.zeros(160, np.float32), np.full((40, 160), np.inf, np.float32), np.array(1.0)],
)
def test_noise_masks_of_another_shape_or_without_values_are_named(own_data_dir, masks):
    path = pathlib.Path(dataset_folder(own_data_dir, 'synthetic_small'), 'noise_masks.npy')
    np.save(path, masks)
    crc32c = f'{google_crc32c.value(path.read_bytes()):08x}'
    edit_synthesis(own_data_dir, lambda synthesis: synthesis | {'noise_masks_crc32c': crc32c})
    assert bank_error(own_data_dir) == f'{path}: expected rows of 160 finite numbers'


@pytest.mark.parametrize(
    'change',
    [
        {'spike_bank_examples': 10**15},
        {'spike_bank_examples': 0},
        {'spike_bank': 'record_layout.json'},
        {'masks_a_spike': [1, 5]},
        {'masks_a_spike': [3, 2]},
        {'weights': [0.4, 0.3]},
        {'examples': [3, 4]},
        {'noise_masks': 'noise_masks.np'},
    ],
)
def test_what_spikes_cannot_be_made_from_is_one_line_that_names_a_file(own_data_dir, change):
    edit_synthesis(own_data_dir, lambda synthesis: synthesis | change)
    assert bank_error(own_data_dir).startswith(f'{dataset_folder(own_data_dir, "synthetic_small")}/')
