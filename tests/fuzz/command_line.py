"""Fields of the config as they are given to ``sero-train``: ``--config.FIELD=VALUE``."""

from __future__ import annotations

import contextlib
import io
import pathlib
import random
import sys
from collections.abc import Iterator
from unittest import mock

from absl import flags

from beam_pipelines.errors import UserError
from tests.fuzz.mutation import mutate
from tests.fuzz.target import REFUSED, USED, Execute, Target
from tests.support.training_runs import CONFIG_FILE, TINY_RUN
from trainer.config import define_config_flag, parse_flags, read_config

_NUMBERS = '0 1 -1 2 53 54 1e3 1e400 -1e400 nan inf 0x10 1_000 ١ 1.5 2147483648 4294967296 9223372036854775808'.split()
_WORDS = 'True None cnn published cosine hum,gain hum,hum = " \' \\ ü () (5,) 5,8 5,5 (5,8 [5] {} {5:8} ...'.split()
_ODD = ('', ' ', 'a\nb', '\x1b[2J', '\0', '\ud800', "('hum',)", "__import__('os')")
_HUGE = ('10' * 300, '(' * 300, '(' * 5000, '-' * 5000 + '1')
_VALUES = (*_NUMBERS, *_WORDS, *_ODD, *_HUGE)
_NAMES = ('', 'seeds', 'seed.x', 'epochs.', '__class__', 'lock', 'kernel_sizes[0]', 'a b', '\n', 'é', 'config', 'seed[')


def _argument(chance: random.Random) -> str:
    name = chance.choice(list(TINY_RUN)) if chance.random() < 0.95 else chance.choice(_NAMES)
    value = chance.choice((chance.choice(_VALUES), str(TINY_RUN.get(name, 1))))
    if chance.random() < 1 / 4:
        value = mutate(value.encode(errors='surrogatepass'), chance).decode(errors='surrogateescape')
    dashes, equals = chance.choice(('--',) * 30 + ('-', '--no')), chance.choice(('=',) * 30 + ('', ' '))
    return f'{dashes}config.{name}{equals}{value}'


def _prepare(folder: pathlib.Path) -> Execute:
    def execute(chance: random.Random) -> str:
        fields = [_argument(chance) for _ in range(chance.choice((1, 1, 2, 4)))]
        arguments = ['sero-train', '--config', str(CONFIG_FILE), *fields]
        said = io.StringIO()
        # ml_collections looks for fields in sys.argv, and defines a flag for each.
        with mock.patch.object(sys, 'argv', arguments), contextlib.redirect_stderr(said), _flags_removed():
            try:
                define_config_flag()
                parse_flags(arguments)
                read_config()
            except UserError as error:
                _check_line(str(error))
                return REFUSED
            except SystemExit:  # absl's own words about a mistake that is not in a field
                assert 'Flags parsing error:' in said.getvalue(), said.getvalue()
                return REFUSED
        return USED

    return execute


def _check_line(line: str) -> None:
    assert len(line.splitlines()) == 1 and len(line) <= 2_000, f'{line!r:.2000}'
    assert 'config' in line or any(field.rstrip('s') in line for field in TINY_RUN), line


@contextlib.contextmanager
def _flags_removed() -> Iterator[None]:
    """Removes the flags afterwards that the block has defined."""
    before = set(flags.FLAGS)
    try:
        yield
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
        flags.FLAGS.unparse_flags()


TARGETS = (Target('config_fields', _prepare),)
