"""Tiny runs of sero-train: their config, their arguments, their curves."""

import pathlib

from tests.support.places import ROOT

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
    'held_out_days': 0,
    'augment': (),
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


def logged(workdir: pathlib.Path, name: str) -> dict[int, float]:
    """Returns one curve that TensorBoard shows: step -> value."""
    # Imported here, because the other tests need no TensorFlow.
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(workdir / 'tensorboard'), size_guidance={'tensors': 0})
    events.Reload()
    return {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(name)}


def train(config: dict, data_dir: str, workdir: str, strategy=None, **options: bool | str) -> dict:
    """Trains in this process; the options are those of ``TrainingOptions``."""
    from trainer.config import check_config
    from trainer.training import loop

    return loop.train(check_config(config), data_dir, workdir, loop.TrainingOptions(**options), strategy)
