"""The fields of a config: those of ``trainer/configs/default.py``, all of them, each of its type."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import ml_collections

from beam_pipelines.errors import UserError
from trainer.configs import default

_EXPECTED = {
    int: 'a whole number',
    float: 'a number',
    str: 'a string',
    bool: 'True or False',
    tuple: 'whole numbers such as 20,25,30',
}


def as_dict(config: ml_collections.ConfigDict) -> dict:
    """Returns the fields of a user's config; UserError if they cannot be used, OSError if there is no such file."""
    # Not by its type: for a file that is not there ml_collections has a stand-in, which raises when it is touched.
    if not hasattr(config, 'to_dict'):
        raise UserError(f'get_config() returned a {type(config).__name__}, expected an ml_collections.ConfigDict')
    fields = config.to_dict()
    check_fields(fields)
    return fields


def check_fields(config: dict) -> None:
    """Raises UserError if a field is unknown, missing or of another type than in ``default.py``; names it."""
    defaults = default.get_config().to_dict()
    for field in config:
        _check_name(field, defaults)
    for field, usual in defaults.items():
        if field not in config:
            raise UserError(f'field {field} is missing; trainer/configs/default.py has all fields')
        if not _is_like(config[field], usual):
            raise UserError(f'{field} {config[field]!r}: expected {_EXPECTED[type(usual)]}')


def check_arguments(argv: Sequence[str]) -> None:
    """Raises UserError if arguments such as ``--config.batch_size=64`` name a field that is not there."""
    for argument in argv:
        if match := re.match(r'--?config\.([^=]*)', argument):
            _check_name(match[1], default.get_config())


def explain_value(error: str) -> str | None:
    """Says what a field of the command line should have been, of absl's error; None if it is about another flag."""
    match = re.match(r'flag --(config\.(\w+)=.*?): ', error)
    return match and f'--{match[1]}: expected {_EXPECTED[type(default.get_config()[match[2]])]}'


def _check_name(field: str, known: Sequence[str]) -> None:
    if field not in known:
        nearest = difflib.get_close_matches(field, known, n=1)
        hint = f'did you mean {nearest[0]}?' if nearest else f'there are {", ".join(known)}'
        raise UserError(f'no field {field!r}; {hint}')


def _is_like(value: object, usual: object) -> bool:
    if isinstance(usual, tuple):
        return isinstance(value, (list, tuple)) and all(type(element) is int for element in value)
    return type(value) is type(usual) or (type(value) is int and isinstance(usual, float))
