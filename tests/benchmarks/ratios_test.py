"""The table of `make bench`: what is slower, missed or new shows; what is expected is known to the benchmarks."""

import json

from benchmarks import ratios

_EXPECTED = json.loads(ratios.EXPECTED.read_text())


def _rows(*arguments) -> dict[str, list[str]]:
    _, *lines = ratios.table(*arguments)
    return {line.split()[1]: line.split()[2:] for line in lines}


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
