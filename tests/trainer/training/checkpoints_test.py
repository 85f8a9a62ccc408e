import errno
import json
import os
import pathlib
import zipfile

import keras
import numpy as np
import pytest

from tests.support.mounted_bucket import refuse_folder_renames
from tests.support.training_runs import TINY_RUN
from trainer.config import check_config
from trainer.errors import ModelError
from trainer.models.files import load_model, save_whole
from trainer.training.checkpoints import list_steps, load_newest, remove_unfinished, save_checkpoint
from trainer.training.run_folder import reserve_workdir
from trainer.training.run_places import places_within


def make_model() -> keras.Model:
    """Returns a compiled model whose optimizer has moments of its own."""
    waveform = keras.Input((3,))
    model = keras.Model(waveform, {'k5': keras.layers.Dense(2, name='k5')(waveform)})
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss='mse', jit_compile=False)
    model.train_on_batch(np.ones((4, 3)), {'k5': np.zeros((4, 2))})
    return model


def make_state(epoch: int = 1) -> dict:
    return {
        'step': 10 * epoch,
        'epoch': epoch,
        'best': {'k5': 0.25},
        'best_epoch': {'k5': epoch},
        'dataset_fingerprint': 'a' * 64,
    }


def names_in(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize('exists', [True, False])
def test_folder_without_checkpoint_gives_none(tmp_path, exists):
    assert load_newest(str(tmp_path if exists else tmp_path / 'missing')) is None


def test_only_the_last_two_are_kept(tmp_path):
    model = make_model()
    for step in (1, 2, 3, 4):
        save_checkpoint(str(tmp_path), step, model, make_state(), kept=2)
    assert names_in(tmp_path) == ['step_000000003', 'step_000000004']


def test_a_run_that_has_gone_on_from_before_a_damaged_one_keeps_what_it_saves(tmp_path):
    model = make_model()
    for step in (1, 3):
        save_checkpoint(str(tmp_path), step, model, make_state(step), kept=2)
    (tmp_path / 'step_000000003' / 'ensemble.keras').write_bytes(b'PK')
    save_checkpoint(str(tmp_path), 2, model, make_state(2), kept=1)
    assert load_newest(str(tmp_path))[1] == make_state(2) and list_steps(str(tmp_path)) == [2]


def test_newest_is_the_one_with_the_largest_number(tmp_path):
    model = make_model()
    for epoch in (999_999_999, 1_000_000_000):
        save_checkpoint(str(tmp_path), epoch, model, make_state(epoch), kept=2)
    assert load_newest(str(tmp_path))[1] == make_state(1_000_000_000)


def test_weights_and_optimizer_and_state_come_back(tmp_path):
    model = make_model()
    state = make_state(3) | {'best': {'k5': float('inf')}, 'fingerprints': {'original': 'b' * 64}}
    save_checkpoint(str(tmp_path), 3, model, state, kept=2)
    loaded, loaded_state = load_newest(str(tmp_path))
    assert loaded_state == state
    for variable, expected in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), expected.numpy())
    for variable, expected in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), expected.numpy())


def test_dropout_goes_on_where_it_stood(tmp_path):
    waveform = keras.Input((100,))
    model = keras.Model(waveform, {'k5': keras.layers.Dropout(0.5, name='k5')(waveform)})
    model.compile(optimizer='adam', loss='mse', jit_compile=False)
    ones = np.ones((1, 100), np.float32)
    first = np.asarray(model(ones, training=True)['k5'])
    save_checkpoint(str(tmp_path), 1, model, make_state(), kept=2)
    loaded, _ = load_newest(str(tmp_path))
    dropped = np.asarray(loaded(ones, training=True)['k5'])
    np.testing.assert_array_equal(dropped, model(ones, training=True)['k5'])
    assert not np.array_equal(dropped, first)


def test_a_bucket_that_is_mounted_and_renames_no_folders_takes_checkpoints(tmp_path, monkeypatch):
    refuse_folder_renames(monkeypatch)
    model = make_model()
    for step in (1, 2, 2, 3):
        save_checkpoint(str(tmp_path), step, model, make_state(step), kept=2)
    assert names_in(tmp_path) == ['step_000000002', 'step_000000003']
    assert load_newest(str(tmp_path))[1] == make_state(3)


def test_a_checkpoint_that_was_being_written_or_removed_is_none_and_goes_with_the_next(tmp_path):
    model = make_model()
    for step in (1, 2):
        save_checkpoint(str(tmp_path), step, model, make_state(step), kept=2)
    for step in (1, 3):
        left = tmp_path / f'step_00000000{step}'
        left.mkdir(exist_ok=True)
        (left / 'state.json').unlink(missing_ok=True)
        (left / 'ensemble.keras').write_bytes(b'PK')
    assert list_steps(str(tmp_path)) == [2] and load_newest(str(tmp_path))[1] == make_state(2)
    save_checkpoint(str(tmp_path), 4, model, make_state(4), kept=2)
    assert names_in(tmp_path) == ['step_000000002', 'step_000000004']


def test_a_checkpoint_of_which_the_disk_says_nothing_is_not_taken_for_half_written(tmp_path, monkeypatch):
    save_checkpoint(str(tmp_path), 1, make_model(), make_state(1), kept=2)
    stat = os.stat

    def failing(path, *arguments, **named):
        if str(path).endswith('state.json'):
            raise OSError(errno.EIO, 'Input/output error', path)
        return stat(path, *arguments, **named)

    monkeypatch.setattr(os, 'stat', failing)
    with pytest.raises(OSError, match='Input/output error'):
        remove_unfinished(str(tmp_path))
    monkeypatch.undo()
    assert list_steps(str(tmp_path)) == [1]


def test_half_written_checkpoint_is_ignored(tmp_path):
    save_checkpoint(str(tmp_path), 1, make_model(), make_state(1), kept=2)
    (tmp_path / '.00c0ffee.partial').mkdir()
    (tmp_path / '.00c0ffee.partial' / 'ensemble.keras').write_bytes(b'PK')
    assert load_newest(str(tmp_path))[1] == make_state(1)


def test_half_written_checkpoint_is_replaced_by_the_next_attempt(tmp_path):
    (tmp_path / '.00c0ffee.partial').mkdir()
    (tmp_path / '.00c0ffee.partial' / 'ensemble.keras').write_bytes(b'PK')
    save_checkpoint(str(tmp_path), 2, make_model(), make_state(2), kept=2)
    assert names_in(tmp_path) == ['step_000000002']
    assert load_newest(str(tmp_path))[1] == make_state(2)


def test_what_a_killed_training_was_saving_or_removing_is_gone_when_it_goes_on(tmp_path):
    left = [tmp_path / '.00c0ffee.partial', tmp_path / 'members' / '.00c0ffee.partial.keras']
    left += [tmp_path / 'checkpoints' / name for name in ('.00c0ffee.partial', 'step_000000001')]
    for path in left:
        path.mkdir(parents=True)
        (path / 'ensemble.keras').write_bytes(b'PK')
    reserve_workdir(places_within(str(tmp_path)), check_config(TINY_RUN), writes=True)
    assert not any(path.exists() for path in left)


def test_checkpoint_of_the_same_step_is_replaced(tmp_path):
    model = make_model()
    save_checkpoint(str(tmp_path), 1, model, make_state(1), kept=2)
    save_checkpoint(str(tmp_path), 1, model, make_state(2), kept=2)
    assert load_newest(str(tmp_path))[1] == make_state(2)


def test_saved_model_leaves_nothing_beside_it(tmp_path):
    save_whole(make_model(), str(tmp_path / 'k5.keras'))
    assert names_in(tmp_path) == ['k5.keras']


def test_missing_model_is_named(tmp_path):
    path = str(tmp_path / 'k5.keras')
    with pytest.raises(ModelError, match='k5.keras: no such file'):
        load_model(path, compile=False)


@pytest.mark.parametrize('keep', [0, 100, 0.5, -1])
def test_model_that_is_cut_off_is_named(tmp_path, keep):
    path = tmp_path / 'k5.keras'
    save_whole(make_model(), str(path))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(ModelError, match='k5.keras: is not a whole .keras file'):
        load_model(str(path), compile=False)


def test_model_with_a_changed_byte_is_named(tmp_path):
    path = tmp_path / 'k5.keras'
    save_whole(make_model(), str(path))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ModelError, match="k5.keras: Bad CRC-32 for file 'model.weights.h5'"):
        load_model(str(path), compile=False)


def test_model_that_holds_code_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda value: value + 1)])
    save_whole(model, str(tmp_path / 'k5.keras'))
    with pytest.raises(ModelError, match="k5.keras: config.json: class_name 'Lambda' is not of our models"):
        load_model(str(tmp_path / 'k5.keras'), compile=False)


def test_model_that_would_take_the_memory_of_the_machine_is_refused_before_keras_sees_it(tmp_path):
    path = tmp_path / 'k5.keras'
    save_whole(make_model(), str(path))
    with zipfile.ZipFile(path) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    contents['config.json'] = contents['config.json'].replace(b'"units": 2', b'"units": 1000000000')
    with zipfile.ZipFile(path, 'w') as file:
        for name, content in contents.items():
            file.writestr(name, content)
    with pytest.raises(ModelError, match='config.json: units 1000000000 is more than 64'):
        load_model(str(path), compile=False)


@pytest.mark.parametrize(
    'state',
    [
        {},
        [],
        make_state() | {'best': []},
        make_state() | {'best': {'k6': 1.0}},
        make_state() | {'step': -1},
        make_state() | {'step': '1'},
        make_state() | {'dropout_seeds': [[1, 2]]},
    ],
)
def test_damaged_state_falls_back_to_the_checkpoint_before(state, tmp_path, capsys):
    for epoch in (1, 2):
        save_checkpoint(str(tmp_path), epoch, make_model(), make_state(epoch), kept=2)
    path = tmp_path / 'step_000000002' / 'state.json'
    path.write_text(json.dumps({'dropout_seeds': []} | state if state else state))
    assert load_newest(str(tmp_path))[1] == make_state(1)
    [warning] = capsys.readouterr().err.splitlines()
    assert str(path.parent) in warning and 'going on from step 1 instead' in warning


def test_weights_that_are_no_numbers_fall_back_to_the_checkpoint_before(tmp_path, capsys):
    model = make_model()
    save_checkpoint(str(tmp_path), 1, model, make_state(1), kept=2)
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    save_checkpoint(str(tmp_path), 2, model, make_state(2), kept=2)
    assert load_newest(str(tmp_path))[1] == make_state(1)
    assert 'weights that are not finite; going on from step 1' in capsys.readouterr().err


def test_moments_that_are_no_numbers_fall_back_to_the_checkpoint_before(tmp_path, capsys):
    model = make_model()
    save_checkpoint(str(tmp_path), 1, model, make_state(1), kept=2)
    model.optimizer.variables[-1].assign(np.full(2, np.nan))
    save_checkpoint(str(tmp_path), 2, model, make_state(2), kept=2)
    assert load_newest(str(tmp_path))[1] == make_state(1)
    assert 'moments that are not finite; going on from step 1' in capsys.readouterr().err


def test_an_optimizer_without_its_state_falls_back_to_the_checkpoint_before(tmp_path, capsys):
    save_checkpoint(str(tmp_path), 1, make_model(), make_state(1), kept=2)
    model = make_model()
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss='mse', jit_compile=False)  # has no moments yet
    save_checkpoint(str(tmp_path), 2, model, make_state(2), kept=2)
    assert load_newest(str(tmp_path))[1] == make_state(1)
    assert 'Skipping variable loading for optimizer' in capsys.readouterr().err
