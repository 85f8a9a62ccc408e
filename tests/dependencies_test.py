import re

import pytest

from scripts import licences
from tests.support.places import ROOT

_LOCKED = licences.locked_packages((ROOT / 'constraints.txt').read_text())


def test_the_table_names_each_locked_package():
    rows = re.findall(r'^\| ([\w.-]+) \| .+ \|$', (ROOT / 'docs' / 'licences.md').read_text(), re.MULTILINE)
    assert rows[2:] == _LOCKED, 'make licences writes it anew'


@pytest.mark.parametrize(
    ('package', 'licence'),
    [('tensorflow', 'Apache Software License'), ('absl-py', 'Apache-2.0'), ('no-such-package', 'not installed')],
)
def test_a_licence_is_what_the_package_states(package, licence):
    assert licences.licence_of(package) == licence


def test_both_files_of_locked_versions_name_the_same():
    pins = {
        name: re.findall(r'^([\w.-]+==.+?)(?: \\)?$', (ROOT / name).read_text(), re.MULTILINE)
        for name in ('constraints.txt', 'constraints-hashed.txt')
    }
    assert len(pins['constraints.txt']) > len(_LOCKED)
    assert pins['constraints.txt'] == pins['constraints-hashed.txt'], 'make lock writes both'


def test_each_locked_version_has_a_hash():
    entries = re.split(r'^(?=[\w.-]+==)', (ROOT / 'constraints-hashed.txt').read_text(), flags=re.MULTILINE)[1:]
    assert [entry for entry in entries if '--hash=sha256:' not in entry] == []


def test_what_a_pc_needs_that_only_classifies_is_of_the_locked_packages():
    lines = (ROOT / 'requirements' / 'classify.txt').read_text().splitlines()
    required = re.search(r'install_requires=\[(.*?)\n    \]', (ROOT / 'setup.py').read_text(), re.DOTALL)[1]
    assert {line for line in lines if not line.startswith('#')} <= set(re.findall(r"'([\w-]+)", required))
