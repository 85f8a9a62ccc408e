"""`make` says in one line which Python it needs, and `make demo` how far it is."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from scripts import demo_stage
from tests.support.places import ROOT
from tests.support.requirements import needs_posix

# What a make that runs these tests hands down: its flags, and the variables of its command line.
_OF_OUTER_MAKE = ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'MAKEOVERRIDES', 'PYTHON', 'VENV')


@pytest.fixture
def python_with(tmp_path):
    """Returns a function that makes a Python which runs the given code when it starts."""

    def make(code: str) -> pathlib.Path:
        (tmp_path / 'site').mkdir()
        (tmp_path / 'site' / 'sitecustomize.py').write_text(code)
        python = tmp_path / 'python'
        python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}/site exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        return python

    return make


@needs_posix
@pytest.mark.parametrize(
    ('code', 'line'),
    [
        (
            'import sys; sys.modules["ensurepip"] = None',
            '.*/python has no venv module; install it, on Debian .*: apt install python3-venv',
        ),
        ('import sys; sys.modules["venv"] = None', '.*/python has no venv module; install it, on Debian .*'),
        (
            'import sys; sys.version_info = (3, 9, 18)',
            r'Python 3\.9 is not supported; name one from 3\.10 to 3\.13, as in: .*',
        ),
        ('import sys; sys.version_info = (3, 14, 0)', r'Python 3\.14 is not supported; .*'),
        ('import os; os._exit(127)', 'There is no .*/python here; name one from .*'),
    ],
)
def test_a_python_that_cannot_be_used_is_one_line_and_leaves_no_environment(python_with, tmp_path, code, line):
    for name in ('Makefile', 'setup.py', 'constraints.txt', 'beam_pipelines'):
        (tmp_path / name).symlink_to(ROOT / name)
    command = ['make', 'demo', f'PYTHON={python_with(code)}']
    environment = {name: value for name, value in os.environ.items() if name not in _OF_OUTER_MAKE}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=environment)
    said, of_make = result.stderr.splitlines()
    assert result.returncode == 2 and of_make.startswith('make: ***')
    assert re.fullmatch(line, said), said
    assert not (tmp_path / '.venv').exists() and not (tmp_path / 'demo').exists()


def test_the_demo_announces_each_of_its_stages():
    recipe = re.search(r'^demo: .*?\n\n', (ROOT / 'Makefile').read_text(), re.MULTILINE | re.DOTALL)[0]
    announced = re.findall(r'\$\(STAGE\) (\w+)', recipe)
    assert announced == [*(str(number + 1) for number in range(len(demo_stage.STAGES))), 'end']
    assert len(re.findall(r'\$\(BIN\)/sero-', recipe)) == len(demo_stage.STAGES)


def test_the_time_to_go_is_that_of_this_machine():
    assert demo_stage.opening(1, 0) == '[1 of 6] simulated recordings (the demo takes 4 to 14 minutes)'
    assert 'to go' not in demo_stage.opening(4, 9)
    shares = [share for _, share in demo_stage.STAGES]
    twice_as_slow = 2 * sum(shares[:4])
    left = demo_stage.opening(5, twice_as_slow).split('about ')[1]
    minutes, seconds = map(int, re.fullmatch(r'(\d+) min (\d+) s to go', left).groups())
    assert minutes * 60 + seconds == 2 * sum(shares[4:])


def test_the_end_says_how_long_it_took_and_names_what_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    demo_stage.main(['1'])
    demo_stage.main(['end'])
    said = capsys.readouterr().out
    assert 'The demo took 0 s' in said
    assert 'demo/synthetic/evaluation/report.html' in said
