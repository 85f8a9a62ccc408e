"""A run and its folder: how it starts or resumes, and what it writes when it has ended."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from typing import Any

import keras
import msgspec
import numpy as np
from ml_collections import FrozenConfigDict

from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import remove_left_behind, write_json
from beam_pipelines.storage.typed_json import read_typed
from trainer.errors import ModelError
from trainer.evaluation import calibration, firing, training_range
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.evaluator import (
    HeldOutCells,
    calibrate,
    consensus_of_cells,
    measure_training_range,
    read_triggers,
)
from trainer.evaluation.metrics import binary_metrics
from trainer.evaluation.verdicts import spike_p_ser
from trainer.models import exported_consensus, manifest, model_info, onnx_ensemble
from trainer.models import published as published_models
from trainer.models.ensemble import build_ensemble, join_members, uses_xla
from trainer.models.model_info import ModelInfo
from trainer.models.onnx_export import write_onnx
from trainer.models.scoring import SpikeScores, join_scores, score_split
from trainer.models.trained import MEMBERS_FOLDER, TrainedEnsemble, load_members
from trainer.training import checkpoints
from trainer.training.description import describe_run
from trainer.training.held_out_days import HeldOutDays
from trainer.training.optimization import compile_ensemble, learning_rate_over_run
from trainer.training.run_data import RunData
from trainer.training.run_places import RunPlaces

_CONFIG_FILE = 'config.json'

# Fields that may change when a run resumes: with more epochs it is a longer run, not a different one.
_FREE_FIELDS = ('epochs', 'checkpoint_seconds', 'checkpoint_steps', 'checkpoints_kept')

# Runs of earlier versions lack these fields: they left out no days and varied nothing of the rig.
_BEFORE = {'held_out_days': 0, 'augment': []}


@dataclasses.dataclass(frozen=True)
class Run:
    """A run that is being trained.

    Attributes
    ----------
    places : its folders.
    config : its config.
    data : what it is trained and measured on.
    ensemble : the compiled ensemble.
    state : what a checkpoint saves besides the ensemble, and what changes during the run: ``step``, ``epoch`` (how
        many have ended), ``best`` validation loss and ``best_epoch`` of each member, ``dataset_fingerprint`` and
        ``init_from``, see ``ModelInfo``, and ``fingerprints``, see ``RunData``.
    """

    places: RunPlaces
    config: FrozenConfigDict
    data: RunData
    ensemble: keras.Model
    state: dict

    @property
    def workdir(self) -> str:
        """Its folder: all but, on Vertex AI, the checkpoints and the event files."""
        return self.places.workdir

    @property
    def steps_per_epoch(self) -> int:
        return self.config.examples_per_epoch // self.config.batch_size

    @property
    def finished(self) -> bool:
        """Whether all epochs have been made, or all members are stopped."""
        return self.state['epoch'] >= self.config.epochs or all(map(self.is_stopped, self.state['best']))

    def is_stopped(self, member: str) -> bool:
        """Tells whether a member has not improved for ``patience`` epochs."""
        return self.state['epoch'] - self.state['best_epoch'][member] >= self.config.patience

    def info(self) -> ModelInfo:
        """Returns the content of ``model_info.json``."""
        return describe_run(self.config, self.data.train, self.state, self.finished)


def reserve_workdir(places: RunPlaces, config: FrozenConfigDict, writes: bool) -> None:
    """Writes the config into the run's folder, or checks that an existing run has the same.

    Partial files of a killed process are removed.

    Parameters
    ----------
    places : the run's folders.
    config : the run's config.
    writes : whether this process is the one of several that writes.

    Raises
    ------
    UserError
        If the folder holds a run of another config, or cannot be written.
    """
    workdir = places.workdir
    path = os.path.join(workdir, _CONFIG_FILE)
    content = json.loads(json.dumps(config.to_dict()))
    # A run without a checkpoint, such as one that failed at once, may start again with another config.
    if os.path.exists(path) and checkpoints.list_steps(places.checkpoints):
        _check_same_config(path, content)
    if not writes:
        return
    members = os.path.join(workdir, MEMBERS_FOLDER)
    try:
        os.makedirs(members, exist_ok=True)
        for folder in (workdir, members):
            remove_left_behind(folder)
        checkpoints.remove_unfinished(places.checkpoints)
        write_json(path, content)
    except OSError as error:
        raise UserError(f'{workdir}: cannot be written: {error.strerror}') from None


def find_init_files(folder: str, config: FrozenConfigDict) -> dict[int, str]:
    """Returns the authors' file for each kernel size of a config; raises UserError if its networks are others."""
    if config.architecture != 'published':
        raise UserError(
            f'architecture {config.architecture}: the networks in {folder} take time and current;'
            ' give --config.architecture=published'
        )
    return published_models.find_files(folder, config.kernel_sizes)


def resume_run(
    places: RunPlaces, config: FrozenConfigDict, data_dir: str, data: RunData, init_files: dict[int, str]
) -> Run | None:
    """Returns the run that is in the folder, or None.

    Parameters
    ----------
    places : the run's folders.
    config : of the run.
    data_dir, data : what is trained and measured on.
    init_files : the authors' files that the run was to start from.

    Raises
    ------
    UserError
        If the run was trained on other data, or started from other files.
    ModelError
        If all of its checkpoints are damaged.
    """
    workdir = places.workdir
    resumed = checkpoints.load_newest(places.checkpoints)
    if not resumed:
        return None
    ensemble, state = resumed
    # Early versions saved the fingerprint of the training dataset alone.
    earlier = state.get('fingerprints') or {config.train_on: state['dataset_fingerprint']}
    for name, fingerprint in data.fingerprints.items():
        if earlier.get(name, fingerprint) != fingerprint:
            raise UserError(f'{workdir}: was trained on other data than the dataset {name} in {data_dir} is now')
    if init_files and published_models.describe_files(init_files) != state.get('init_from'):
        folder = os.path.dirname(next(iter(init_files.values())))
        raise UserError(f'{workdir}: holds a run that was not started from the files in {folder}')
    members = sorted(f'k{kernel_size}' for kernel_size in config.kernel_sizes)
    if sorted(state['best']) != members:
        raise UserError(f'{workdir}: its checkpoints are of the members {sorted(state["best"])}, expected {members}')
    state['fingerprints'] = data.fingerprints
    ensemble.jit_compile = uses_xla()  # the checkpoint may be of the other backend
    return Run(places, config, data, ensemble, state)


def start_run(places: RunPlaces, config: FrozenConfigDict, data: RunData, init_files: dict[int, str]) -> Run:
    """Returns a new run: its ensemble is untrained, or has the authors' weights."""
    precision = config.precision
    if init_files:
        keras.utils.set_random_seed(config.seed)  # of the dropout
        ensemble = join_members(
            [published_models.load_published_member(path, size, precision) for size, path in init_files.items()]
        )
    else:
        ensemble = build_ensemble(config.architecture, config.kernel_sizes, config.seed, precision)
    compile_ensemble(ensemble, precision, learning_rate_over_run(config))
    state = {
        'step': 0,
        'epoch': 0,
        'best': dict.fromkeys(ensemble.output_names, math.inf),
        'best_epoch': dict.fromkeys(ensemble.output_names, 0),
        'dataset_fingerprint': data.train.metadata.fingerprint,
        'fingerprints': data.fingerprints,
        'init_from': published_models.describe_files(init_files) or None,
    }
    return Run(places, config, data, ensemble, state)


def complete_run(workdir: str, info: ModelInfo, data: RunData, held_out: HeldOutDays | None) -> ModelInfo:
    """Writes what a finished run derives from its saved members, unless it exists already and can be used.

    Parameters
    ----------
    workdir : of a run that has ended.
    info : the content of ``model_info.json`` so far.
    data : the members are measured on its validation split, and their consensus is calibrated on those cells.
    held_out : if the members leave out days, the consensus is calibrated on the recorded cells too, each by the members
        that have not seen its day.

    Returns
    -------
    The content of ``model_info.json``, with ``validation``.

    Raises
    ------
    ModelError
        If a member is missing or damaged, or a file is not the one that the run ended with.
    UserError
        If a dataset has been replaced since it was opened, or a shard has changed.
    """
    if not exported_consensus.is_written(workdir):
        _write_outcome(workdir, info, data, held_out)
    elif not _has_usable_onnx(workdir, info):  # as in a run of another version
        manifest.check_files(workdir)
        manifest.remove(workdir)
        write_onnx(workdir, load_members(workdir, info))
    if not manifest.is_written(workdir):
        manifest.write(workdir)
    return model_info.read(workdir)


def _has_usable_onnx(workdir: str, info: ModelInfo) -> bool:
    try:
        onnx_ensemble.read_members(workdir, info)
    except ModelError:
        return False
    return True


def _check_same_config(path: str, config: dict) -> None:
    earlier = _BEFORE | read_typed(path, dict[str, Any])
    # The cosine schedule depends on the length of the run.
    free = [field for field in _FREE_FIELDS if field != 'epochs' or config['learning_rate_schedule'] == 'constant']
    for field, value in config.items():
        if field not in free and value != earlier.get(field):
            raise UserError(
                f'{os.path.dirname(path)}: holds a run with {field} {earlier.get(field)!r}, asked for {value!r};'
                ' use another --workdir'
            )


def _write_outcome(workdir: str, info: ModelInfo, data: RunData, held_out: HeldOutDays | None) -> None:
    members = load_members(workdir, info)
    ensemble = TrainedEnsemble(join_members(members), info)
    spikes = score_split(ensemble, data.validation)
    scores = {name: spikes.scores[:, [position]] for position, name in enumerate(ensemble.model.output_names)} | {
        'consensus': spikes.scores
    }
    validation = {name: _accuracy_and_auc(part, spikes.label) for name, part in scores.items()}
    held_out_cells = None
    if held_out:
        spikes = join_scores([score_split(ensemble, data.recorded), spikes])
        cell_names = data.recorded.cell_names
        held_out_cells = HeldOutCells(held_out.sees(cell_names), held_out.number_days(cell_names))
    fitted = calibrate(spikes.scores, spikes.label, spikes.cell, held_out_cells)
    of_firing = None
    if held_out_cells:
        trigger = np.concatenate([read_triggers(split) for split in (data.recorded, data.validation)])
        of_firing = _fit_firing(spikes, trigger, held_out_cells, fitted)
    seen = measure_training_range(data.recorded)
    # All that has been read since the first step is of the datasets that the run is said to be of.
    data.check_not_replaced()
    model_info.write(workdir, msgspec.structs.replace(info, validation=validation))
    calibration.write(workdir, fitted)
    if of_firing:
        firing.write(workdir, of_firing)
    training_range.write(workdir, seen)
    # Comes last: where it exists, everything else does but the manifest.
    exported_consensus.write_consensus(workdir, members)


def _fit_firing(
    spikes: SpikeScores, trigger: np.ndarray, held_out: HeldOutCells, fitted: Calibration
) -> firing.FiringModel | None:
    numbers, of_cells, label = consensus_of_cells(spikes.scores, spikes.label, spikes.cell, held_out)
    triggers = [trigger[spikes.cell == number] for number in numbers]
    return firing.fit_firing(fitted.apply(of_cells), label, held_out.day[numbers], triggers)


def _accuracy_and_auc(scores: np.ndarray, label: np.ndarray) -> dict[str, float | None]:
    metrics = binary_metrics(spike_p_ser(scores), label)
    return {name: None if math.isnan(metrics[name]) else metrics[name] for name in ('accuracy', 'auc')}
