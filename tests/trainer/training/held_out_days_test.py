import numpy as np
import pytest

from beam_pipelines.errors import UserError
from trainer.training.held_out_days import deal_days

# Twelve days of two cells; four days hold both classes.
LABEL_OF = {f'A{day:06}#{cell}': int(day >= 4 + cell * 4) for day in range(12) for cell in range(2)}
DAY_OF = {cell_id: cell_id[:7] for cell_id in LABEL_OF}


def test_each_day_is_left_out_whole_by_some_members_and_seen_by_others():
    held_out = deal_days(LABEL_OF, DAY_OF, groups=4, members=11, seed=0)
    cells = list(LABEL_OF)
    sees = held_out.sees(cells)
    assert sees.shape == (11, 24)
    assert set((~sees).sum(axis=0)) == {2, 3}
    assert np.array_equal(sees[:, ::2], sees[:, 1::2])  # both cells of a day


def test_each_group_has_cells_of_both_classes():
    held_out = deal_days(LABEL_OF, DAY_OF, groups=4, members=11, seed=0)
    for group in range(4):
        days = {day for day, of in held_out.group_of_day.items() if of == group}
        assert {LABEL_OF[cell] for cell, day in held_out.day_of.items() if day in days} == {0, 1}


def test_days_are_numbered_whatever_the_group():
    held_out = deal_days(LABEL_OF, DAY_OF, groups=4, members=11, seed=0)
    assert held_out.number_days(['A000001#1', 'A000001#0', 'A000011#0', 'Z#1']).tolist() == [1, 1, 11, -1]


def test_a_cell_that_is_not_dealt_out_is_left_out_by_nobody():
    assert deal_days(LABEL_OF, DAY_OF, groups=3, members=3, seed=0).sees(['Z#1']).all()


def test_too_few_days_are_an_error():
    with pytest.raises(UserError, match='^--config.held_out_days=5: the cells are of 2 recording days only'):
        deal_days(
            {'A1#1': 0, 'A1#2': 1, 'A2#1': 0}, {'A1#1': '1', 'A1#2': '1', 'A2#1': '2'}, groups=5, members=5, seed=0
        )


def test_a_class_of_one_day_is_an_error():
    with pytest.raises(UserError, match='one group of days would hold all cells NSER'):
        deal_days(
            {'A1#1': 0, 'A2#1': 0, 'A3#1': 1}, {'A1#1': '1', 'A2#1': '2', 'A3#1': '3'}, groups=3, members=3, seed=0
        )
