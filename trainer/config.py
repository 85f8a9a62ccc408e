"""The config of an experiment: the flag ``--config``, and the allowed values of its fields.

The fields are those of ``trainer/configs/default.py``, all of them, with the same types.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from absl import app, flags

from beam_pipelines import domain
from beam_pipelines.errors import UsageError, UserError

if TYPE_CHECKING:
    from ml_collections import ConfigDict, FrozenConfigDict

ARCHITECTURES = ('cnn', 'published')
PRECISIONS = ('float32', 'mixed_bfloat16', 'mixed_float16')
SCHEDULES = ('constant', 'cosine')
AUGMENTATIONS = ('low_pass', 'gain', 'jitter', 'hum', 'baseline')

_COUNTS = ('batch_size', 'examples_per_epoch', 'epochs', 'patience', 'checkpoints_kept')
_LARGEST_COUNT = (1 << 31) - 1
_LARGEST_SEED = (1 << 32) - 1

_EXPECTED = {
    int: 'a whole number',
    float: 'a number',
    str: 'a string',
    bool: 'True or False',
}
_EXPECTED_IN_TUPLES = {
    'kernel_sizes': 'whole numbers such as 20,25,30',
    'augment': f'() or names out of {",".join(AUGMENTATIONS)}',
}


def define_config_flag() -> None:
    """Defines ``--config`` and a flag ``--config.FIELD`` for each field."""
    from ml_collections import config_flags

    fields = ', '.join(f'{field} ({value!r})' for field, value in _defaults().items())
    config_flags.DEFINE_config_file(
        'config',
        None,
        'Experiment, such as trainer/configs/demo.py. Its fields, each a flag such as --config.seed=1, and their values'
        f' in default.py: {fields}.',
        lock_config=True,
    )


def parse_flags(argv: list[str]) -> list[str]:
    """Parses flags; raises UsageError for a mistake in the config or in one of its fields."""
    try:
        for argument in argv:
            if match := re.match(r'--?config\.([^=]*)', argument):
                _check_name(match[1])
        return flags.FLAGS(argv)
    except flags.Error as error:
        match = re.match(r'flag --(config\.(\w+)=.*?): ', str(error))
        if match:
            raise UsageError(f'--{match[1]}: expected {_expected(match[2])}') from None
        if 'parsing config file' in str(error):
            raise _config_error(error) from None
        return app.parse_flags_with_usage(argv)  # reports the mistake as all commands do
    except Exception as error:  # A config is a program, and may raise anything.
        raise _config_error(error) from None


def read_config() -> FrozenConfigDict | None:
    """Returns the config that ``--config`` names, or None if the flag was not given.

    Raises
    ------
    UsageError
        If the config is broken.
    UserError
        If a field has a value that cannot be used.
    """
    config = flags.FLAGS.config
    if config is None:
        return None
    try:
        # For a missing file ml_collections returns a placeholder that raises on access.
        if not hasattr(config, 'to_dict'):
            raise UserError(f'get_config() returned a {type(config).__name__}, expected an ml_collections.ConfigDict')
        _check_fields(config)
    except Exception as error:  # A config is a program, and may raise anything.
        raise _config_error(error) from None
    return check_config(config)


def check_config(config: ConfigDict | Mapping) -> FrozenConfigDict:
    """Returns the config, checked and frozen.

    Raises
    ------
    UserError
        If a field is unknown, missing, of another type than in ``default.py``, or has a value that cannot be used;
        names the field and its value.
    """
    from ml_collections import FrozenConfigDict

    _check_fields(config)
    # The flag --config.augment=hum,gain gives one name, 'hum,gain'.
    augment = tuple(name.strip() for names in config['augment'] for name in names.split(',') if name.strip())
    checked = FrozenConfigDict({**dict(config), 'augment': augment})
    _check_kernel_sizes(checked)
    _check_choices(checked)
    for field in _COUNTS:
        if not 1 <= checked[field] <= _LARGEST_COUNT:
            raise UserError(f'{field} {checked[field]}: must be 1..{_LARGEST_COUNT}')
    if not 0 <= checked.seed <= _LARGEST_SEED:
        raise UserError(f'seed {checked.seed}: must be 0..{_LARGEST_SEED}')
    if not 0 < checked.learning_rate < math.inf:
        raise UserError(f'learning_rate {checked.learning_rate}: must be more than 0')
    for field in ('checkpoint_seconds', 'checkpoint_steps'):
        if not checked[field] >= 0:  # nor NaN
            raise UserError(f'{field} {checked[field]}: must be 0 or more')
    if checked.examples_per_epoch < checked.batch_size:
        raise UserError(
            f'examples_per_epoch {checked.examples_per_epoch} is less than one batch, batch_size {checked.batch_size}'
        )
    return checked


def check_member(architecture: str, kernel_size: int) -> None:
    """Raises UserError if there is no such member, see ``models.architectures.build_member``."""
    if architecture not in ARCHITECTURES:
        raise UserError(f'architecture {architecture!r}: expected one of {", ".join(ARCHITECTURES)}')
    if _flat_samples(kernel_size) < 1:
        raise UserError(f'kernel_size {kernel_size}: must be 1..53, or nothing is left of 160 samples')


def _check_kernel_sizes(config: FrozenConfigDict) -> None:
    if not config.kernel_sizes:
        raise UserError('kernel_sizes is empty; give at least one kernel size')
    if len(set(config.kernel_sizes)) < len(config.kernel_sizes):
        raise UserError(f'kernel_sizes {config.kernel_sizes}: each can be there only once')
    for kernel_size in config.kernel_sizes:
        check_member(config.architecture, kernel_size)


def _check_choices(config: FrozenConfigDict) -> None:
    for field, values in (('precision', PRECISIONS), ('learning_rate_schedule', SCHEDULES)):
        if config[field] not in values:
            raise UserError(f'{field} {config[field]!r}: expected one of {", ".join(values)}')
    if unknown := set(config.augment) - set(AUGMENTATIONS):
        raise UserError(f'augment {min(unknown)!r}: expected {_expected("augment")}')
    if len(set(config.augment)) < len(config.augment):
        raise UserError(f'augment {config.augment}: each can be there only once')
    if config.held_out_days < 0 or config.held_out_days == 1:
        raise UserError(f'held_out_days {config.held_out_days}: must be 0 (no days are held out), or 2 or more groups')
    if config.input not in ('tfrecord', 'online', 'tfds'):
        raise UserError(f'input {config.input!r}: expected tfrecord, online or tfds')


def _flat_samples(kernel_size: int) -> int:
    """Returns how many samples of a spike are left after both convolutions and poolings."""
    if kernel_size < 1:
        return 0
    after_first = (domain.SPIKE_SAMPLES - kernel_size + 1) // 2
    return (after_first - kernel_size + 1) // 2


def _defaults() -> ConfigDict:
    # Imported here, because model_info.json is read without ml_collections, which takes as long as NumPy.
    from trainer.configs import default

    return default.get_config()


def _check_fields(config: ConfigDict | Mapping) -> None:
    """Raises UserError if a field is unknown, missing or of another type than in ``default.py``; names it."""
    for field in config:
        _check_name(field)
    for field, usual in _defaults().items():
        if field not in config:
            raise UserError(f'field {field} is missing; trainer/configs/default.py has all fields')
        if not _is_like(config[field], usual):
            raise UserError(f'{field} {config[field]!r}: expected {_expected(field)}')


def _check_name(field: str) -> None:
    defaults = _defaults()
    try:
        defaults[field]
    except KeyError as error:
        hint = str(error.args[0]).partition('\n')[2] or f'There are {", ".join(defaults)}.'
        raise UserError(f'no field {field!r}. {hint}') from None


def _expected(field: str) -> str:
    return _EXPECTED_IN_TUPLES.get(field) or _EXPECTED[type(_defaults()[field])]


def _is_like(value: object, usual: object) -> bool:
    if isinstance(usual, tuple):
        return isinstance(value, (list, tuple)) and all(type(element) is type(usual[0]) for element in value)
    return type(value) is type(usual) or (type(value) is int and isinstance(usual, float))


def _config_error(error: Exception) -> UsageError:
    cause = error.__cause__ if isinstance(error, OSError) and error.__cause__ else error
    if isinstance(cause, OSError) and cause.filename:
        return UsageError(f'--config: {cause.filename}: {cause.strerror}')
    # ml_collections reports over several lines; the last one says what went wrong.
    said = str(error).strip().splitlines() or [type(error).__name__]
    return UsageError(f'--config: {said[-1].strip()}')
