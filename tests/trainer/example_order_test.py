import collections
import itertools

import numpy as np
import pytest

from trainer.example_order import BLOCK_ROWS, WINDOW_ROWS, ExampleOrder, Window

# Two whole blocks and a tail, one row, a tail alone, no row at all, and more than two windows.
LENGTHS = (2 * BLOCK_ROWS + 37, 1, 500, 0, 2 * WINDOW_ROWS + 3)
TOTAL = sum(LENGTHS)


def rows_of(window: Window, lengths=LENGTHS) -> np.ndarray:
    """Returns the rows of a window in its shuffled order, counted over all shards."""
    starts = np.cumsum([0, *lengths])
    stored = np.concatenate([starts[piece.shard] + piece.first + np.arange(piece.count) for piece in window.pieces])
    rows = np.empty(len(stored), np.int64)
    rows[window.destination] = stored
    return rows


def epoch_of(order: ExampleOrder, epoch: int, lengths=LENGTHS) -> np.ndarray:
    first = epoch * order.windows_per_epoch
    return np.concatenate([rows_of(order.window(first + number), lengths) for number in range(order.windows_per_epoch)])


@pytest.mark.parametrize('epoch', [0, 1, 1000])
def test_epoch_holds_every_row_once(epoch):
    assert sorted(epoch_of(ExampleOrder(LENGTHS, seed=3), epoch)) == list(range(TOTAL))


@pytest.mark.parametrize('hosts', range(1, 8))
@pytest.mark.parametrize('lengths', [LENGTHS, (1,) * 7, (3, 4), (20_000,)])
def test_hosts_together_hold_every_row_once_in_every_epoch(hosts, lengths):
    orders = [ExampleOrder(lengths, 3, host, hosts) for host in range(hosts)]
    for epoch in range(2):
        rows = np.concatenate([epoch_of(order, epoch, lengths) for order in orders])
        assert sorted(rows) == list(range(sum(lengths)))


@pytest.mark.parametrize('hosts', range(1, 8))
def test_shares_of_hosts_differ_by_one_row_at_most(hosts):
    shares = [ExampleOrder(LENGTHS, 3, host, hosts).examples_per_epoch for host in range(hosts)]
    assert sum(shares) == TOTAL
    assert max(shares) - min(shares) <= 1


def test_host_has_other_rows_in_another_epoch():
    order = ExampleOrder(LENGTHS, 3, host=1, hosts=3)
    assert set(epoch_of(order, 0)) != set(epoch_of(order, 1))


def test_pieces_lie_within_their_shards_and_blocks():
    order = ExampleOrder(LENGTHS, seed=3, host=1, hosts=2)
    for number in range(2 * order.windows_per_epoch):
        for piece in order.window(number).pieces:
            assert 0 < piece.count
            assert piece.first + piece.count <= LENGTHS[piece.shard]
            assert piece.first // BLOCK_ROWS == (piece.first + piece.count - 1) // BLOCK_ROWS


def test_windows_are_full_but_the_last_of_an_epoch():
    order = ExampleOrder(LENGTHS, seed=3)
    sizes = [len(order.window(number).destination) for number in range(order.windows_per_epoch)]
    assert sizes == [WINDOW_ROWS, WINDOW_ROWS, TOTAL - 2 * WINDOW_ROWS]


@pytest.mark.parametrize(('seed', 'epoch'), [(3, 1), (4, 0)])
def test_another_seed_or_epoch_is_another_order_of_blocks_and_of_rows(seed, epoch):
    one, other = ExampleOrder(LENGTHS, seed=3), ExampleOrder(LENGTHS, seed=seed)
    first, second = one.window(0), other.window(epoch * other.windows_per_epoch)
    assert first.pieces != second.pieces
    assert (first.destination != second.destination).any()


def test_same_seed_is_the_same_order_whatever_was_asked_for_before():
    one, other = ExampleOrder(LENGTHS, seed=3), ExampleOrder(LENGTHS, seed=3)
    for number in (40, 2, 7):
        one.window(number)
    np.testing.assert_array_equal(rows_of(one.window(5)), rows_of(other.window(5)))


def test_rows_of_a_window_are_spread_over_all_of_it():
    rows = np.argsort(ExampleOrder(LENGTHS, seed=3).window(0).destination)
    tenths = np.array_split(rows, 10)
    for tenth in tenths:
        counts, _ = np.histogram(tenth, bins=10, range=(0, WINDOW_ROWS))
        assert counts.min() > WINDOW_ROWS / 100 * 0.7


def test_window_is_made_of_blocks_from_all_over_the_data():
    order = ExampleOrder((200 * BLOCK_ROWS,), seed=3)
    firsts = sorted(piece.first for piece in order.window(0).pieces)
    assert len(firsts) == WINDOW_ROWS // BLOCK_ROWS
    assert firsts[-1] - firsts[0] > 100 * BLOCK_ROWS


@pytest.mark.parametrize('hosts', [1, 3])
def test_find_gives_the_window_and_place_of_an_example(hosts):
    order = ExampleOrder(LENGTHS, seed=3, host=hosts - 1, hosts=hosts)
    stream = itertools.chain.from_iterable(
        ((number, place) for place in range(len(order.window(number).destination)))
        for number in range(3 * order.windows_per_epoch)
    )
    for example, position in enumerate(stream):
        if example % 997 == 0 or example % order.examples_per_epoch in (0, 1, order.examples_per_epoch - 1):
            assert order.find(example) == position


@pytest.mark.parametrize(
    ('host', 'hosts', 'message'),
    [
        (2, 2, 'host 2 of 2: must be 0..1'),
        (-1, 2, 'host -1 of 2: must be 0..1'),
        (0, 4, '3 examples cannot be shared by 4 hosts'),
    ],
)
def test_impossible_share_is_refused(host, hosts, message):
    with pytest.raises(ValueError, match=f'^{message}$'):
        ExampleOrder((1, 2), 0, host, hosts)


def test_every_row_comes_to_every_part_of_an_epoch():
    """Over many seeds a row is early as often as late."""
    lengths = (64 * BLOCK_ROWS,)
    quarters = collections.Counter(
        int(np.flatnonzero(epoch_of(ExampleOrder(lengths, seed), 0, lengths) == 5)[0]) // (16 * BLOCK_ROWS)
        for seed in range(60)
    )
    assert set(quarters) == {0, 1, 2, 3}
    assert max(quarters.values()) < 35
