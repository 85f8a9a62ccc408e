import csv

import pytest

from trainer.evaluation.outputs import appearing_together, plain_text, write_table


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


@pytest.mark.parametrize('end', [KeyboardInterrupt, OSError, ValueError])
def test_an_evaluation_that_ends_early_leaves_the_earlier_outputs(tmp_path, end):
    (tmp_path / 'metrics.json').write_text('earlier')
    with pytest.raises(end), appearing_together(tmp_path) as partial:
        (partial / 'metrics.json').write_text('new')
        raise end
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {'metrics.json': 'earlier'}


def test_new_outputs_replace_earlier_ones_and_nothing_is_left_behind(tmp_path):
    (tmp_path / 'metrics.json').write_text('earlier')
    (tmp_path / 'notes.txt').write_text("the user's")
    (tmp_path / 'confusion_paper.png').write_text("the user's")
    (tmp_path / 'confusion_original.png').write_text('earlier')
    (tmp_path / '.sero-evaluate.partial').mkdir()
    (tmp_path / '.sero-evaluate.partial' / 'cells.csv').write_text('of a command that was killed')
    with appearing_together(tmp_path, ['confusion_original.png', 'confusion_non_homogeneous.png']) as partial:
        (partial / 'metrics.json').write_text('new')
        (partial / 'report.html').write_text('new')
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    of_user = dict.fromkeys(('notes.txt', 'confusion_paper.png'), "the user's")
    assert found == {'metrics.json': 'new', 'report.html': 'new'} | of_user
