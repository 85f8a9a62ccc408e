import numpy as np
import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.planning import splits

_CELLS = [f'D{number // 4:04d}#{number:03d}' for number in range(140)]
_LABELS = [0] * 100 + [1] * 40


def test_each_cell_stands_in_exactly_one_split():
    assert set(splits.split_cells(_CELLS, _LABELS, 0)) == set(_CELLS)


@pytest.mark.parametrize(('label', 'expected'), [(0, [70, 15, 15]), (1, [28, 6, 6])])
def test_the_cells_of_each_class_are_split_70_15_15(label, expected):
    split_of = splits.split_cells(_CELLS, _LABELS, 0)
    of_class = [split_of[cell] for cell, of in zip(_CELLS, _LABELS, strict=True) if of == label]
    assert [of_class.count(split) for split in splits.SPLITS] == expected


@pytest.mark.parametrize('cells', [3, 4, 5, 6, 7])
def test_no_split_of_few_cells_is_empty(cells):
    split_of = splits.split_cells(_CELLS[: 2 * cells], [0] * cells + [1] * cells, 0)
    for label in (0, 1):
        assert {split_of[cell] for cell in _CELLS[label * cells : (label + 1) * cells]} == set(splits.SPLITS)


def test_another_seed_gives_another_split():
    assert splits.split_cells(_CELLS, _LABELS, 0) != splits.split_cells(_CELLS, _LABELS, 1)


def test_the_order_of_the_cells_does_not_matter():
    order = np.random.default_rng(0).permutation(len(_CELLS))
    shuffled = splits.split_cells([_CELLS[i] for i in order], [_LABELS[i] for i in order], 0)
    assert shuffled == splits.split_cells(_CELLS, _LABELS, 0)


@pytest.mark.parametrize('cells', [0, 1, 2])
def test_fewer_than_three_cells_of_a_class_are_an_error_that_names_it(cells):
    with pytest.raises(UserError, match=f'{cells} usable NSER cells: .* at least 3'):
        splits.split_cells(_CELLS[: 10 + cells], [0] * 10 + [1] * cells, 0)


def test_published_protocol_splits_spikes_70_15_15():
    rows = splits.split_spikes(1000, 0)
    assert [len(rows[split]) for split in splits.SPLITS] == [700, 150, 150]


def test_published_protocol_puts_each_spike_into_one_split():
    rows = splits.split_spikes(1001, 0)
    np.testing.assert_array_equal(np.sort(np.concatenate(list(rows.values()))), np.arange(1001))


def test_published_protocol_mixes_neighbouring_spikes():
    test_rows = splits.split_spikes(10_000, 0)['test']
    assert 0.4 < np.mean(test_rows < 5000) < 0.6


def test_published_protocol_with_another_seed_gives_another_split():
    assert splits.split_spikes(1000, 0)['test'].tolist() != splits.split_spikes(1000, 1)['test'].tolist()


def test_fewer_than_three_spikes_are_an_error():
    with pytest.raises(UserError, match='2 spikes: a split needs at least 3'):
        splits.split_spikes(2, 0)
