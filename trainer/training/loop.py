"""Trains an ensemble: one pass over the data for all members, checkpoints, the best weights of each member."""

from __future__ import annotations

import os
import sys

import keras
import tensorflow as tf

from beam_pipelines import domain
from beam_pipelines.cli.signals import StopRequests
from beam_pipelines.cli.words import counted
from beam_pipelines.errors import UserError
from beam_pipelines.synthesis.synthesizer import Synthesizer
from trainer.backend import describe_device
from trainer.config_checks import check_config
from trainer.data.batches import dataset_errors, tfds_batches, training_batches
from trainer.data.online_batches import online_batches, open_spike_bank
from trainer.data.stored_dataset import StoredSplit, open_split
from trainer.models import published as published_models
from trainer.models.online_synthesis import OnlineEnsemble
from trainer.training import checkpoints
from trainer.training.input_wait import InputWait, LogInputWait
from trainer.training.optimization import member_losses
from trainer.training.progress import TrainingProgress
from trainer.training.run_folder import claim_workdir, find_init_files, resume_run, start_run
from trainer.training.run_keeper import RunKeeper
from trainer.training.run_outcome import complete_run
from trainer.training.step_profile import StepProfile
from trainer.training.strategies import OneDevice
from trainer.training.tensorboard_log import FOLDER, TensorBoardLog
from trainer.training.validation import Validation

_BATCHES_READY = 8


@dataset_errors()
def train(
    config: dict,
    data_dir: str,
    workdir: str,
    verify_records: bool = False,
    init_from: str | None = None,
    strategy: OneDevice | None = None,
    profile: bool = False,
) -> dict:
    """Trains the ensemble, or goes on with a run that was interrupted.

    Parameters
    ----------
    config : the fields of ``trainer/configs/default.py``.
    data_dir : the TFDS data directory.
    workdir : the run's folder: members, checkpoints, TensorBoard logs, ``model_info.json``, the consensus.
    verify_records : checks every record before training, and not only a sample of each shard.
    init_from : folder with the authors' models, from whose weights a run starts; one that goes on must have started
        from the same.
    strategy : the devices, from ``strategies.open_strategy``; one by default.
    profile : records some early steps for TensorBoard.

    Returns
    -------
    The content of ``model_info.json``.

    Raises
    ------
    UserError
        If the folder holds a run of another config or start, a config value cannot be used, or the loss is not finite.
    Interrupted
        If SIGINT or SIGTERM came; where the run stands is saved.
    ModelError
        If all checkpoints to go on from are damaged, or a file in ``init_from`` is missing or of no use.
    UserError
        If a dataset is missing or damaged.
    """
    strategy = strategy or OneDevice()
    check_config(config)
    init_files = find_init_files(init_from, config) if init_from else {}
    if config['batch_size'] % strategy.replicas:
        raise UserError(f'batch_size {config["batch_size"]}: cannot be shared evenly by {strategy.replicas} devices')
    if config['precision'] == 'mixed_float16' and not strategy.can_scale_loss:
        raise UserError(
            f'precision mixed_float16: not on {strategy.replicas} devices; use mixed_bfloat16, or --strategy=one'
        )
    if verify_records:
        print('checking every record', file=sys.stderr)
    train_split = open_split(data_dir, config['train_on'], 'train', verify_records)
    validation_split = open_split(data_dir, 'original', 'validation', verify_records)
    recorded_split = open_split(data_dir, 'original', 'train', verify_records)
    shared_cells = train_split.train_cells & validation_split.cells
    if shared_cells and train_split.metadata['protocol'] == 'by_cell':
        raise UserError(
            f'{data_dir}: {len(shared_cells)} cells of {validation_split.name}, such as {min(shared_cells)}, are in'
            f' {train_split.name} too; build both datasets together'
        )
    bank = open_spike_bank(train_split) if config['input'] == 'online' else None
    strategy.check_same(
        config=config,
        init_from=published_models.describe_files(init_files),
        dataset=(train_split.metadata['fingerprint'], validation_split.metadata['fingerprint']),
        checkpoints=checkpoints.list_steps(os.path.join(workdir, checkpoints.CHECKPOINTS_FOLDER)),
    )
    claim_workdir(workdir, config, strategy.is_chief)
    with strategy.scope():
        ensemble, state = resume_run(workdir, data_dir, train_split, init_from, init_files) or start_run(
            config, train_split, init_files
        )
    strategy.check_same(step=state['step'])
    with StopRequests() as stop_requests:
        requests = strategy.listen(stop_requests)
        keeper = RunKeeper(workdir, config, train_split, ensemble, state, requests, strategy.is_chief)
        if not keeper.finished:
            with strategy.scope():
                _announce(train_split, validation_split, config, state['step'])
            validation = Validation(ensemble, validation_split, strategy.agree)
            shown = _shown(workdir, config, ensemble, train_split, state, profile) if strategy.is_chief else []
        # Keras begins at an epoch's start: the rest of one that was interrupted is a shorter epoch to it.
        made = state['step'] % keeper.steps_per_epoch
        parts = [(state['epoch'] + 1, made)] if made else []
        for epochs, steps_made in [*parts, (config['epochs'], 0)]:
            if keeper.finished:
                break
            with strategy.scope():
                model, batches = _open_input(ensemble, train_split, bank, config, state['step'])
            input_wait = InputWait()
            progress = TrainingProgress(config['batch_size'], keeper.steps_per_epoch, config['epochs'], steps_made)
            parts_of_batches = _with_targets(strategy.share(batches), ensemble.output_names)
            strategy.fit(
                model,
                strategy.feed(input_wait.measure(parts_of_batches)),
                initial_epoch=state['epoch'],
                epochs=epochs,
                steps_per_epoch=keeper.steps_per_epoch - steps_made,
                callbacks=[
                    LogInputWait(input_wait),
                    validation,
                    *([progress] if strategy.is_chief else []),
                    *shown,
                    keeper,
                ],
            )
    if not strategy.is_chief:
        return keeper.info()
    return complete_run(workdir, keeper.info(), validation_split, recorded_split)


def _announce(train_split: StoredSplit, validation_split: StoredSplit, config: dict, steps_made: int) -> None:
    what = f'going on from step {steps_made:,} with' if steps_made else 'training'
    trained_on = f'{train_split.name} ({train_split.examples:,} spikes, {train_split.metadata["source"]} recordings'
    validated_on = f'{validation_split.name} ({validation_split.examples:,})'
    print(
        f'{what} {counted(len(config["kernel_sizes"]), "member")} on {trained_on}, input {config["input"]}),'
        f' validation on {validated_on}, {describe_device()}',
        file=sys.stderr,
    )


def _shown(
    workdir: str, config: dict, ensemble: keras.Model, train_split: StoredSplit, state: dict, profile: bool
) -> list[keras.callbacks.Callback]:
    """Returns what writes for TensorBoard."""
    folder = os.path.join(workdir, FOLDER)
    log = TensorBoardLog(folder, ensemble, config)
    if not state['step']:
        log.show_spikes(train_split)
    return [log, StepProfile(folder)] if profile else [log]


def _open_input(
    ensemble: keras.Model, split: StoredSplit, bank: Synthesizer | None, config: dict, first_batch: int
) -> tuple[keras.Model, tf.data.Dataset]:
    """Returns the model to fit and the batches to fit it on."""
    batch_size, seed = config['batch_size'], config['seed']
    if config['input'] == 'tfds':
        return ensemble, tfds_batches(split, batch_size, seed, first_batch)
    if config['input'] == 'tfrecord':
        return ensemble, training_batches(split, batch_size, seed, first_batch)
    model = OnlineEnsemble(bank, ensemble)
    # One optimizer for both: it is saved with the ensemble.
    model.compile(optimizer=ensemble.optimizer, loss=member_losses(ensemble), jit_compile=ensemble.jit_compile)
    return model, online_batches(split, bank, batch_size, seed, first_batch)


def _with_targets(batches, output_names: list[str]):
    def add_targets(waveform, label):
        one_hot = tf.one_hot(label, len(domain.LABEL_NAMES))
        return waveform, dict.fromkeys(output_names, one_hot)

    return batches.map(add_targets, num_parallel_calls=1).prefetch(_BATCHES_READY)
