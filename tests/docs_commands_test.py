"""Each command in a block of code of README.md, CONTRIBUTING.md and docs/ is one that the program takes."""

import importlib.util
import json
import re
import subprocess
import sys

import pytest

from scripts.reference import COMMANDS
from tests.support.documented_commands import PAGES, Command, commands_of
from tests.support.places import ROOT

_COMMANDS = [command for page in PAGES for command in commands_of(page)]
# A page may name a variable of the shell around a command; the parser is not asked about its value.
_WITH_SHELL = re.compile(r'\$')


def _of(program: str) -> list[Command]:
    return [command for command in _COMMANDS if command.program == program]


@pytest.mark.parametrize('program', COMMANDS)
def test_the_parser_of_a_command_takes_what_the_pages_say(program):
    commands = [command for command in _of(program) if not any(map(_WITH_SHELL.search, command.words))]
    assert commands, 'no page shows this command'
    # What follows -- is Beam's.
    arguments = [list(command.words[1:]) for command in commands]
    arguments = [words[: words.index('--')] if '--' in words else words for words in arguments]
    parsed = subprocess.run(
        [sys.executable, '-m', 'tests.support.parse_commands', COMMANDS[program]],
        input=json.dumps(arguments), capture_output=True, text=True, cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert parsed.returncode == 0, parsed.stderr
    faults = {str(command): fault for command, fault in zip(commands, json.loads(parsed.stdout), strict=True) if fault}
    assert faults == {}


def test_each_program_of_a_page_exists():
    programs = {command.program for command in _COMMANDS} - {'tfds', 'make', 'python'}
    assert programs <= set(COMMANDS)


def test_each_target_of_make_exists():
    targets = set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE))
    wanted = {
        word for command in _of('make') for word in command.words[1:] if '=' not in word and not word.startswith('-')
    }
    assert wanted and wanted <= targets | {'.venv/installed'}


def test_each_module_that_a_page_runs_exists():
    modules = {command.words[2] for command in _of('python')}
    assert len(modules) > 5
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


def test_a_command_that_goes_over_lines_is_one():
    page = ROOT / 'docs' / 'scale_out.md'
    (portable,) = [command for command in commands_of(page) if '--runner=PortableRunner' in command.words]
    assert '--environment_type=EXTERNAL' in portable.words
