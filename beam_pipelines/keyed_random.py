"""Seeded permutations and random numbers that are functions of (key, index): any part can be computed on its own.

Nothing here depends on NumPy's random generators, whose streams may change between NumPy versions.
"""

from __future__ import annotations

import numpy as np

GAMMA = np.uint64(0x9E3779B97F4A7C15)
ROUNDS = 4


def mix(values: np.ndarray) -> np.ndarray:
    """Scrambles 64-bit integers one-to-one (the finaliser of SplitMix64, Steele et al. 2014)."""
    with np.errstate(over='ignore'):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))


def derive_key(*parts: int) -> np.uint64:
    """Derives a 64-bit key from small non-negative integers, such as a seed and the number of a stream."""
    key = np.zeros(1, np.uint64)
    for part in parts:
        key = random_bits(key, np.array([part], np.uint64))
    return key[0]


def random_bits(key: np.uint64 | np.ndarray, index: np.ndarray) -> np.ndarray:
    """Returns 64 random bits for each index: it depends on (key, index) alone.

    Parameters
    ----------
    key : a key, or one for each index.
    index : (n,) uint64.
    """
    with np.errstate(over='ignore'):
        return mix(key + (index + np.uint64(1)) * GAMMA)


def permute(index: np.ndarray, size: int | np.ndarray, key: np.uint64 | np.ndarray) -> np.ndarray:
    """Permutes ``0..size-1``: a seeded bijection, evaluated only at the given indices.

    A Feistel network on the next power of two, walked until it lands below ``size`` (Black and Rogaway 2002).

    Parameters
    ----------
    index : (n,) integers in ``0..size-1``.
    size : how many elements are permuted, one number or one for each index.
    key : the permutation's key, one or one for each index.

    Returns
    -------
    (n,) int64 in ``0..size-1``.
    """
    values = np.asarray(index).astype(np.uint64)
    if not len(values):
        return values.astype(np.int64)
    size = np.asarray(size, np.uint64)
    # Computed per index, so the result does not depend on the other indices in the call.
    bits = np.maximum(np.frexp((size - np.uint64(1)).astype(np.float64))[1], 2).astype(np.uint64)
    size, bits, key = (np.broadcast_to(part, values.shape) for part in (size, bits, np.asarray(key, np.uint64)))
    values = _feistel(values, bits, key)
    outside = np.flatnonzero(values >= size)
    while len(outside):
        values[outside] = _feistel(values[outside], bits[outside], key[outside])
        outside = outside[values[outside] >= size[outside]]
    return values.astype(np.int64)


def _feistel(values: np.ndarray, bits: np.ndarray, key: np.ndarray) -> np.ndarray:
    right_bits = bits // np.uint64(2)
    left_bits = bits - right_bits
    left = values >> right_bits
    right = values & ((np.uint64(1) << right_bits) - np.uint64(1))
    # Each round swaps the halves and their widths; an even number of rounds restores the widths.
    for round_number in range(ROUNDS):
        scrambled = random_bits(key, right + np.uint64(round_number << 32))
        left, right = right, left ^ (scrambled >> (np.uint64(64) - left_bits))
        left_bits, right_bits = right_bits, left_bits
    return left << right_bits | right
