import json

import pytest

from trainer.cross_validation.headline import read_headline
from trainer.reports.terminal import division_table

_CELL = {
    'accuracy': 0.95,
    'accuracy_low': 0.8,
    'accuracy_high': 1.0,
    'n': 30,
    'coverage': 0.9,
    'decided_accuracy': None,
}
_FIGURES = {'spike': {'accuracy': 0.9, 'auc': None, 'n': 700}, 'cell': _CELL}
_NAME = 'original/cross_validation_day'


def _read(tmp_path, text: str):
    path = tmp_path / 'cross_validation' / 'day' / 'metrics.json'
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return read_headline(str(tmp_path), 'day')


def test_figures_are_those_of_the_file(tmp_path):
    controls = {'day_only': _FIGURES, 'of_a_later_version': _FIGURES}
    found = _read(tmp_path, json.dumps({_NAME: _FIGURES, 'controls': {_NAME: controls}}))
    assert found == _FIGURES | {'controls': controls}
    table = division_table({'day': found})
    assert '0.950 of 30' in table and 'the day alone' in table and 'later' not in table


def test_a_file_of_version_0_1_0_has_no_controls(tmp_path):
    assert _read(tmp_path, json.dumps({_NAME: _FIGURES})) == _FIGURES | {'controls': {}}


@pytest.mark.parametrize(
    'content',
    [
        [],
        {},
        {_NAME: 'good'},
        {_NAME: _FIGURES, 'controls': []},
        {_NAME: _FIGURES, 'controls': {_NAME: {'day_only': 3}}},
        {_NAME: _FIGURES | {'spike': {'accuracy': '0.9', 'auc': None, 'n': 700}}},
        {_NAME: {'spike': _FIGURES['spike']}},
    ],
)
def test_a_damaged_file_is_as_good_as_none(content, tmp_path):
    assert _read(tmp_path, json.dumps(content)) is None


def test_nesting_without_end_is_as_good_as_none(tmp_path):
    assert _read(tmp_path, '[' * 100_000) is None
