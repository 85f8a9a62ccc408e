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


_INITS = [path for path in _FILES if path.name == '__init__.py']
_ROOMS = [path for path in _INITS if len(path.parts) > 2 and path.parts[0] != 'tfds_sero']


@pytest.mark.parametrize('path', _INITS, ids=str)
def test_each_package_says_what_it_is_for(path):
    docstring = ast.get_docstring(_parsed(path))
    assert docstring and len(docstring.splitlines()[0]) > 20


@pytest.mark.parametrize('path', _ROOMS, ids=str)
def test_a_room_holds_one_docstring_line_and_at_most_its_face(path):
    module = _parsed(path)
    assert '\n' not in ast.get_docstring(module)
    if str(path) in _FACES:
        assert _FACES[str(path)] in (ROOT / path).read_text()
    else:
        assert len(module.body) == 1
