"""Checks a config before anything is done with it."""

from __future__ import annotations

import math

from beam_pipelines.errors import UserError
from trainer.config_fields import check_fields
from trainer.models.architectures import PRECISIONS, check_member
from trainer.training.optimization import SCHEDULES

_LARGEST = (1 << 31) - 1


def check_config(config: dict) -> None:
    """Raises UserError if a field of a config is missing or cannot be used; names it and its value."""
    check_fields(config)
    kernel_sizes = config['kernel_sizes']
    if not kernel_sizes:
        raise UserError('kernel_sizes is empty; give at least one kernel size')
    if len(set(kernel_sizes)) < len(kernel_sizes):
        raise UserError(f'kernel_sizes {tuple(kernel_sizes)}: each can be there only once')
    for kernel_size in kernel_sizes:
        check_member(config['architecture'], kernel_size)
    if config['precision'] not in PRECISIONS:
        raise UserError(f'precision {config["precision"]!r}: expected one of {", ".join(PRECISIONS)}')
    if config['input'] not in ('tfrecord', 'online', 'tfds'):
        raise UserError(f'input {config["input"]!r}: expected tfrecord, online or tfds')
    for field in ('batch_size', 'examples_per_epoch', 'epochs', 'patience', 'checkpoints_kept'):
        if not 1 <= config[field] <= _LARGEST:
            raise UserError(f'{field} {config[field]}: must be 1..{_LARGEST}')
    if not 0 <= config['seed'] < 1 << 32:
        raise UserError(f'seed {config["seed"]}: must be 0..{(1 << 32) - 1}')
    if config['learning_rate_schedule'] not in SCHEDULES:
        raise UserError(
            f'learning_rate_schedule {config["learning_rate_schedule"]!r}: expected one of {", ".join(SCHEDULES)}'
        )
    if not 0 < config['learning_rate'] < math.inf:
        raise UserError(f'learning_rate {config["learning_rate"]}: must be more than 0')
    for field in ('checkpoint_seconds', 'checkpoint_steps'):
        if not config[field] >= 0:
            raise UserError(f'{field} {config[field]}: must be 0 or more')
    if config['examples_per_epoch'] < config['batch_size']:
        raise UserError(
            f'examples_per_epoch {config["examples_per_epoch"]} is less than one batch, batch_size'
            f' {config["batch_size"]}'
        )
