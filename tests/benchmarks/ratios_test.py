"""The table of `make bench`: what is slower, missed or new shows; what is expected is known to the benchmarks."""

import datetime
import json
import re

import joblib
import pytest
from absl.testing import flagsaver

from beam_pipelines.errors import UserError
from benchmarks import ratios

_EXPECTED = json.loads(ratios.EXPECTED.read_text())


def _rows(*arguments) -> dict[str, list[str]]:
    _, *lines = ratios.table(*arguments)
    return {way: shown.split() for _, way, shown in (re.split('  +', line, maxsplit=2) for line in lines)}


def test_each_ratio_stands_beside_the_expected_one():
    rows = _rows({'a': {'slower': 4.0, 'new': 7.0}}, {'a': {'slower': 5.0, 'gone': 6.0}}, {})
    assert rows == {
        'slower': ['4.00x', '5.00x', '-20%'],
        'gone': ['-', '6.00x'],
        'new': ['7.00x', '-'],
    }


def test_a_target_is_missed_below_it():
    rows = _rows({'a': {'met': 3.0, 'below': 2.9}}, {}, {'a': {'met': 3, 'below': 3}})
    assert rows['met'][-1] == '3' and rows['below'][-2:] == ['3', 'missed']


def test_expected_ratios_are_of_the_benchmarks_and_each_target_is_of_a_ratio():
    assert set(_EXPECTED['ratios']) == set(ratios.BENCHMARKS) >= set(_EXPECTED['targets'])
    for benchmark, targets in _EXPECTED['targets'].items():
        assert set(targets) <= set(_EXPECTED['ratios'][benchmark])
    assert all(ratio > 0 for of_ways in _EXPECTED['ratios'].values() for ratio in of_ways.values())


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Two benchmarks that take no time, and a file of expected ratios."""
    path = tmp_path / 'expected.json'
    path.write_text(json.dumps({'measured_on': 'another', 'targets': {}, 'ratios': {'a': {'way': 2.0}}}))
    monkeypatch.setattr(ratios, 'EXPECTED', path)
    monkeypatch.setattr(ratios, 'BENCHMARKS', ('a', 'b'))
    monkeypatch.setattr(ratios, '_run', lambda benchmark: {'way': 3.0})
    return path


def test_what_is_written_says_where_and_when_it_was_measured(stand_in):
    with flagsaver.as_parsed(write='true'):
        assert ratios.main(['ratios']) == 0
    written = json.loads(stand_in.read_text())
    assert written['ratios'] == {'a': {'way': 3.0}, 'b': {'way': 3.0}}
    cores, processor, date = re.fullmatch(r'(\d+) cores of (.+), (\S+)', written['measured_on']).groups()
    assert int(cores) == joblib.cpu_count() and processor and datetime.date.fromisoformat(date)


def test_what_was_measured_before_a_failure_is_compared_and_nothing_is_written(stand_in, monkeypatch, capsys):
    def run(benchmark):
        if benchmark == 'b':
            raise UserError('b failed')
        return {'way': 3.0}

    monkeypatch.setattr(ratios, '_run', run)
    before = stand_in.read_text()
    with flagsaver.as_parsed(write='true'), pytest.raises(UserError, match='b failed'):
        ratios.main(['ratios'])
    assert '3.00x' in capsys.readouterr().out
    assert stand_in.read_text() == before
