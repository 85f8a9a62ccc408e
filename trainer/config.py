"""The flag ``--config`` of the commands that train, and what is wrong with it in one line."""

from __future__ import annotations

import os
import sys

from absl import app, flags
from ml_collections import config_flags

from beam_pipelines.errors import UserError
from trainer.config_fields import as_dict, check_arguments, explain_value


def define_config_flag() -> None:
    config_flags.DEFINE_config_file('config', None, 'Experiment, such as trainer/configs/demo.py.', lock_config=True)


def read_config() -> dict | None:
    """Returns the fields of the config, or None if there is none; ends the program with status 2 if it is broken."""
    if flags.FLAGS.config is None:
        return None
    try:
        return as_dict(flags.FLAGS.config)
    except (OSError, SyntaxError, UserError, ValueError) as error:
        _end_for_config(error)


def parse_flags(argv: list[str]) -> list[str]:
    """Parses flags; what is wrong with the config or one of its fields is one line."""
    try:
        check_arguments(argv)
        return flags.FLAGS(argv)
    except (SyntaxError, UserError, ValueError) as error:
        _end_for_config(error)
    except flags.Error as error:
        explained = explain_value(str(error))
        if explained:
            _end(explained)
        if 'parsing config file' in str(error):
            _end_for_config(error)
        return app.parse_flags_with_usage(argv)  # says what is wrong as all commands do


def _end_for_config(error: Exception) -> None:
    # ml_collections reports over several lines; the last says what went wrong.
    _end(f'--config: {str(error).strip().splitlines()[-1].strip()}')


def _end(message: str) -> None:
    print(f'{os.path.basename(sys.argv[0])}: {message}', file=sys.stderr)
    sys.exit(2)
