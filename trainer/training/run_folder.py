"""The start of a run: its folder, and the ensemble that it begins or goes on with."""

from __future__ import annotations

import json
import math
import os

import keras

from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import write_json
from trainer.data.stored_dataset import StoredSplit
from trainer.models import published as published_models
from trainer.models.ensemble import build_ensemble, join_members, uses_xla
from trainer.models.trained import MEMBERS_FOLDER
from trainer.training import checkpoints
from trainer.training.optimization import compile_ensemble, learning_rate_over_run

_CONFIG_FILE = 'config.json'

# What may change when a run goes on: more epochs are a longer run, not another one.
_FREE = ('epochs', 'checkpoint_seconds', 'checkpoint_steps', 'checkpoints_kept')


def claim_workdir(workdir: str, config: dict, writes: bool) -> None:
    """Writes the config into the run's folder, or checks that the run that is there has the same.

    Parameters
    ----------
    workdir : the run's folder.
    config : the run's config.
    writes : whether this process is the one of several that writes.

    Raises
    ------
    UserError
        If the folder holds a run of another config, or cannot be written.
    """
    path = os.path.join(workdir, _CONFIG_FILE)
    content = json.loads(json.dumps(config))
    # A run without a checkpoint, such as one that failed at once, may begin again in another way.
    if os.path.exists(path) and checkpoints.list_steps(os.path.join(workdir, checkpoints.CHECKPOINTS_FOLDER)):
        with open(path, encoding='utf-8') as file:
            earlier = json.load(file)
        # Cosine depends on how long the run is to be.
        free = [field for field in _FREE if field != 'epochs' or content['learning_rate_schedule'] == 'constant']
        for field in content:
            if field not in free and content[field] != earlier.get(field):
                raise UserError(
                    f'{workdir}: holds a run with {field} {earlier.get(field)!r}, asked for {content[field]!r};'
                    ' use another --workdir'
                )
    if not writes:
        return
    try:
        os.makedirs(os.path.join(workdir, MEMBERS_FOLDER), exist_ok=True)
        write_json(path, content)
    except OSError as error:
        raise UserError(f'{workdir}: cannot be written: {error.strerror}') from None


def find_init_files(folder: str, config: dict) -> dict[int, str]:
    """Returns the authors' file for each kernel size of a config; raises UserError if its networks are others."""
    if config['architecture'] != 'published':
        raise UserError(
            f'architecture {config["architecture"]}: the networks in {folder} take time and current;'
            ' give --config.architecture=published'
        )
    return published_models.find_files(folder, config['kernel_sizes'])


def resume_run(
    workdir: str, data_dir: str, train_split: StoredSplit, init_from: str | None, init_files: dict[int, str]
) -> tuple[keras.Model, dict] | None:
    """Returns the ensemble and the state of the run that is there, or None.

    Parameters
    ----------
    workdir : the run's folder.
    data_dir, train_split : what is trained on.
    init_from, init_files : the folder with the authors' models that the run was to start from, and the files in it.

    Raises
    ------
    UserError
        If the run was trained on other data, or started from other files.
    ModelError
        If all of its checkpoints are damaged.
    """
    resumed = checkpoints.load_newest(os.path.join(workdir, checkpoints.CHECKPOINTS_FOLDER))
    if not resumed:
        return None
    ensemble, state = resumed
    if state['dataset_fingerprint'] != train_split.metadata['fingerprint']:
        raise UserError(f'{workdir}: was trained on other data than {train_split.name} in {data_dir} holds now')
    if init_files and published_models.describe_files(init_files) != state.get('init_from'):
        raise UserError(f'{workdir}: holds a run that was not started from the files in {init_from}')
    ensemble.jit_compile = uses_xla()  # the checkpoint may be of the other backend
    return ensemble, state


def start_run(config: dict, train_split: StoredSplit, init_files: dict[int, str]) -> tuple[keras.Model, dict]:
    """Returns an untrained ensemble, or one with the authors' weights, and the state of a run that begins."""
    precision = config['precision']
    if init_files:
        keras.utils.set_random_seed(config['seed'])  # of the dropout
        ensemble = join_members(
            [published_models.load_published_member(path, size, precision) for size, path in init_files.items()]
        )
    else:
        ensemble = build_ensemble(config['architecture'], config['kernel_sizes'], config['seed'], precision)
    compile_ensemble(ensemble, precision, learning_rate_over_run(config))
    return ensemble, {
        'step': 0,
        'epoch': 0,
        'best': dict.fromkeys(ensemble.output_names, math.inf),
        'best_epoch': dict.fromkeys(ensemble.output_names, 0),
        'dataset_fingerprint': train_split.metadata['fingerprint'],
        'init_from': published_models.describe_files(init_files) or None,
    }
