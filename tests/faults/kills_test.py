"""The campaigns see what they are there for; each takes minutes and is run by hand, see docs/reliability.md."""

import pytest

from tests.faults.cases import EARLIER
from tests.faults.kills import half_written, torn_tables
from tests.faults.outcomes import differences, outcome, without_locks


@pytest.fixture
def before_and_whole(tmp_path) -> tuple[dict[str, str], dict[str, str]]:
    """The outcomes in a folder before a command, and of an undisturbed command."""
    outcomes = []
    for name, text in (('before', EARLIER), ('whole', 'new')):
        verdicts = tmp_path / name / 'verdicts'
        verdicts.mkdir(parents=True)
        for file in ('cells.csv', 'report.html'):
            (verdicts / file).write_text(f'{text}: {file}')
        outcomes.append(outcome(tmp_path / name))
    return outcomes[0], outcomes[1]


@pytest.mark.parametrize(
    ('left', 'found'),
    [
        ({}, []),
        ({'cells.csv': 'new: cells.csv'}, []),
        ({'cells.csv': 'new: cells.csv', '.sero-classify.partial/report.html': 'new: rep'}, []),
        ({'cells.csv': 'new: cel'}, ['verdicts/cells.csv: is half-written']),
        ({'cells.csv': ''}, ['verdicts/cells.csv: is half-written']),
        (
            {'cells.csv': 'new: cells.csv', 'report.html': f'{EARLIER}: report.html'},
            ['verdicts: holds files of two sets'],
        ),
    ],
)
def test_half_written_outputs_and_mixed_ones_are_found(tmp_path, before_and_whole, left, found):
    for name, text in left.items():
        path = tmp_path / 'left' / 'verdicts' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert half_written(outcome(tmp_path / 'left'), *before_and_whole) == found


def test_what_is_missing_left_behind_or_other_is_found(tmp_path):
    for name, files in (('found', {'a': '1', 'c': '3', '.sero.lock': ''}), ('expected', {'a': '2', 'b': '2'})):
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
    (tmp_path / 'found' / 'empty').mkdir()
    found = without_locks(outcome(tmp_path / 'found'))
    assert differences(found, outcome(tmp_path / 'expected')) == [
        'b: is missing',
        'c: left behind',
        'empty: left behind',
        'a: differs',
    ]


@pytest.mark.parametrize(
    ('cells', 'spikes', 'problems'),
    [
        ('cell,p\na,1\n', 'cell,t\na,1\na,2\n', 0),
        (EARLIER, EARLIER, 0),
        (None, 'cell,t\na,1\n', 0),
        ('cell,p\na,1\nb,1\n', 'cell,t\na,1\n', 1),
        (EARLIER, 'cell,t\na,1\n', 1),
        ('cell,p\na,1\n', 'cell,t\na,1\na', 1),
    ],
)
def test_tables_that_are_cut_or_of_two_moments_are_found(tmp_path, cells, spikes, problems):
    for name, text in (('cells.csv', cells), ('spikes.csv', spikes)):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert len(torn_tables(tmp_path)) == problems
