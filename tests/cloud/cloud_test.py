"""No file of cloud/ is without a test and a row in the table of docs/cloud.md, and no row without a file."""

import re

import pytest

from tests.support.places import ROOT

_FILES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / 'cloud').rglob('*') if path.is_file())
_TESTS = {
    'Dockerfile': 'dockerfile_test.py',
    'Dockerfile.dockerignore': 'dockerfile_test.py',
    'dataflow': 'dataflow_test.py',
    'gke': 'gke_test.py',
    'skypilot': 'skypilot_test.py',
    'tpu_vm': 'tpu_vm_test.py',
    'vertex': 'vertex_test.py',
}
_HOW = ('run here', 'compiled here', 'validated here', 'untried')


def _table() -> list[list[str]]:
    lines = (ROOT / 'docs' / 'cloud.md').read_text().partition(f'| file | {" | ".join(_HOW)} |\n')[2].splitlines()
    rows = lines[1 : next(number for number, line in enumerate(lines) if not line.startswith('|'))]
    return [[cell.strip() for cell in row.strip('|').split('|')] for row in rows]


@pytest.mark.parametrize('path', [path for path in _FILES if '__pycache__' not in path])
def test_a_file_has_a_test_and_a_row_that_says_how_far_it_was_tried(path):
    test = (ROOT / 'tests' / 'cloud' / _TESTS[path.split('/')[1]]).read_text()
    assert f"'{path.split('/')[1]}'" in test
    rows = [row for row in _table() if f'`{path}`' in row[0]]
    assert len(rows) == 1
    assert len(rows[0]) == 1 + len(_HOW) and any(rows[0][1:])


def test_the_table_names_no_other_files():
    named = {path for row in _table() for path in re.findall(r'`(cloud/[^`]+)`', row[0])}
    assert named == {path for path in _FILES if '__pycache__' not in path}
