"""No flag of a command went missing, and none has another default."""

import json
import xml.etree.ElementTree

import pytest

from tests.integration.frozen_files import FROZEN, run

_FLAGS = json.loads((FROZEN / 'flags.json').read_text())


def flags_of(program: str) -> dict[str, str]:
    """Returns the default of each flag that a program's ``--help`` shows, by name."""
    # absl ends with 1 after --helpxml.
    tree = xml.etree.ElementTree.fromstring(run(program, '--helpxml').stdout)
    key_flags = [flag for flag in tree.iter('flag') if flag.findtext('key') == 'yes']
    return {flag.findtext('name'): flag.findtext('default') or '' for flag in key_flags}


@pytest.mark.parametrize('program', list(_FLAGS))
def test_flags_and_defaults_are_those_of_before(program):
    now = flags_of(program)
    assert {name: now.get(name) for name in _FLAGS[program]} == _FLAGS[program]
