import csv

import pytest

from trainer.evaluation.outputs import plain_text, write_table


@pytest.mark.parametrize(
    'name', ['=1+1#1', '=HYPERLINK("http://x","y")', '+1#2', '-2+3', '@SUM(A1)', '\uff1d1+1', "'=1+1#1", "''@x"]
)
def test_a_name_that_a_spreadsheet_takes_for_a_formula_is_text(name):
    assert plain_text(name) == f"'{name}"


@pytest.mark.parametrize(
    'field', ['A140313#073', '-80.25', '+1.5', '-1e-3', '', "it's", "'quoted'", '#1', 'a=b', 'nan']
)
def test_other_names_and_numbers_stay(field):
    assert plain_text(field) == field


def test_names_stay_different():
    names = ['=1', "'=1", "''=1"]
    assert len({plain_text(name) for name in names}) == 3


@pytest.mark.parametrize('delimiter', [',', '\t'])
def test_every_table_is_written_so(tmp_path, delimiter):
    write_table(tmp_path / 'a.csv', ('cell', 'p'), [('=1+1', '-0.5'), ('a,"b"', 3)], delimiter)
    with open(tmp_path / 'a.csv', newline='') as file:
        assert list(csv.reader(file, delimiter=delimiter)) == [['cell', 'p'], ["'=1+1", '-0.5'], ['a,"b"', '3']]
