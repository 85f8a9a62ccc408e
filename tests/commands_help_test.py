"""Every command shows its help at once: before it loads any library that takes long."""

import pathlib
import re
import subprocess
import sys

import pytest

from tests.support.commands import MODULES, help_of
from trainer.configs import default

# Without them each command shows its help in less than half a second on a machine that does nothing else.
_SLOW = {'apache_beam', 'jax', 'keras', 'matplotlib', 'numba', 'pandas', 'scipy', 'sklearn', 'tensorflow', 'torch'}


@pytest.mark.parametrize('command', MODULES)
def test_help_has_an_example_and_loads_nothing_slow(command):
    program = pathlib.Path(sys.executable).parent / command
    result = subprocess.run(
        [sys.executable, '-X', 'importtime', program, '--help'], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert f'    {command} ' in result.stdout
    loaded = set(re.findall(r'^import time:.*\| +(\w+)', result.stderr, re.MULTILINE))
    assert 'absl' in loaded and not loaded & _SLOW


def test_the_help_of_training_has_each_field_of_a_config():
    shown = ' '.join(help_of('sero-train').split())  # absl breaks lines anywhere
    for field in default.get_config():
        assert f'{field} (' in shown
