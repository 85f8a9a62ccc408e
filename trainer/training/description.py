"""Describes a run: what is trained on, with which parameters, by which versions."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ml_collections import FrozenConfigDict

import beam_pipelines
from trainer.data.stored_dataset import StoredSplit
from trainer.models.model_info import ModelInfo


def describe_run(config: FrozenConfigDict, train: StoredSplit, state: Mapping[str, Any], finished: bool) -> ModelInfo:
    """Returns what there is to tell about a model that is being trained.

    Parameters
    ----------
    config : the run's config.
    train : the split that it is trained on.
    state : the run's state, see ``run_folder.Run``.
    finished : whether the training has ended.
    """
    return ModelInfo(
        source=train.metadata.source,
        protocol=train.metadata.protocol,
        trained_on=config.train_on,
        architecture=config.architecture,
        kernel_sizes=tuple(config.kernel_sizes),
        members=tuple(sorted(state['best'])),
        examples_seen=state['step'] * config.batch_size,
        train_cells=tuple(sorted(train.train_cells)),
        cutting=train.metadata.cutting,
        finished=finished,
        epochs=state['epoch'],
        best_epoch=state['best_epoch'],
        validation_loss=state['best'],
        init_from=state.get('init_from'),
        dataset_fingerprint=train.metadata.fingerprint,
        config=config.to_dict(),
        versions={
            'sero_spikes': beam_pipelines.__version__,
            'keras': keras.__version__,
            'backend': keras.backend.backend(),
            'tensorflow': tf.__version__,
            'numpy': np.__version__,
            'python': platform.python_version(),
        },
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
    )
