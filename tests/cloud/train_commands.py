"""Whether a command line of a file in cloud/ is one of sero-train."""

import functools
from collections.abc import Sequence

from tests.integration.frozen_flags_test import flags_of
from tests.support.places import ROOT
from trainer.configs import default


@functools.cache
def _flags() -> frozenset[str]:
    return frozenset(flags_of('sero-train'))


def assert_is_sero_train(command: Sequence[str]) -> None:
    """Asserts that a command has flags and config fields that exist, and a config file that is in the repository."""
    program, *arguments = command
    assert program == 'sero-train'
    fields = default.get_config()
    for argument in arguments:
        name, is_given, value = argument.removeprefix('--').partition('=')
        assert argument.startswith('--') and is_given, argument
        owner, _, field = name.partition('.')
        assert owner in _flags(), argument
        assert not field or field in fields, argument
        assert name != 'config' or (ROOT / value).is_file(), argument
    names = {argument.partition('=')[0] for argument in arguments}
    assert {'--config', '--data_dir'} <= names
