"""Trains an ensemble: one pass over the data for all members, checkpoints, the best weights of each member."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from ml_collections import FrozenConfigDict

from beam_pipelines import domain
from beam_pipelines.cli.progress_line import ProgressLine
from beam_pipelines.cli.signals import StopRequests
from beam_pipelines.cli.words import counted
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.sources import words_of_source
from beam_pipelines.storage.locks import written_by_one
from beam_pipelines.synthesis.synthesizer import Synthesizer
from trainer.backend import describe_device
from trainer.data.augmentation_draws import add_draws
from trainer.data.batches import dataset_errors, tfds_batches, training_batches
from trainer.data.online_batches import online_batches, open_spike_bank, read_bank_cells
from trainer.data.stored_dataset import StoredSplit, noticing_replacement, open_split
from trainer.models import published as published_models
from trainer.models.model_info import ModelInfo
from trainer.models.training_model import TrainingModel
from trainer.training import checkpoints
from trainer.training.distributed_fit import Extent
from trainer.training.held_out_days import HeldOutDays, days_of_cells, deal_days, groups_of_days
from trainer.training.held_out_validation import HeldOutValidation
from trainer.training.input_wait import InputWait, LogInputWait
from trainer.training.one_device import ONE_DEVICE, OneDevice
from trainer.training.optimization import member_losses
from trainer.training.progress import TrainingProgress
from trainer.training.run_data import RunData
from trainer.training.run_folder import Run, complete_run, find_init_files, reserve_workdir, resume_run, start_run
from trainer.training.run_keeper import RunKeeper
from trainer.training.run_places import places_within
from trainer.training.step_profile import StepProfile
from trainer.training.tensorboard_log import TensorBoardLog
from trainer.training.validation import Validation

_BATCHES_READY = 8


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """Options of a run that are not in its config.

    Attributes
    ----------
    verify_records : checks every record before training, and not only a sample of each shard.
    init_from : folder with the authors' models: a run starts from their weights; a resumed run must have started
        from the same.
    profile : records some early steps for TensorBoard.
    checkpoint_dir, tensorboard_dir : folders of the checkpoints and of the event files; by default in the run's folder.
    saved : called when the run's folder has been brought up to date, to copy it elsewhere; in the process that writes.
    """

    verify_records: bool = False
    init_from: str | None = None
    profile: bool = False
    checkpoint_dir: str | None = None
    tensorboard_dir: str | None = None
    saved: Callable[[], None] = lambda: None


@dataclasses.dataclass(frozen=True)
class _Data:
    """The splits that a run needs, checked against each other.

    ``bank`` is set for the input ``online`` only, ``held_out`` if the members leave out days.
    """

    splits: RunData
    bank: Synthesizer | None
    held_out: HeldOutDays | None


@dataset_errors()
def train(
    config: FrozenConfigDict,
    data_dir: str,
    workdir: str,
    options: TrainingOptions = TrainingOptions(),
    strategy: OneDevice | None = None,
) -> ModelInfo:
    """Trains the ensemble, or resumes an interrupted run.

    Parameters
    ----------
    config : from ``trainer.config.check_config``.
    data_dir : the TFDS data directory.
    workdir : the run's folder: members, checkpoints, TensorBoard logs, ``model_info.json``, the consensus.
    options : see ``TrainingOptions``.
    strategy : the devices, from ``strategies.open_strategy``; one by default.

    Returns
    -------
    The content of ``model_info.json``.

    Raises
    ------
    UserError
        If the folder holds a run of another config or start, a dataset is missing or damaged, or the loss is not
        finite.
    Interrupted
        If SIGINT or SIGTERM arrived; the run is saved first.
    ModelError
        If all checkpoints are damaged, or a file in ``init_from`` is missing or unusable.
    """
    strategy = strategy or ONE_DEVICE
    places = places_within(workdir, options.checkpoint_dir, options.tensorboard_dir)
    init_files = find_init_files(options.init_from, config) if options.init_from else {}
    check_devices(config, strategy)
    with noticing_replacement(data_dir, {config.train_on, 'original'}, 'give the command again'):
        data = _open_data(config, data_dir, options.verify_records)
    strategy.check_same(
        config=config.to_dict(),
        init_from=published_models.describe_files(init_files),
        dataset=(data.splits.train.metadata.fingerprint, data.splits.validation.metadata.fingerprint),
        checkpoints=checkpoints.list_steps(places.checkpoints),
    )
    # Of several workers that train one run, the chief alone writes.
    writing = written_by_one(workdir, 'wait for it, or use another --workdir')
    with writing if strategy.is_chief else contextlib.nullcontext():
        reserve_workdir(places, config, strategy.is_chief)
        with strategy.scope():
            run = resume_run(places, config, data_dir, data.splits, init_files) or start_run(
                places, config, data.splits, init_files
            )
        strategy.check_same(step=run.state['step'])
        _fit(run, data, strategy, options)
        if not strategy.is_chief:
            return run.info()
        with ProgressLine().passing('calibrating the probabilities and writing the model'):
            info = complete_run(workdir, run.info(), data.splits, data.held_out)
        options.saved()
        return info


def check_devices(config: FrozenConfigDict, strategy: OneDevice) -> None:
    """Raises UserError if the devices cannot train with a config."""
    if config.batch_size % strategy.replicas:
        raise UserError(f'batch_size {config.batch_size}: cannot be shared evenly by {strategy.replicas} devices')
    if config.precision == 'mixed_float16' and not strategy.can_scale_loss:
        raise UserError(
            f'precision mixed_float16: not on {strategy.replicas} devices; use mixed_bfloat16, or --strategy=one'
        )


def _open_data(config: FrozenConfigDict, data_dir: str, verify_records: bool) -> _Data:
    """Opens the splits; UserError if one is missing or damaged, or cells are trained on and validated on."""
    if verify_records:
        print('checking every record', file=sys.stderr)
    train_split = open_split(data_dir, config.train_on, 'train', verify_records)
    validation_split = open_split(data_dir, 'original', 'validation', verify_records)
    recorded_split = open_split(data_dir, 'original', 'train', verify_records)
    shared_cells = train_split.train_cells & validation_split.cells
    if shared_cells and train_split.metadata.protocol == 'by_cell':
        raise UserError(
            f'{data_dir}: {len(shared_cells)} cells of {validation_split.name}, such as {min(shared_cells)}, are in'
            f' {train_split.name} too; build both datasets together'
        )
    bank = open_spike_bank(train_split) if config.input == 'online' else None
    held_out = _hold_out_days(config, recorded_split)
    return _Data(RunData(train_split, validation_split, recorded_split), bank, held_out)


def _hold_out_days(config: FrozenConfigDict, recorded_split: StoredSplit) -> HeldOutDays | None:
    """Deals the days of the cells that are trained on or validate; those of the test cells are in no group."""
    members = len(config.kernel_sizes)
    groups = groups_of_days(config.held_out_days, members)
    if not groups:
        if config.held_out_days:
            print('held_out_days: a single member leaves out no days; original/validation alone selects and calibrates')
        return None
    cells = recorded_split.metadata.cells
    label_of = {cell.cell_id: cell.label for cell in cells if cell.split in ('train', 'validation', None)}
    advice = 'so members may have seen other cells of a day that counts as unseen; name cells DAY#NUMBER'
    day_of = days_of_cells(sorted(label_of), None, advice)
    return deal_days(label_of, day_of, groups, members, config.seed)


def _fit(run: Run, data: _Data, strategy: OneDevice, options: TrainingOptions) -> None:
    """Trains until the run has ended."""
    config, state = run.config, run.state
    with StopRequests() as stop_requests:
        saved = options.saved if strategy.is_chief else None
        keeper = RunKeeper(run, strategy.listen(stop_requests), saved)
        if run.finished:
            return
        with strategy.scope():
            _announce(data, config, state['step'])
        validation = _open_validation(run.ensemble, data, strategy)
        weights = None if data.held_out is None else _weights(data, data.held_out)
        loggers = _tensorboard_loggers(run, options.profile) if strategy.is_chief else []
        # Keras starts at the beginning of an epoch: it sees the rest of an interrupted one as a shorter epoch.
        made = state['step'] % run.steps_per_epoch
        parts = [(state['epoch'] + 1, made)] if made else []
        for epochs, steps_made in [*parts, (config.epochs, 0)]:
            if run.finished:
                break
            with strategy.scope():
                model, batches = _open_input(run, data)
            input_wait = InputWait()
            progress = TrainingProgress(config.batch_size, run.steps_per_epoch, config.epochs, steps_made)
            shown = [progress, *loggers] if strategy.is_chief else []
            strategy.fit(
                model,
                strategy.feed(with_targets(strategy.share(batches), run.ensemble.output_names, weights), input_wait),
                Extent(state['epoch'], epochs, run.steps_per_epoch - steps_made),
                [LogInputWait(input_wait), validation, *shown, keeper],
            )


def _announce(data: _Data, config: FrozenConfigDict, steps_made: int) -> None:
    what = f'going on from step {steps_made:,} with' if steps_made else 'training'
    train, validation = data.splits.train, data.splits.validation
    trained_on = f'{train.name} ({train.examples:,} spikes, {words_of_source(train.metadata.source)}'
    validated_on = f'{validation.name} ({validation.examples:,})'
    print(
        f'{what} {counted(len(config.kernel_sizes), "member")} on {trained_on}, input {config.input}),'
        f' validation on {validated_on}, {describe_device()}',
        file=sys.stderr,
    )


def _tensorboard_loggers(run: Run, profile: bool) -> list[keras.callbacks.Callback]:
    log = TensorBoardLog(run.places.tensorboard, run.ensemble, run.config)
    if not run.state['step']:
        log.show_spikes(run.data.train)
    return [log, StepProfile(run.places.tensorboard)] if profile else [log]


def _open_validation(ensemble: keras.Model, data: _Data, strategy: OneDevice) -> keras.callbacks.Callback:
    if data.held_out is None:
        return Validation(ensemble, data.splits.validation, strategy)
    return HeldOutValidation(ensemble, (data.splits.recorded, data.splits.validation), data.held_out, strategy)


def _weights(data: _Data, held_out: HeldOutDays) -> np.ndarray:
    """Returns what each cell, or each spike of the bank, weighs for each member: (m, c) float32."""
    sees = held_out.sees(data.splits.train.cell_names).astype(np.float32)
    return sees if data.bank is None else sees[:, read_bank_cells(data.splits.train)]


def _open_input(run: Run, data: _Data) -> tuple[keras.Model, tf.data.Dataset]:
    """Returns the model to fit and the batches to fit it on, from the run's next step on."""
    config, ensemble, first_batch, bank = run.config, run.ensemble, run.state['step'], data.bank
    if bank is not None:
        batches = online_batches(run.data.train, bank, config.batch_size, config.seed, first_batch)
    else:
        open_batches = {'tfds': tfds_batches, 'tfrecord': training_batches}[config.input]
        with_cell = data.held_out is not None
        batches = open_batches(run.data.train, config.batch_size, config.seed, first_batch, with_cell)
    if config.augment:
        batches = add_draws(batches, config.seed, first_batch)
    return model_to_fit(ensemble, bank, config.augment), batches


def model_to_fit(ensemble: keras.Model, bank: Synthesizer | None, augmentations: Sequence[str]) -> keras.Model:
    """Returns the compiled ensemble, or a compiled model that makes or varies its spikes.

    Parameters
    ----------
    ensemble : compiled.
    bank, augmentations : see ``TrainingModel``.
    """
    if bank is None and not augmentations:
        return ensemble
    model = TrainingModel(ensemble, bank, augmentations)
    # One optimizer for both: it is saved with the ensemble.
    model.compile(optimizer=ensemble.optimizer, loss=member_losses(ensemble), jit_compile=ensemble.jit_compile)
    return model


def with_targets(batches: tf.data.Dataset, output_names: Sequence[str], weights: np.ndarray | None) -> tf.data.Dataset:
    """Adds what Keras fits to: the targets of each member, and the weights of the rows, see ``_weights``."""
    of_member = None if weights is None else dict(zip(output_names, map(tf.constant, weights), strict=True))

    def add_targets(inputs: tf.Tensor | dict[str, tf.Tensor], label: tf.Tensor, *cell: tf.Tensor) -> tuple:
        targets = dict.fromkeys(output_names, tf.one_hot(label, len(domain.LABEL_NAMES)))
        if of_member is None:
            return inputs, targets
        source = cell[0] if cell else inputs['spike']
        return inputs, targets, {name: tf.gather(weight, source) for name, weight in of_member.items()}

    return batches.map(add_targets, num_parallel_calls=1).prefetch(_BATCHES_READY)
