import numpy as np
import pytest

from beam_pipelines import domain
from beam_pipelines.errors import UserError
from trainer.cross_validation.folds import fold_by_day, fold_by_spike
from trainer.training.held_out_days import days_of_cells

# Ten days of two cells, SER days and NSER days; three spikes a cell.
CELLS = [f'D{day:02d}#{number}' for day in range(10) for number in (1, 2)]
CELL = np.repeat(np.arange(20), 3)
LABEL = CELL // 2 % 2


DAY_OF = {name: domain.recording_day(name) for name in CELLS}


def days_of(rows: np.ndarray) -> set[str]:
    return {domain.recording_day(CELLS[cell]) for cell in CELL[rows]}


def test_cells_and_days_are_counted(capsys):
    names = ['2024_03_07_0002', '20240307_c2', '07-03-2024 cell 4', '24307002', '2024_03_08_0001']
    assert sorted(set(days_of_cells(names, None, 'so beware').values())) == ['2024-03-07', '2024-03-08']
    assert capsys.readouterr() == ('5 cells on 2 recording days, such as 2024-03-07\n', '')


@pytest.mark.parametrize(
    ('names', 'pattern', 'said', 'why'),
    [
        (['2024_03_07_1', '2024_03_07_2', 'cell12', 'cell3'], None, '4 cells on 3 ', 'in 2 cell ids, such as cell12;'),
        (['2024_03_07_1', '2024_03_07_2', 'cell12'], None, '3 cells on 2 ', 'in 1 cell id, such as cell12;'),
        (['a1', 'a2'], 'b', '2 cells on 2 ', 'no recording day is recognised in 2 cell ids, such as a1;'),
        (['2024_03_07_1', '2024_03_08_1'], None, '2 cells on 2 ', 'WARNING: no two cells share a recording day;'),
    ],
)
def test_cells_that_are_a_day_of_their_own_are_warned_of(capsys, names, pattern, said, why):
    day_of = days_of_cells(names, pattern, 'so beware')
    assert list(day_of) == names
    out, err = capsys.readouterr()
    assert out.startswith(said)
    assert (
        err.startswith('WARNING: ') and err.count('\n') == 1 and why in err and err.endswith(' of its own, so beware\n')
    )


@pytest.mark.parametrize(('folds', 'expected'), [(None, 10), (3, 3), (5, 5)])
def test_no_day_is_on_two_sides_and_each_is_tested_once(folds, expected):
    made = fold_by_day(CELL, LABEL, DAY_OF, folds, seed=0)
    assert len(made) == expected
    for fold in made:
        train, validation, test = days_of(fold.train), days_of(fold.validation), days_of(fold.test)
        assert not (train & validation or train & test or validation & test)
        assert len(fold.train) + len(fold.validation) + len(fold.test) == len(CELL)
        assert set(LABEL[fold.train]) == set(LABEL[fold.validation]) == {0, 1}
    assert sorted(np.concatenate([fold.test for fold in made])) == list(range(len(CELL)))


def test_a_day_is_named_by_its_fold():
    assert [fold.name for fold in fold_by_day(CELL, LABEL, DAY_OF, None, seed=0)][:2] == ['day D00', 'day D01']


def test_groups_of_days_hold_both_classes():
    for fold in fold_by_day(CELL, LABEL, DAY_OF, 5, seed=0):
        assert set(LABEL[fold.test]) == {0, 1}


def test_same_seed_gives_the_same_folds_and_another_seed_others():
    first, again, other = (fold_by_day(CELL, LABEL, DAY_OF, 4, seed)[0].test.tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize('folds', [0, 1, 11])
def test_number_of_folds_that_cannot_be_is_named(folds):
    with pytest.raises(UserError, match=rf'folds {folds}: must be 2\.\.10'):
        fold_by_day(CELL, LABEL, DAY_OF, folds, seed=0)


def test_too_few_days_are_named():
    with pytest.raises(UserError, match=r'2 recording days \(A, B\)'):
        fold_by_day(
            np.arange(4), np.array([0, 1, 0, 1]), {'A#1': 'A', 'A#2': 'A', 'B#1': 'B', 'B#2': 'B'}, None, seed=0
        )


def test_class_of_too_few_days_is_named():
    cells = {'A#1': 'A', 'B#1': 'B', 'C#1': 'C', 'D#1': 'D'}
    with pytest.raises(UserError, match='day A: without its cells NSER was recorded on 1 days'):
        fold_by_day(np.arange(4), np.array([0, 0, 0, 1]), cells, None, seed=0)


def test_published_division_has_spikes_of_a_cell_on_all_sides():
    [fold] = fold_by_spike(len(CELL), seed=0)
    assert [len(rows) for rows in (fold.train, fold.validation, fold.test)] == [42, 9, 9]
    assert set(CELL[fold.test]) & set(CELL[fold.train])
    assert sorted(np.concatenate([fold.train, fold.validation, fold.test])) == list(range(len(CELL)))


def test_cells_dealt_out_to_days_at_random_never_stand_on_two_sides():
    """As ``make real`` divides them: 155 cells of both classes on days of 2 to 4."""
    rng = np.random.default_rng(0)
    names = [f'REAL{day:04d}#{number}' for day in range(52) for number in range(int(rng.integers(2, 5)))]
    of_cell = rng.permutation(np.arange(len(names)) % 3 == 0).astype(int)
    cell = np.repeat(np.arange(len(names)), 4)
    folds = fold_by_day(cell, of_cell[cell], days_of_cells(names, None, 'so beware'), 5, seed=0)
    tested = [set(cell[fold.test].tolist()) for fold in folds]
    assert sum(map(len, tested)) == len(set().union(*tested)) == len(names)
    for fold, tested_here in zip(folds, tested, strict=True):
        train, validation = set(cell[fold.train].tolist()), set(cell[fold.validation].tolist())
        assert not (train & tested_here or validation & tested_here or train & validation)
        assert len(train | validation | tested_here) == len(names)
        for cells in (train, validation, tested_here):
            assert {0, 1} == set(of_cell[list(cells)].tolist())
