"""Shared by the tests of the trainer: spikes of two plain classes, shards made of them, tiny runs of sero-train."""

import pathlib
import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from tests.conftest import ROOT, run_command
from trainer.config import check_config
from trainer.data.stored_dataset import Shard, StoredSplit

CONFIG_FILE = ROOT / 'trainer' / 'configs' / 'default.py'

# Large enough that a run can be killed between two checkpoints, small enough for some seconds.
TINY_RUN = {
    'train_on': 'synthetic_small',
    'input': 'tfrecord',
    'architecture': 'cnn',
    'kernel_sizes': (5, 8),
    'batch_size': 32,
    'learning_rate': 1e-3,
    'learning_rate_schedule': 'constant',
    'examples_per_epoch': 1_500,
    'epochs': 3,
    'patience': 10,
    'precision': 'float32',
    'checkpoint_seconds': 300.0,
    'checkpoint_steps': 0,
    'checkpoints_kept': 2,
    'seed': 7,
}


def train_arguments(config: dict, data_dir: pathlib.Path, workdir: pathlib.Path) -> list[str]:
    """Returns the arguments of sero-train for a config."""
    fields = [f'--config.{field}={value}' for field, value in config.items()]
    return ['--config', str(CONFIG_FILE), *fields, '--data_dir', str(data_dir), '--workdir', str(workdir)]


def train(config: dict, data_dir: str, workdir: str, strategy=None, **options: bool | str) -> dict:
    """Trains in this process; the options are those of ``TrainingOptions``."""
    from trainer.training import loop  # imports Keras, which not every test needs

    return loop.train(check_config(config), data_dir, workdir, loop.TrainingOptions(**options), strategy)


def logged(workdir: pathlib.Path, name: str) -> dict[int, float]:
    """Returns one curve that TensorBoard shows: step -> value."""
    events = EventAccumulator(str(workdir / 'tensorboard'), size_guidance={'tensors': 0})
    events.Reload()
    return {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(name)}


def make_spikes(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns (n, 160) float32 in pA and (n,) labels; NSER spikes are half as wide as SER spikes."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, len(domain.LABEL_NAMES), count)
    time_ms = (np.arange(domain.SPIKE_SAMPLES) - domain.SAMPLES_BEFORE_TRIGGER) / 40
    width_ms = np.where(label == 0, 0.3, 0.15)[:, np.newaxis]
    waveform = -80 * np.exp(-0.5 * (time_ms / width_ms) ** 2) + rng.normal(0, 3, (count, domain.SPIKE_SAMPLES))
    return waveform.astype(np.float32), label


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
def synthetic_run(data_dir, tmp_path_factory) -> tuple[pathlib.Path, subprocess.CompletedProcess]:
    """A finished, undisturbed run on `synthetic_small`: its folder and what sero-train said. Copy it to change it."""
    workdir = tmp_path_factory.mktemp('synthetic') / 'run'
    result = run_command('sero-train', *train_arguments(TINY_RUN, data_dir, workdir))
    assert result.returncode == 0, result.stderr
    return workdir, result


@pytest.fixture(scope='session')
def original_run(data_dir, tmp_path_factory) -> tuple[pathlib.Path, subprocess.CompletedProcess]:
    """A finished run of one member on `original`, with the published network: a baseline to compare with."""
    workdir = tmp_path_factory.mktemp('original') / 'run'
    config = TINY_RUN | {
        'train_on': 'original',
        'architecture': 'published',
        'kernel_sizes': (4,),
        'batch_size': 8,
        'examples_per_epoch': 64,
        'epochs': 2,
    }
    result = run_command('sero-train', *train_arguments(config, data_dir, workdir))
    assert result.returncode == 0, result.stderr
    return workdir, result


# Run by itself: Keras 2 and 3 cannot work side by side in one process.
_AUTHORS_PROGRAM = """
import os, sys
import numpy as np
import tf_keras as keras

def layers(kernel_size, dense=2):
    return [
        keras.layers.LayerNormalization(axis=1),
        keras.layers.Conv2D(32, (kernel_size, 1), activation='relu'),
        keras.layers.MaxPooling2D((2, 1)),
        keras.layers.Conv2D(64, (kernel_size, 1), activation='relu'),
        keras.layers.MaxPooling2D((2, 2)),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(dense, activation='sigmoid'),
    ]

def sequential(layers):
    return keras.Sequential([keras.Input((160, 2, 1)), *layers])

def functional(layers):
    outputs = inputs = keras.Input((160, 2, 1))
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)

os.chdir(sys.argv[1])
keras.utils.set_random_seed(1)
models = {
    'ModConvBinNormN4': sequential(layers(4)),
    'ModConvBinNormN4-v9': sequential(layers(4)),
    'ModConvBinNormN4-v10': sequential(layers(4)),
    'ModConvBinNormN6': functional(layers(6)),
    'three_outputs': sequential(layers(4, dense=3)),
    'lambda': sequential([*layers(4)[:2], keras.layers.Lambda(lambda x: (open('ran', 'w'), x)[1]), *layers(4)[3:]]),
}
spikes = np.load('spikes.npy')
with_time = np.stack([np.broadcast_to(np.arange(160, dtype=np.float32) / 40_000, spikes.shape), spikes], -1)[..., None]
scores = {}
for name, model in models.items():
    model.compile('adam', 'binary_crossentropy')
    if name.startswith('Mod'):
        labels = np.eye(2)[np.arange(len(spikes)) % 2]
        model.fit(with_time, labels, epochs=2, verbose=0)
        scores[name] = model(with_time, training=False).numpy()
    model.save(name + '.keras')
np.savez('scores.npz', **scores)
"""


@pytest.fixture(scope='session')
def authors_files(tmp_path_factory) -> pathlib.Path:
    """Files such as the authors', written by Keras 2: kernel sizes 4 (three chunks) and 6, and two other networks.

    `spikes.npy` holds (n, 160) pA, and `scores.npz` what Keras 2 computes of them. Copy it to change it.
    """
    folder = tmp_path_factory.mktemp('authors')
    np.save(folder / 'spikes.npy', make_spikes(20)[0])
    result = subprocess.run(
        [sys.executable, '-c', _AUTHORS_PROGRAM, str(folder)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    (folder / 'ran').unlink(missing_ok=True)
    return folder
