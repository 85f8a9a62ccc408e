import numpy as np
import pytest

from beam_pipelines import keyed_random

_KEY = keyed_random.derive_key(3, 1)


@pytest.mark.parametrize('size', [*range(1, 70), 127, 128, 129, 1000, 1024, 4095, 65_536, 65_537, 100_003])
def test_permute_is_one_to_one(size):
    permuted = keyed_random.permute(np.arange(size), size, _KEY)
    np.testing.assert_array_equal(np.sort(permuted), np.arange(size))


@pytest.mark.parametrize('size', [6_675_300, 12_700_600, 2**40 + 1])
def test_permute_of_a_part_has_no_value_twice_and_stays_inside(size):
    index = np.linspace(0, size - 1, 200_000).astype(np.int64)
    permuted = keyed_random.permute(index, size, _KEY)
    assert len(np.unique(permuted)) == len(np.unique(index))
    assert permuted.min() >= 0
    assert permuted.max() < size


def test_permute_of_any_part_is_that_part_of_the_whole():
    whole = keyed_random.permute(np.arange(10_007), 10_007, _KEY)
    for first, stop in ((0, 1), (17, 4_000), (9_999, 10_007)):
        np.testing.assert_array_equal(keyed_random.permute(np.arange(first, stop), 10_007, _KEY), whole[first:stop])


def test_permute_of_nothing_is_nothing():
    assert keyed_random.permute(np.arange(0), 0, _KEY).tolist() == []


def test_permute_takes_a_size_and_a_key_for_each_index():
    index = np.array([0, 1, 2, 0, 1, 2, 3, 4])
    size = np.array([3, 3, 3, 5, 5, 5, 5, 5])
    keys = keyed_random.random_bits(_KEY, np.array([0, 0, 0, 1, 1, 1, 1, 1], np.uint64))
    permuted = keyed_random.permute(index, size, keys)
    assert sorted(permuted[:3]) == [0, 1, 2]
    assert sorted(permuted[3:]) == [0, 1, 2, 3, 4]


def test_permute_of_a_small_size_does_not_depend_on_larger_ones_beside_it():
    alone = keyed_random.permute(np.arange(30), np.full(30, 30), _KEY)
    beside = keyed_random.permute(np.concatenate([np.arange(30), [7]]), np.array([30] * 30 + [1024]), _KEY)
    np.testing.assert_array_equal(beside[:30], alone)


def test_keys_give_different_permutations():
    index = np.arange(1000)
    one = keyed_random.permute(index, 1000, keyed_random.derive_key(0))
    other = keyed_random.permute(index, 1000, keyed_random.derive_key(1))
    assert np.mean(one == other) < 0.02


def test_permuted_neighbours_are_no_neighbours():
    permuted = keyed_random.permute(np.arange(100_000), 100_000, _KEY)
    assert abs(np.corrcoef(permuted[:-1], permuted[1:])[0, 1]) < 0.02


def test_random_bits_depend_on_key_and_index_alone():
    index = np.array([5, 2**63, 5], np.uint64)
    bits = keyed_random.random_bits(_KEY, index)
    assert bits[0] == bits[2] != bits[1]
    assert keyed_random.random_bits(keyed_random.derive_key(3, 2), index)[0] != bits[0]


def test_random_bits_are_balanced():
    bits = keyed_random.random_bits(_KEY, np.arange(40_000, dtype=np.uint64))
    share = [np.mean(bits >> np.uint64(bit) & np.uint64(1)) for bit in range(64)]
    assert max(abs(np.array(share) - 0.5)) < 0.015


def test_random_numbers_stay_the_same_between_versions():
    # A dataset is named by its seed: other numbers would be another dataset under the same name.
    permuted = keyed_random.permute(np.arange(8), 1000, keyed_random.derive_key(0))
    assert permuted.tolist() == [349, 997, 819, 352, 477, 227, 132, 322]
    assert int(keyed_random.derive_key(1, 2, 3)) == 2_869_315_087_210_772_132
