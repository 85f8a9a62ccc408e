import pytest

from tests.support.commands import MODULES, help_of


@pytest.mark.parametrize('command', MODULES)
def test_help_is_there_in_half_a_second_with_an_example(command):
    assert f'    {command} ' in help_of(command)
