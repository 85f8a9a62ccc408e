import dataclasses
import json
import math
import signal

import keras
import msgspec
import pytest

from beam_pipelines.cli.signals import Interrupted, StopRequests
from beam_pipelines.errors import UserError
from tests.support.training_runs import TINY_RUN
from trainer.config import check_config
from trainer.data.stored_dataset import open_split
from trainer.evaluation import calibration
from trainer.models.ensemble import build_ensemble, members_of
from trainer.models.exported_consensus import write_consensus
from trainer.training.run_data import RunData
from trainer.training.run_folder import Run
from trainer.training.run_keeper import RunKeeper
from trainer.training.run_places import places_within

CONFIG = TINY_RUN | {'kernel_sizes': (4,), 'batch_size': 8, 'examples_per_epoch': 48, 'checkpoint_steps': 1}


@pytest.fixture
def keeper(data_dir, tmp_path) -> tuple[RunKeeper, StopRequests]:
    """The keeper of a run that has made 4 of the 6 steps of its first epoch, and what asks it to stop."""
    ensemble = build_ensemble('cnn', (4,), seed=0)
    ensemble.compile(optimizer=keras.optimizers.Adam(1e-3), loss='binary_crossentropy', jit_compile=False)
    state = {'step': 4, 'epoch': 0, 'best': {'k4': math.inf}, 'best_epoch': {'k4': 0}}
    stop_requests = StopRequests()
    (tmp_path / 'members').mkdir()
    splits = [('synthetic_small', 'train'), ('original', 'validation'), ('original', 'train')]
    data = RunData(*(open_split(data_dir, *split) for split in splits))
    keeper = RunKeeper(Run(places_within(str(tmp_path)), check_config(CONFIG), data, ensemble, state), stop_requests)
    keeper.set_model(ensemble)
    return keeper, stop_requests


def replaced(data: RunData, name: str) -> RunData:
    """Returns the data of a run of which a dataset was another when it was opened."""
    split = getattr(data, name)
    metadata = msgspec.structs.replace(split.metadata, fingerprint='of the dataset that was there before')
    return dataclasses.replace(data, **{name: dataclasses.replace(split, metadata=metadata)})


def checkpoints_in(folder) -> list[str]:
    return sorted(path.name for path in folder.glob('checkpoints/*'))


def test_request_to_stop_is_followed_after_the_step(keeper, tmp_path):
    run, stop_requests = keeper
    stop_requests.signal_number = signal.SIGTERM
    with pytest.raises(Interrupted, match='SIGTERM'):
        run.on_train_batch_end(4, {'loss': 1.0})
    assert checkpoints_in(tmp_path) == ['step_000000005']


def test_run_is_not_saved_or_stopped_between_the_last_step_of_an_epoch_and_its_validation(keeper, tmp_path):
    run, stop_requests = keeper
    run.on_train_batch_end(4, {'loss': 1.0})
    stop_requests.signal_number = signal.SIGTERM
    run.on_train_batch_end(5, {'loss': 1.0})
    assert checkpoints_in(tmp_path) == ['step_000000005']
    with pytest.raises(Interrupted, match='SIGTERM'):
        run.on_epoch_end(0, {'loss': 1.0, 'val_k4_loss': 1.0})
    assert checkpoints_in(tmp_path) == ['step_000000005', 'step_000000006']
    assert json.loads((tmp_path / 'model_info.json').read_text())['epochs'] == 1


def test_run_that_goes_on_leaves_no_consensus_or_calibration_of_earlier_members(keeper, tmp_path):
    run, _ = keeper
    write_consensus(str(tmp_path), members_of(run.model))
    calibration.write(str(tmp_path), calibration.Calibration())
    run.on_epoch_end(0, {'loss': 1.0, 'val_k4_loss': 1.0})
    gone = {'consensus.keras', 'consensus.onnx', 'saved_model', 'saved_model.tmp', 'calibration.json'}
    assert not gone & {path.name for path in tmp_path.iterdir()}


def test_first_signal_is_a_request_and_the_second_ctrl_c_quits():
    with StopRequests() as stop_requests:
        signal.raise_signal(signal.SIGINT)
        assert stop_requests.signal_number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize('name', ['train', 'validation', 'recorded'])
def test_a_dataset_that_is_replaced_ends_the_run_before_anything_of_it_is_saved(keeper, name, tmp_path):
    run, _ = keeper
    run._run = dataclasses.replace(run._run, data=replaced(run._run.data, name))
    with pytest.raises(UserError, match='the dataset was replaced by another during the training'):
        run.on_train_batch_end(4, {'loss': 1.0})
    with pytest.raises(UserError, match='the dataset was replaced by another during the training'):
        run.on_epoch_end(0, {'loss': 1.0, 'val_k4_loss': 1.0})
    assert not checkpoints_in(tmp_path) and not list((tmp_path / 'members').iterdir())
    assert not (tmp_path / 'model_info.json').exists()
