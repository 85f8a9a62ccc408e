"""The house stays readable: small files, small functions, and each room says in one line what it is for."""

import ast
import pathlib

import pytest

from tests.support.places import ROOT

_PACKAGES = ('beam_pipelines', 'tfds_sero', 'trainer')
_FILES = sorted(path.relative_to(ROOT) for package in _PACKAGES for path in (ROOT / package).rglob('*.py'))
_MOST_LINES_OF_A_FILE = 350
_MOST_LINES_OF_A_FUNCTION = 60
# Rooms that are faces too: one function for those who use the package from Python.
_FACES = {'trainer/models/__init__.py': 'build_member', 'trainer/classify/__init__.py': 'load'}


def _parsed(path: pathlib.Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def test_files_are_small():
    lines = {str(path): len((ROOT / path).read_text().splitlines()) for path in _FILES}
    assert {path: count for path, count in lines.items() if count > _MOST_LINES_OF_A_FILE} == {}


def test_functions_are_small():
    long = [
        f'{path}: {node.name}'
        for path in _FILES
        for node in ast.walk(_parsed(path))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= _MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


@pytest.mark.parametrize('path', [path for path in _FILES if path.name == '__init__.py'], ids=str)
def test_each_room_says_in_one_line_what_it_is_for(path):
    module = _parsed(path)
    docstring = ast.get_docstring(module)
    assert docstring and len(docstring.splitlines()[0]) > 20
    if str(path) in _FACES:
        assert _FACES[str(path)] in (ROOT / path).read_text()
        return
    names = [node for node in module.body if not isinstance(node, ast.Expr)]
    assert len(docstring.splitlines()) == 1 or len(path.parts) == 2 or path.parts[0] == 'tfds_sero'
    assert not names or len(path.parts) == 2 or path.parts[0] == 'tfds_sero'
