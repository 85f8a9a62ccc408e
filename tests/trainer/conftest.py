"""Shared by the tests of the trainer: shards of plain spikes, a tiny run on recorded spikes, the authors' models."""

import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from beam_pipelines.datasets import record_layout
from tests.support.authors_models import write_authors_models
from tests.support.commands import run_command
from tests.support.finished_run import copy_finished_run
from tests.support.made_once import made_once
from tests.support.training_runs import TINY_RUN, train_arguments
from trainer.data.stored_dataset import Shard, StoredSplit


@pytest.fixture
def make_split(tmp_path) -> Callable[[Sequence[int], np.ndarray, np.ndarray, np.ndarray], StoredSplit]:
    """Returns a function that writes spikes into shards of the given lengths and returns the split."""

    def write(lengths, waveform, label, cell) -> StoredSplit:
        assert sum(lengths) == len(label)
        number = np.arange(len(label))
        rows = record_layout.encode_records(waveform, label, cell, 1000 + number, number)
        shards = []
        for index, rows_of_shard in enumerate(np.split(rows, np.cumsum(lengths)[:-1])):
            path = tmp_path / f'shard-{index}'
            path.write_bytes(rows_of_shard.tobytes())
            shards.append(Shard(str(path), len(rows_of_shard)))
        return StoredSplit('original/train', str(tmp_path), tuple(shards), (), {})

    return write


@pytest.fixture(scope='session')
def finished_run(tmp_path_factory, worker_id) -> pathlib.Path:
    """The folder of a finished run with `consensus.onnx`, which is not trained here. Read only."""
    return made_once(tmp_path_factory, worker_id, 'finished', lambda folder: copy_finished_run(folder / 'run')) / 'run'


@pytest.fixture(scope='session')
def original_run(data_dir, tmp_path_factory, worker_id) -> pathlib.Path:
    """The folder of a finished run of one member on `original`, with the published network: to compare with."""
    config = TINY_RUN | {
        'train_on': 'original',
        'architecture': 'published',
        'kernel_sizes': (4,),
        'batch_size': 8,
        'examples_per_epoch': 64,
        'epochs': 2,
    }

    def make(folder: pathlib.Path) -> None:
        result = run_command('sero-train', *train_arguments(config, data_dir, folder / 'run'))
        assert result.returncode == 0, result.stderr

    return made_once(tmp_path_factory, worker_id, 'original', make) / 'run'


@pytest.fixture(scope='session')
def authors_files(tmp_path_factory, worker_id) -> pathlib.Path:
    """Files such as the authors', written by Keras 2: kernel sizes 4 (three chunks) and 6, and two other networks.

    `spikes.npy` holds (n, 160) pA, and `scores.npz` what Keras 2 computes of them. Copy it to change it.
    """
    return made_once(tmp_path_factory, worker_id, 'authors', write_authors_models)
