import collections

import numpy as np
import pytest

from trainer.data.example_order import BLOCK_ROWS, CHUNK_ROWS, Chunks, ExampleOrder

# Two whole blocks and a tail, one row, a tail alone, no row at all, and a whole block.
LENGTHS = (2 * BLOCK_ROWS + 37, 1, 500, 0, BLOCK_ROWS)


def chunks_of(order: ExampleOrder, epoch: int) -> list[Chunks]:
    return [Chunks(*fields) for fields in zip(*order.chunks(epoch), strict=True)]


def epoch_of(order: ExampleOrder, epoch: int, lengths=LENGTHS) -> np.ndarray:
    """Returns the rows of an epoch in their order, counted over all shards."""
    starts = np.cumsum([0, *lengths])
    return np.concatenate(
        [starts[chunk.shard.numpy()] + order.rows(chunk).numpy() for chunk in chunks_of(order, epoch)]
    )


@pytest.mark.parametrize('epoch', [0, 1, 1000])
@pytest.mark.parametrize('lengths', [LENGTHS, (1,) * 7, (3, 4), (20_000,)])
def test_epoch_holds_every_row_once(epoch, lengths):
    assert sorted(epoch_of(ExampleOrder(lengths, seed=3), epoch, lengths)) == list(range(sum(lengths)))


def test_chunks_lie_within_blocks_and_are_short_enough_for_a_cache():
    order = ExampleOrder(LENGTHS, 3)
    for chunk in chunks_of(order, 0):
        rows = order.rows(chunk).numpy()
        assert 0 < len(rows) <= CHUNK_ROWS
        assert rows.min() // BLOCK_ROWS == rows.max() // BLOCK_ROWS
        assert rows.max() < LENGTHS[chunk.shard.numpy()]


@pytest.mark.parametrize(('seed', 'epoch'), [(3, 1), (4, 0)])
def test_another_seed_or_epoch_is_another_order_of_blocks(seed, epoch):
    lengths = (20 * BLOCK_ROWS,)
    first = ExampleOrder(lengths, seed=3).chunks(0).first.numpy()
    other = ExampleOrder(lengths, seed=seed).chunks(epoch).first.numpy()
    assert (first != other).any()


@pytest.mark.parametrize(('seed', 'epoch'), [(3, 1), (3, 2), (4, 0)])
def test_another_seed_or_epoch_is_another_order_within_a_block(seed, epoch):
    lengths = (BLOCK_ROWS,)
    first = epoch_of(ExampleOrder(lengths, seed=3), 0, lengths)
    other = epoch_of(ExampleOrder(lengths, seed=seed), epoch, lengths)
    neighbours = np.mean(np.argsort(other)[first[1:]] - np.argsort(other)[first[:-1]] == 1)
    assert neighbours < 0.01  # nor are there longer runs that both have
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.05


def test_same_seed_is_the_same_order_whatever_was_asked_for_before():
    one, other = ExampleOrder(LENGTHS, seed=3), ExampleOrder(LENGTHS, seed=3)
    one.chunks(40)
    np.testing.assert_array_equal(epoch_of(one, 5), epoch_of(other, 5))


def test_rows_of_a_block_are_spread_over_all_of_it():
    rows = epoch_of(ExampleOrder((BLOCK_ROWS,), seed=3), 0, (BLOCK_ROWS,))
    for tenth in np.array_split(rows, 10):
        counts, _ = np.histogram(tenth, bins=10, range=(0, BLOCK_ROWS))
        assert counts.min() > BLOCK_ROWS / 100 * 0.7


def test_find_gives_the_chunk_and_place_of_an_example():
    order = ExampleOrder(LENGTHS, seed=3)
    example = 0
    for epoch in range(2):
        for number, count in enumerate(order.chunks(epoch).count.numpy()):
            for place in {0, 1, count // 2, count - 1} & set(range(count)):
                assert order.find(example + place) == (epoch, number, place)
            example += int(count)


def test_order_of_nothing_is_refused():
    with pytest.raises(ValueError, match='^there are no examples$'):
        ExampleOrder((0, 0), 0)


def test_every_row_comes_to_every_part_of_an_epoch():
    """Over many seeds a row is early as often as late."""
    lengths = (4 * BLOCK_ROWS,)
    quarters = collections.Counter(
        int(np.flatnonzero(epoch_of(ExampleOrder(lengths, seed), 0, lengths) == 5)[0]) // BLOCK_ROWS
        for seed in range(60)
    )
    assert set(quarters) == {0, 1, 2, 3}
    assert max(quarters.values()) < 35
