import glob
import json
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import filelock
import keras
import numpy as np
import onnx
import pytest

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.checksums import cover
from beam_pipelines.errors import UserError
from tests.support.commands import error_line, run_command
from tests.support.started_commands import start_command
from tests.support.training_runs import TINY_RUN, logged, train, train_arguments
from trainer.config import AUGMENTATIONS
from trainer.data.batches import evaluation_batches
from trainer.data.stored_dataset import dataset_folder, open_split
from trainer.errors import ModelError
from trainer.evaluation import calibration, training_range
from trainer.models import manifest
from trainer.models.files import load_model
from trainer.training import checkpoints

# A run in this process: a second or two.
SHORT_RUN = TINY_RUN | {
    'train_on': 'original',
    'kernel_sizes': (4,),
    'batch_size': 8,
    'examples_per_epoch': 48,
    'epochs': 2,
}


def train_error(config: dict, data_dir: pathlib.Path, workdir: pathlib.Path) -> str:
    with pytest.raises(UserError) as raised:
        train(config, str(data_dir), str(workdir))
    message = str(raised.value)
    assert '\n' not in message
    return message


def modification_times(folder: pathlib.Path) -> dict[str, int]:
    return {path: os.stat(path).st_mtime_ns for path in glob.glob(f'{folder}/**', recursive=True)}


def last_checkpoint(workdir: pathlib.Path) -> tuple[keras.Model, dict]:
    return checkpoints.load_newest(str(workdir / 'checkpoints'))


KILLS = 5
STEPS = 3 * (TINY_RUN['examples_per_epoch'] // TINY_RUN['batch_size'])


@pytest.fixture(scope='module')
def killed_run(data_dir, tmp_path_factory) -> tuple[pathlib.Path, list[int], subprocess.CompletedProcess]:
    """A run killed at five random steps, then ended: folder, step of the newest checkpoint at each death, the end."""
    workdir = tmp_path_factory.mktemp('killed') / 'run'
    arguments = train_arguments(TINY_RUN | {'checkpoint_steps': 5}, data_dir, workdir)
    steps_to_make = sorted(np.random.default_rng(1).choice(np.arange(10, STEPS - 40), KILLS, replace=False))
    reached = []
    for step in steps_to_make:
        process = start_command('sero-train', *arguments)
        give_up = time.monotonic() + 120
        while max(checkpoint_steps(workdir), default=0) < step - 5 and time.monotonic() < give_up:
            time.sleep(0.002)
        time.sleep(0.02)
        process.kill()
        process.join()
        reached.append(max(checkpoint_steps(workdir)))
    result = run_command('sero-train', *arguments)
    assert result.returncode == 0, result.stderr
    return workdir, reached, result


def checkpoint_steps(workdir: pathlib.Path) -> list[int]:
    return [int(name.rpartition('_')[2]) for name in glob.glob(f'{workdir}/checkpoints/step_*[0-9]')]


@pytest.mark.slow
def test_killed_run_goes_on_from_its_checkpoint_within_an_epoch(killed_run):
    _, reached, result = killed_run
    assert len(set(reached)) > 1  # on a busy machine a kill may come before the next checkpoint
    assert max(reached) < STEPS, 'the run had ended before it was killed'
    assert any(step % (STEPS // 3) for step in reached)
    assert result.stderr.startswith(f'going on from step {reached[-1]:,} with 2 members on synthetic_small/train')
    assert 'epoch 3/3' in result.stderr


@pytest.mark.slow
def test_killed_run_ends_after_as_many_steps_as_an_undisturbed_one(killed_run, synthetic_run):
    infos = [json.loads((run[0] / 'model_info.json').read_text()) for run in (killed_run, synthetic_run)]
    assert infos[0]['examples_seen'] == infos[1]['examples_seen'] == STEPS * 32
    for run in (killed_run, synthetic_run):
        state = last_checkpoint(run[0])[1]
        assert (state['epoch'], state['step']) == (3, STEPS)


@pytest.mark.slow
def test_killed_run_ends_with_the_weights_of_an_undisturbed_one(killed_run, synthetic_run):
    assert_same_weights(last_checkpoint(killed_run[0])[0], last_checkpoint(synthetic_run[0])[0])


def assert_same_weights(model: keras.Model, expected_model: keras.Model) -> None:
    """Compares weights, random states and the optimizer's moments."""
    for ours, theirs in ((model, expected_model), (model.optimizer, expected_model.optimizer)):
        for variable, expected in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_allclose(variable.numpy(), expected.numpy(), rtol=1e-5, atol=1e-7, err_msg=variable.path)


@pytest.mark.slow
def test_run_that_is_asked_to_stop_saves_first_and_goes_on_to_the_same_end(data_dir, tmp_path, synthetic_run):
    arguments = train_arguments(TINY_RUN | {'checkpoint_steps': 20}, data_dir, tmp_path / 'run')
    reached = 0
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = start_command('sero-train', *arguments, errors=tmp_path / 'errors')
        give_up = time.monotonic() + 120
        while max(checkpoint_steps(tmp_path / 'run'), default=0) <= reached and time.monotonic() < give_up:
            time.sleep(0.002)
        os.kill(process.pid, number)
        process.join(120)
        process.kill()  # if it has not ended
        process.join()
        errors = (tmp_path / 'errors').read_text()
        assert process.exitcode == status, errors
        name = signal.Signals(number).name
        assert errors.splitlines()[-1] == f'sero-train: stopped by {name} and saved; the same command goes on'
        assert reached < max(checkpoint_steps(tmp_path / 'run')) < STEPS
        reached = max(checkpoint_steps(tmp_path / 'run'))
    assert reached > 20
    assert run_command('sero-train', *arguments).returncode == 0
    assert_same_weights(last_checkpoint(tmp_path / 'run')[0], last_checkpoint(synthetic_run[0])[0])


@pytest.mark.slow
def test_share_of_time_spent_waiting_for_input_is_logged_for_tensorboard(synthetic_run):
    shares = logged(synthetic_run[0], 'train/input_wait')
    assert len(shares) == 3
    assert all(0 < share < 1 for share in shares.values())


@pytest.mark.parametrize('augment', [(), AUGMENTATIONS])
def test_spikes_made_on_the_device_train_as_the_stored_ones_do(data_dir, tmp_path, augment):
    config = SHORT_RUN | {'train_on': 'synthetic_small', 'augment': augment}
    for source in ('tfrecord', 'online'):
        train(config | {'input': source}, str(data_dir), str(tmp_path / source))
    (stored, _), (online, _) = last_checkpoint(tmp_path / 'tfrecord'), last_checkpoint(tmp_path / 'online')
    for variable, expected in zip(online.variables, stored.variables, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected.numpy(), rtol=1e-3, atol=1e-5, err_msg=variable.path)


@pytest.mark.parametrize('source', ['tfrecord', 'online', 'tfds'])
def test_run_that_goes_on_ends_as_one_that_was_not_interrupted(data_dir, tmp_path, source):
    config = SHORT_RUN | {'train_on': 'synthetic_small', 'input': source, 'augment': AUGMENTATIONS}
    train(config, str(data_dir), str(tmp_path / 'whole'))
    train(config | {'epochs': 1}, str(data_dir), str(tmp_path / 'parts'))
    train(config, str(data_dir), str(tmp_path / 'parts'))
    assert list(logged(tmp_path / 'parts', 'validation/loss/k4')) == [6, 12]
    (parts, _), (whole, _) = last_checkpoint(tmp_path / 'parts'), last_checkpoint(tmp_path / 'whole')
    for variable, expected in zip(parts.variables, whole.variables, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected.numpy(), rtol=1e-5, atol=1e-7, err_msg=variable.path)


def test_recorded_spikes_cannot_be_made_on_the_device(data_dir, tmp_path):
    with pytest.raises(UserError, match='input online makes synthetic spikes, and original/train holds recorded'):
        train(SHORT_RUN | {'input': 'online'}, str(data_dir), str(tmp_path / 'run'))
    assert not (tmp_path / 'run').exists()


def test_damage_that_is_met_while_training_ends_the_run_with_the_record(data_dir, tmp_path):
    own = tmp_path / 'data'
    shutil.copytree(dataset_folder(data_dir, 'original'), dataset_folder(own, 'original'))
    path = pathlib.Path(open_split(own, 'original', 'train').shards[0].path)
    content = bytearray(path.read_bytes())
    content[40 * record_layout.RECORD_BYTES] ^= (
        1  # neither in the sample that is checked nor among the spikes that are shown
    )
    path.write_bytes(content)
    with pytest.raises(UserError, match=f'^{path}: record 40 starts with e5020000'):
        train(SHORT_RUN, str(own), str(tmp_path / 'run'))


def test_all_records_are_checked_before_training_if_asked_for(data_dir, tmp_path):
    own = tmp_path / 'data'
    shutil.copytree(dataset_folder(data_dir, 'original'), dataset_folder(own, 'original'))
    path = pathlib.Path(open_split(own, 'original', 'train').shards[0].path)
    content = bytearray(path.read_bytes())
    content[5 * record_layout.RECORD_BYTES + 300] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f'^{path}: record 5: CRC of the data is wrong$'):
        train(SHORT_RUN, str(own), str(tmp_path / 'run'), verify_records=True)
    assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_training_loss_falls(synthetic_run):
    for member in ('k5', 'k8'):
        first, _, last = logged(synthetic_run[0], f'train/loss/{member}').values()
        assert last < 0.7 * first


@pytest.mark.slow
def test_last_two_checkpoints_are_kept(synthetic_run):
    assert sorted(checkpoint_steps(synthetic_run[0])) == [2 * STEPS // 3, STEPS]


@pytest.mark.slow
def test_model_info_says_what_the_model_was_trained_on(synthetic_run, data_dir):
    info = json.loads((synthetic_run[0] / 'model_info.json').read_text())
    split = open_split(data_dir, 'synthetic_small', 'train')
    training_cells = {cell.cell_id for cell in split.metadata.cells if cell.split == 'train'}
    assert info['source'] == 'simulated'
    assert info['protocol'] == 'by_cell'
    assert info['trained_on'] == 'synthetic_small'
    assert info['train_cells'] == sorted(training_cells)
    assert info['dataset_fingerprint'] == split.metadata.fingerprint


@pytest.mark.slow
def test_model_info_says_how_the_model_was_trained(synthetic_run):
    info = json.loads((synthetic_run[0] / 'model_info.json').read_text())
    assert info['architecture'] == 'cnn'
    assert info['kernel_sizes'] == [5, 8]
    assert info['members'] == ['k5', 'k8']
    assert info['config'] == TINY_RUN | {'kernel_sizes': [5, 8], 'augment': []}
    assert info['versions']['keras'] == keras.__version__
    assert set(info['validation_loss']) == {'k5', 'k8'}


@pytest.mark.slow
def test_run_that_has_ended_leaves_its_calibration_and_training_range_before_the_consensus(synthetic_run, data_dir):
    workdir, result = synthetic_run
    # One validation cell of each class is too few.
    assert calibration.load(str(workdir)).method == 'none'
    assert result.stderr.count('WARNING') == 1
    assert 'the probabilities are not calibrated: validation cells that are SER: 1' in result.stderr
    measured = training_range.load(str(workdir))
    assert measured.n_spikes.sum() == open_split(data_dir, 'original', 'train').examples
    written = [workdir / name for name in ('calibration.json', 'training_range.npz', 'consensus.keras')]
    assert written == sorted(written, key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.slow
def test_training_cells_are_in_no_test_split(synthetic_run, data_dir):
    trained = set(json.loads((synthetic_run[0] / 'model_info.json').read_text())['train_cells'])
    for cell in open_split(data_dir, 'original', 'test').metadata.cells:
        assert (cell.cell_id in trained) == (cell.split == 'train')


def test_member_keeps_the_weights_of_its_best_epoch(data_dir, tmp_path):
    # So high a rate that the loss on validation rises again.
    config = SHORT_RUN | {'learning_rate': 0.03, 'epochs': 8}
    info = train(config, str(data_dir), str(tmp_path / 'run'))
    curve = logged(tmp_path / 'run', 'validation/loss/k4').values()
    assert info.validation_loss['k4'] == pytest.approx(min(curve), rel=1e-5)
    member = load_model(str(tmp_path / 'run' / 'members' / 'k4.keras'), compile=False)
    member.compile(loss='binary_crossentropy')
    split = open_split(data_dir, 'original', 'validation')
    rows = [np.fromfile(shard.path, np.uint8) for shard in split.shards]
    records = record_layout.view_records(np.concatenate(rows))
    label = record_layout.decode_varints(records['label'])
    loss = member.evaluate(records['waveform'].copy(), np.eye(2)[label], batch_size=4096, verbose=0)
    assert loss == pytest.approx(min(curve), rel=1e-4, abs=1e-6)


def test_training_ends_where_no_member_improves_any_more(data_dir, tmp_path):
    config = SHORT_RUN | {'learning_rate': 1.0, 'epochs': 40, 'patience': 1}
    info = train(config, str(data_dir), str(tmp_path / 'run'))
    assert info.examples_seen < 40 * 48
    # Nor does it go on when it is started again.
    assert train(config, str(data_dir), str(tmp_path / 'run')).examples_seen == info.examples_seen


def test_finished_run_is_not_trained_again(data_dir, tmp_path):
    workdir = tmp_path / 'run'
    first = train(SHORT_RUN, str(data_dir), str(workdir))
    before = modification_times(workdir / 'checkpoints') | modification_times(workdir / 'members')
    again = train(SHORT_RUN, str(data_dir), str(workdir))
    assert modification_times(workdir / 'checkpoints') | modification_times(workdir / 'members') == before
    assert again.to_json() | {'created': ''} == first.to_json() | {'created': ''}


def test_run_can_be_made_longer(data_dir, tmp_path, capfd):
    train(SHORT_RUN, str(data_dir), str(tmp_path / 'run'))
    capfd.readouterr()
    info = train(SHORT_RUN | {'epochs': 3}, str(data_dir), str(tmp_path / 'run'))
    assert info.examples_seen == 3 * 48
    manifest.check_files(str(tmp_path / 'run'))
    assert manifest.is_written(str(tmp_path / 'run'))
    assert 'epoch 2/3' not in capfd.readouterr().err


def test_another_config_in_the_same_folder_is_refused_by_the_field(data_dir, tmp_path):
    train(SHORT_RUN, str(data_dir), str(tmp_path / 'run'))
    message = train_error(SHORT_RUN | {'kernel_sizes': (4, 6)}, data_dir, tmp_path / 'run')
    assert message == (
        f'{tmp_path / "run"}: holds a run with kernel_sizes [4], asked for [4, 6]; use another --workdir'
    )


@pytest.mark.slow
def test_command_refuses_another_config_in_one_line(data_dir, synthetic_run):
    workdir, _ = synthetic_run
    result = run_command('sero-train', *train_arguments(TINY_RUN | {'seed': 8}, data_dir, workdir))
    assert error_line(result) == (f'sero-train: {workdir}: holds a run with seed 7, asked for 8; use another --workdir')


def test_run_of_an_earlier_version_goes_on_with_what_it_did_not_have(data_dir, tmp_path):
    train(SHORT_RUN, str(data_dir), str(tmp_path / 'run'))
    path = tmp_path / 'run' / 'config.json'
    earlier = json.loads(path.read_text())
    path.write_text(json.dumps({field: earlier[field] for field in earlier if field != 'augment'}))
    message = train_error(SHORT_RUN | {'augment': ('hum',)}, data_dir, tmp_path / 'run')
    assert message == f"{tmp_path / 'run'}: holds a run with augment [], asked for ['hum']; use another --workdir"
    assert train(SHORT_RUN | {'epochs': 3}, str(data_dir), str(tmp_path / 'run')).examples_seen == 3 * 48


def test_finished_run_of_another_version_is_given_its_graph(data_dir, tmp_path):
    workdir = tmp_path / 'run'
    train(SHORT_RUN, str(data_dir), str(workdir))
    path = workdir / 'consensus.onnx'
    written = path.read_bytes()
    other_version = onnx.load(str(path))
    other_version.model_version = 2
    members = modification_times(workdir / 'members')
    for earlier in (None, other_version.SerializeToString(), written[:-1]):
        path.unlink()
        if earlier is not None:
            path.write_bytes(earlier)
        manifest.remove(str(workdir))
        manifest.write(str(workdir))
        train(SHORT_RUN, str(data_dir), str(workdir))
        assert path.read_bytes() == written
        assert modification_times(workdir / 'members') == members
        manifest.check_files(str(workdir))
        assert 'consensus.onnx' in (workdir / 'manifest.json').read_text()


def test_graph_that_was_exchanged_after_the_run_is_named_and_kept(data_dir, tmp_path):
    workdir = tmp_path / 'run'
    train(SHORT_RUN, str(data_dir), str(workdir))
    path = workdir / 'consensus.onnx'
    path.write_bytes(path.read_bytes()[:-1])
    assert train_error(SHORT_RUN, data_dir, workdir).startswith(f'{path}: is not the file that this run ended with')


def test_only_the_spikes_that_are_trained_on_are_augmented(data_dir, tmp_path):
    runs = {augment: SHORT_RUN | {'augment': augment, 'epochs': 1} for augment in ((), AUGMENTATIONS)}
    for number, config in enumerate(runs.values()):
        train(config, str(data_dir), str(tmp_path / str(number)))
    (plain, _), (augmented, _) = (last_checkpoint(tmp_path / name) for name in '01')
    assert [layer.name for layer in augmented.layers] == [layer.name for layer in plain.layers]
    differences = [
        np.abs(one - other).max() for one, other in zip(plain.get_weights(), augmented.get_weights(), strict=True)
    ]
    assert max(differences) > 1e-4
    member = load_model(str(tmp_path / '1' / 'members' / 'k4.keras'), compile=False)
    member.compile(loss='binary_crossentropy')
    spikes = next(iter(evaluation_batches(open_split(data_dir, 'original', 'validation'), 4096)))
    valid = spikes['valid'].numpy()
    target = np.eye(2)[spikes['label'].numpy()[valid]]
    loss = member.evaluate(spikes['waveform'].numpy()[valid], target, batch_size=4096, verbose=0)
    assert loss == pytest.approx(logged(tmp_path / '1', 'validation/loss/k4')[6], rel=1e-4)


def test_checkpoint_of_other_data_is_refused(data_dir, tmp_path):
    own = tmp_path / 'data'
    shutil.copytree(dataset_folder(data_dir, 'original'), dataset_folder(own, 'original'))
    train(SHORT_RUN, str(own), str(tmp_path / 'run'))
    path = pathlib.Path(dataset_folder(own, 'original'), 'metadata.json')
    path.write_text(json.dumps(json.loads(path.read_text()) | {'fingerprint': 'another'}))
    cover(path.parent, [path.name])
    message = train_error(SHORT_RUN, own, tmp_path / 'run')
    assert message == f'{tmp_path / "run"}: was trained on other data than the dataset original in {own} is now'


def test_two_trainings_in_one_folder_are_refused_before_anything_is_written(data_dir, tmp_path):
    with filelock.FileLock(tmp_path / '.sero.lock'):
        message = train_error(SHORT_RUN, data_dir, tmp_path)
    assert message == f'{tmp_path}: another command is writing there; wait for it, or use another --workdir'
    assert [path.name for path in tmp_path.iterdir() if path.name != '.sero.lock'] == []


def test_damaged_checkpoint_is_named_and_the_one_before_is_taken(data_dir, tmp_path, capfd):
    workdir = tmp_path / 'run'
    train(SHORT_RUN | {'epochs': 3}, str(data_dir), str(workdir))
    path = workdir / 'checkpoints' / 'step_000000018' / 'ensemble.keras'
    path.write_bytes(path.read_bytes()[:-1])
    capfd.readouterr()
    train(SHORT_RUN | {'epochs': 4}, str(data_dir), str(workdir))
    assert f'WARNING: {path}: is not a whole .keras file; going on from step 12 instead' in capfd.readouterr().err
    train(SHORT_RUN | {'epochs': 4}, str(data_dir), str(tmp_path / 'whole'))
    assert_same_weights(last_checkpoint(workdir)[0], last_checkpoint(tmp_path / 'whole')[0])


def test_run_whose_checkpoints_are_all_damaged_is_not_begun_again(data_dir, tmp_path):
    train(SHORT_RUN, str(data_dir), str(tmp_path / 'run'))
    for path in (tmp_path / 'run' / 'checkpoints').glob('*/ensemble.keras'):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match='step_000000012/ensemble.keras: is not a whole .keras file'):
        train(SHORT_RUN | {'epochs': 3}, str(data_dir), str(tmp_path / 'run'))


def test_member_that_no_longer_improves_is_stopped_while_the_others_go_on(data_dir, tmp_path):
    """Its best epoch and those that it waited are as if it had been trained alone."""
    config = SHORT_RUN | {'kernel_sizes': (4, 20), 'learning_rate': 0.05, 'epochs': 12, 'patience': 1}
    info = train(config, str(data_dir), str(tmp_path / 'run'))
    for name, best_epoch in info.best_epoch.items():
        curve = list(logged(tmp_path / 'run', f'validation/loss/{name}').values())
        alone = next((epoch for epoch in range(1, len(curve)) if curve[epoch] >= min(curve[:epoch])), len(curve))
        assert best_epoch == alone


def test_checkpoints_are_saved_by_time_and_by_step(data_dir, tmp_path):
    for name, fields in {'time': {'checkpoint_seconds': 0.0}, 'step': {'checkpoint_steps': 2}}.items():
        config = SHORT_RUN | fields | {'epochs': 1, 'checkpoints_kept': 100}
        train(config, str(data_dir), str(tmp_path / name))
    assert sorted(checkpoint_steps(tmp_path / 'time')) == [1, 2, 3, 4, 5, 6]
    assert sorted(checkpoint_steps(tmp_path / 'step')) == [2, 4, 6]


def test_run_that_was_killed_while_it_saved_goes_on(data_dir, tmp_path):
    workdir = tmp_path / 'run'
    train(SHORT_RUN, str(data_dir), str(workdir))
    (workdir / 'checkpoints' / 'step_000000018.tmp').mkdir()
    (workdir / 'checkpoints' / 'step_000000018.tmp' / 'ensemble.keras').write_bytes(b'PK')
    (workdir / 'members' / 'k4.keras.tmp.keras').write_bytes(b'PK')
    train(SHORT_RUN | {'epochs': 3}, str(data_dir), str(workdir))
    assert last_checkpoint(workdir)[1]['epoch'] == 3


def test_loss_that_is_not_finite_ends_the_run_with_its_cause(data_dir, tmp_path):
    message = train_error(SHORT_RUN | {'learning_rate': 1e20}, data_dir, tmp_path / 'run')
    assert re.fullmatch(
        r'loss is nan at step \d with learning rate 1e\+20; try a lower learning_rate, or precision float32,'
        r' in another --workdir',
        message,
    )
    assert not (tmp_path / 'run' / 'model_info.json').exists()


def test_run_that_failed_before_its_first_checkpoint_may_begin_again_in_another_way(data_dir, tmp_path):
    assert train_error(SHORT_RUN | {'learning_rate': 1e20}, data_dir, tmp_path / 'run').startswith('loss is ')
    assert train(SHORT_RUN, str(data_dir), str(tmp_path / 'run')).examples_seen == 2 * 48


@pytest.mark.parametrize('precision', ['mixed_bfloat16', 'mixed_float16'])
def test_mixed_precision_learns_and_keeps_its_weights_in_float32(data_dir, tmp_path, precision):
    config = SHORT_RUN | {'precision': precision, 'epochs': 6}
    train(config, str(data_dir), str(tmp_path / 'run'))
    loss = list(logged(tmp_path / 'run', 'train/loss/k4').values())
    assert loss[-1] < loss[0]
    member = load_model(str(tmp_path / 'run' / 'members' / 'k4.keras'), compile=False)
    assert {str(weight.dtype) for weight in member.trainable_variables} == {'float32'}
    assert member.layers[2].compute_dtype == precision.removeprefix('mixed_')


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('batch_size', 0, 'batch_size 0: must be 1..2147483647'),
        ('batch_size', 10**20, f'batch_size {10**20}: must be 1..2147483647'),
        ('checkpoints_kept', 0, 'checkpoints_kept 0: must be 1..2147483647'),
        ('epochs', 0, 'epochs 0: must be 1..2147483647'),
        ('patience', -1, 'patience -1: must be 1..2147483647'),
        ('learning_rate', math.inf, 'learning_rate inf: must be more than 0'),
        ('checkpoint_steps', -3, 'checkpoint_steps -3: must be 0 or more'),
        ('checkpoint_seconds', math.nan, 'checkpoint_seconds nan: must be 0 or more'),
        ('learning_rate', 0.0, 'learning_rate 0.0: must be more than 0'),
        ('learning_rate_schedule', 'step', "learning_rate_schedule 'step': expected one of constant, cosine"),
        ('batch_size', '64', "batch_size '64': expected a whole number"),
        ('precision', 'foo', "precision 'foo': expected one of float32, mixed_bfloat16, mixed_float16"),
        ('kernel_sizes', (), 'kernel_sizes is empty; give at least one kernel size'),
        ('kernel_sizes', (5, 5), 'kernel_sizes (5, 5): each can be there only once'),
        ('kernel_sizes', (5, 60), 'kernel_size 60: must be 1..53, or nothing is left of 160 samples'),
        ('augment', ('hum', 'drift'), "augment 'drift': expected () or names out of low_pass,gain,jitter,hum,baseline"),
        ('augment', ('hum', 'hum'), "augment ('hum', 'hum'): each can be there only once"),
        ('augment', (3,), 'augment (3,): expected () or names out of low_pass,gain,jitter,hum,baseline'),
        ('input', 'npy', "input 'npy': expected tfrecord, online or tfds"),
        ('seed', -1, 'seed -1: must be 0..4294967295'),
        ('held_out_days', 1, 'held_out_days 1: must be 0 (no days are held out), or 2 or more groups'),
        ('held_out_days', -4, 'held_out_days -4: must be 0 (no days are held out), or 2 or more groups'),
        ('architecture', 'rnn', "architecture 'rnn': expected one of cnn, published"),
        ('examples_per_epoch', 7, 'examples_per_epoch 7 is less than one batch, batch_size 8'),
    ],
)
def test_config_value_that_cannot_be_used_is_named_and_leaves_no_folder(data_dir, tmp_path, field, value, message):
    assert train_error(SHORT_RUN | {field: value}, data_dir, tmp_path / 'run') == message
    assert not (tmp_path / 'run').exists()


def test_field_that_the_config_lacks_is_named(data_dir, tmp_path):
    config = {field: value for field, value in SHORT_RUN.items() if field != 'patience'}
    assert train_error(config, data_dir, tmp_path / 'run') == (
        'field patience is missing; trainer/configs/default.py has all fields'
    )


def test_folder_below_a_file_cannot_be_written(data_dir, tmp_path):
    (tmp_path / 'file').write_text('')
    workdir = tmp_path / 'file' / 'run'
    assert train_error(SHORT_RUN, data_dir, workdir) == f'{workdir}: cannot be written: Not a directory'


@pytest.mark.parametrize('source', ['tfrecord', 'online', 'tfds'])
def test_members_can_leave_out_days(data_dir, tmp_path, monkeypatch, source):
    # All NSER cells of the tiny recordings are of one day; here the number of a cell within its day is its day.
    monkeypatch.setattr(domain, 'find_recording_day', lambda cell_id, pattern: cell_id[-1])
    config = SHORT_RUN | {'train_on': 'synthetic_small', 'input': source, 'kernel_sizes': (4, 6), 'augment': ('hum',)}
    train(config, str(data_dir), str(tmp_path / 'all'))
    # Four groups for two members are two.
    train(config | {'held_out_days': 4}, str(data_dir), str(tmp_path / 'some'))
    (every, _), (some, state) = last_checkpoint(tmp_path / 'all'), last_checkpoint(tmp_path / 'some')
    # Both members differ from those that saw everything.
    for name in ('k4', 'k6'):
        weights = [member.get_layer(name).get_weights()[-1] for member in (every, some)]
        assert np.abs(weights[0] - weights[1]).max() > 1e-6
        assert np.isfinite(state['best'][name])
    fitted = calibration.load(str(tmp_path / 'some'))
    assert fitted.days == 0 or fitted.cells > calibration.load(str(tmp_path / 'all')).cells
