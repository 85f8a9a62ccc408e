"""The commands of gcloud in docs/cloud.md and in the headers of files, by the flags of its reference."""

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.support import gcloud_stand_in
from tests.support.places import ROOT

_CHECKED = ('ai custom-jobs create', 'dataflow flex-template build')
_PAGES = [ROOT / 'docs' / 'cloud.md', *sorted((ROOT / 'cloud' / 'vertex').iterdir())]


def _commands() -> Iterator[list[str]]:
    for page in _PAGES:
        text = page.read_text().replace('\\\n', ' ')
        for line in re.findall(rf'^(?:#)? +gcloud ((?:{"|".join(_CHECKED)}) .*)$', text, re.MULTILINE):
            yield shlex.split(line)


@pytest.mark.parametrize('command', list(_commands()), ids=lambda command: ' '.join(command[:3]))
def test_a_command_has_flags_that_gcloud_knows_and_files_that_exist(command):
    flags = gcloud_stand_in.parse(command)[2]
    for flag in ('config', 'metadata-file'):
        assert flag not in flags or (ROOT / str(flags[flag])).is_file()
    for number, argument in enumerate(command):
        if argument.startswith('--'):
            changed = argument.replace('=', 'x=', 1)
            with pytest.raises(SystemExit):
                gcloud_stand_in.parse([*command[:number], changed, *command[number + 1 :]])
                pytest.fail(f'{argument} may be misspelt')


def test_each_file_of_vertex_ai_and_the_template_have_their_command():
    configs = {gcloud_stand_in.parse(command)[2].get('config') for command in _commands()}
    assert configs >= {str(path.relative_to(ROOT)) for path in _PAGES[1:]}
    assert {command[0] for command in _commands()} == {'ai', 'dataflow'}
