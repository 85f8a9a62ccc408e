"""What a release states stands in one place, or is the same everywhere."""

import re

import pytest
import yaml

import beam_pipelines
from beam_pipelines.citation import BIBTEX
from tests.support.extras import extras_of_setup
from tests.support.places import ROOT

_WORKFLOWS = sorted((ROOT / '.github' / 'workflows').glob('*.yml'))


def test_each_extra_has_its_row_in_the_table_of_extras():
    page = (ROOT / 'docs' / 'install.md').read_text()
    table = page.partition('| extra | for |')[2].partition('\n\n')[0]
    rows = re.findall(r'^\| `([\w-]+)` \| .+ \|$', table, re.MULTILINE)
    assert rows == sorted(extras_of_setup())


def test_developers_get_what_all_other_extras_bring():
    extras = extras_of_setup()
    for extra in sorted(extras.keys() - {'bench', 'dev'}):
        assert extras[extra] <= extras['dev'], extra


def test_the_citation_is_of_this_version_and_of_the_papers():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert {'cff-version', 'message', 'title', 'authors'} <= citation.keys()
    assert citation['version'] == beam_pipelines.__version__
    assert citation['license'] == 'MIT'
    titles = re.findall(r'^  title +\= \{(.*?)\},$', BIBTEX, re.MULTILINE | re.DOTALL)
    assert [reference['title'] for reference in citation['references']] == [' '.join(title.split()) for title in titles]
    assert f'doi     = {{{citation["references"][0]["doi"]}}}' in BIBTEX


def test_no_other_file_states_the_version_of_the_package_or_of_the_datasets():
    for name in ('setup.py', 'Makefile', '.ci/run', *(f'.github/workflows/{path.name}' for path in _WORKFLOWS)):
        text = re.sub(r'v0\.1\.0', '', (ROOT / name).read_text())
        assert not re.search(r'(?<![\d.])(0\.1\.0|1\.1\.0)(?![\d.])', text), name


@pytest.mark.parametrize('path', _WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_targets_of_the_makefile(path):
    workflow = yaml.safe_load(path.read_text())
    steps = [step for job in workflow['jobs'].values() for step in job['steps']]
    made = re.findall(r'\bmake ([\w-]+)', '\n'.join(step.get('run', '') for step in steps))
    assert made
    targets = set(re.findall(r'^([\w-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE))
    assert set(made) <= targets


def test_workflows_are_for_test_docs_and_release():
    assert [path.stem for path in _WORKFLOWS] == ['docs', 'release', 'test']
