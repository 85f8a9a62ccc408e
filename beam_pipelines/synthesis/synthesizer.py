"""Synthetic spikes: smoothed recorded spikes with weighted noise masks added.

The formula is ``MA3(spike) + sum of w_i * mask_i``, as read back from the published figures. Example g of N depends
only on (seed, g): any range can be made anywhere, in any order, and is already shuffled over the whole dataset.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np

from beam_pipelines import domain, keyed_random
from beam_pipelines.datasets.metadata import LARGEST_WEIGHT
from beam_pipelines.errors import UserError

# Every block of this many examples has balanced classes in random order.
BLOCK = 1024

# Streams of random numbers; each has its own key.
ORDER, PAIRS, MASKS, WEIGHTS = range(4)

BITS_PER_NUMBER = 16

# So few that their float64 stay in the processor's cache.
_SMOOTHED_AT_A_TIME = 64


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a synthetic spike is made.

    Attributes
    ----------
    min_masks, max_masks : limits of the number of noise masks per spike, drawn uniformly; the masks differ.
    min_weight, max_weight : limits of the weight of each mask, drawn uniformly.

    Raises
    ------
    UserError
        If there are not 1 to 4 masks, or the limits are in the wrong order; the message names sero-build's flag.
    """

    min_masks: int = 1
    max_masks: int = 4
    min_weight: float = 0.31
    max_weight: float = 0.36

    def __post_init__(self) -> None:
        if not 1 <= self.min_masks <= self.max_masks <= 4:
            raise UserError(
                f'masks per spike must be 1..4, got {self.min_masks}..{self.max_masks}', field='--masks_per_spike'
            )
        if not self.min_weight <= self.max_weight:
            raise UserError(f'min_weight {self.min_weight} is above max_weight {self.max_weight}', field='--weights')
        if max(-self.min_weight, self.max_weight) > LARGEST_WEIGHT:
            raise UserError(
                f'at most {LARGEST_WEIGHT:,.0f} on either side of 0, got {self.min_weight}..{self.max_weight}',
                field='--weights',
            )


class Bank(Protocol):
    """What synthetic spikes are made from; see ``SpikeBank``."""

    @property
    def noise_masks(self) -> np.ndarray: ...

    def smoothed(self) -> np.ndarray: ...

    def rows_of_class(self) -> list[np.ndarray]: ...


@dataclasses.dataclass(frozen=True)
class SpikeBank:
    """What synthetic spikes are made from, in memory.

    Attributes
    ----------
    waveforms : (s, 160) float32, recorded spikes in pA, not smoothed.
    labels : (s,) integers, 0 SER or 1 NSER.
    noise_masks : (m, 160) float32, noise in pA; at least four, so that the masks of a spike can differ.
    """

    waveforms: np.ndarray
    labels: np.ndarray
    noise_masks: np.ndarray

    def smoothed(self) -> np.ndarray:
        """Smooths the spikes: (s, 160) float32, pA."""
        return smooth(self.waveforms)

    def rows_of_class(self) -> list[np.ndarray]:
        """Returns the rows of each class, int64."""
        return [np.flatnonzero(self.labels == label) for label in range(len(domain.LABEL_NAMES))]


@dataclasses.dataclass(frozen=True)
class Draws:
    """What n synthetic spikes are made of.

    Attributes
    ----------
    label : (n,) int64.
    spike : (n,) int64, row of the spike bank.
    masks : (n, 4) int64, rows of the noise masks; each pair of spike and first mask occurs once before any repeats.
    weights : (n, 4) float32, 0 where a mask is not used.
    """

    label: np.ndarray
    spike: np.ndarray
    masks: np.ndarray
    weights: np.ndarray

    def part(self, first: int, stop: int) -> Draws:
        """Returns the draws ``first..stop-1``."""
        return Draws(self.label[first:stop], self.spike[first:stop], self.masks[first:stop], self.weights[first:stop])


def smooth(waveforms: np.ndarray) -> np.ndarray:
    """Smooths spikes with the centred 3-point moving average (taps 1/3, 1/3, 1/3).

    The first and last samples have only one neighbour, so they become the mean of two: no value is invented.

    Parameters
    ----------
    waveforms : (n, 160) float32, pA.

    Returns
    -------
    (n, 160) float32, pA.
    """
    smoothed = np.empty(waveforms.shape, np.float32)
    for start in range(0, len(waveforms), _SMOOTHED_AT_A_TIME):
        exact = waveforms[start : start + _SMOOTHED_AT_A_TIME].astype(np.float64)
        block = smoothed[start : start + _SMOOTHED_AT_A_TIME]
        block[:, 1:-1] = (exact[:, :-2] + exact[:, 1:-1] + exact[:, 2:]) / 3
        block[:, 0] = (exact[:, 0] + exact[:, 1]) / 2
        block[:, -1] = (exact[:, -2] + exact[:, -1]) / 2
    return smoothed


class Synthesizer:
    """Makes any range of examples of one synthetic dataset.

    Parameters
    ----------
    bank : the recorded spikes and the noise masks.
    examples : how many examples of each class the dataset has, SER first.
    seed : the dataset's seed.
    recipe : how a spike is made.

    Attributes
    ----------
    smoothed : (s, 160) float32, the smoothed spikes in pA.
    noise_masks : (m, 160) float32, in pA.
    rows_of_class : the rows of ``smoothed`` of each class.
    examples, seed, recipe : as given.

    Raises
    ------
    ValueError
        If there are fewer than four masks, or a class has examples but no spikes.
    """

    def __init__(self, bank: Bank, examples: tuple[int, int], seed: int, recipe: Recipe):
        if len(bank.noise_masks) < 4:
            raise ValueError(f'{len(bank.noise_masks)} noise masks, at least 4 are needed')
        self.smoothed = bank.smoothed()
        self.noise_masks = np.asarray(bank.noise_masks, np.float32)
        self.rows_of_class = bank.rows_of_class()
        for name, rows, count in zip(domain.LABEL_NAMES, self.rows_of_class, examples, strict=True):
            if count and not len(rows):
                raise ValueError(
                    f'{count} synthetic {name} spikes wanted, but there is no {name} spike to make them of'
                )
        self.examples = examples
        self.seed = seed
        self.recipe = recipe

    def draw(self, example: np.ndarray) -> Draws:
        """Draws what examples are made of; each example's draws are independent of the others in the call.

        Parameters
        ----------
        example : (n,) integers, numbers of examples in any order, repeats allowed.

        Raises
        ------
        ValueError
            If the dataset has no example with that number.
        """
        example = np.asarray(example, np.int64)
        total = sum(self.examples)
        if len(example) and not 0 <= example.min() <= example.max() < total:
            raise ValueError(f'examples must be in 0..{total - 1}, got {example.min()}..{example.max()}')
        label, position = self._classes(example)
        spike = np.empty(len(label), np.int64)
        masks = np.empty((len(label), 4), np.int64)
        for value, rows in enumerate(self.rows_of_class):
            of_class = label == value
            row, masks[of_class, 0] = self._pairs(value, position[of_class])
            spike[of_class] = rows[row]
        self._draw_further_masks(example, masks)
        return Draws(label, spike, masks, self._draw_weights(example))

    def make(self, draws: Draws) -> np.ndarray:
        """Makes the waveforms: (n, 160) float32 in pA."""
        waveforms = self.smoothed[draws.spike]
        for masks, weights in zip(draws.masks.T, draws.weights.T, strict=True):
            used = np.flatnonzero(weights)
            waveforms[used] += weights[used, np.newaxis] * self.noise_masks[masks[used]]
        return waveforms

    def _classes(self, example: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the class of each example and its number among the examples of that class."""
        ser_total, total = self.examples[0], sum(self.examples)
        block = example // BLOCK
        block_size = np.minimum(BLOCK, total - block * BLOCK)
        block_key = keyed_random.random_bits(keyed_random.derive_key(self.seed, ORDER), block.astype(np.uint64))
        position = block * BLOCK + keyed_random.permute(example % BLOCK, block_size, block_key)
        # Spread the classes evenly over the positions, then the block's permutation hides the pattern.
        ser_before = position * ser_total // total
        is_ser = (position + 1) * ser_total // total > ser_before
        return np.where(is_ser, 0, 1), np.where(is_ser, ser_before, position - ser_before)

    def _pairs(self, label: int, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns (spike of the class, mask) of each example: every pair occurs once before any repeats."""
        pairs = len(self.rows_of_class[label]) * len(self.noise_masks)
        key = keyed_random.derive_key(self.seed, PAIRS, label)
        pass_key = keyed_random.random_bits(key, (position // max(pairs, 1)).astype(np.uint64))
        pair = keyed_random.permute(position % max(pairs, 1), pairs, pass_key)
        return pair // len(self.noise_masks), pair % len(self.noise_masks)

    def _random_numbers(self, stream: int, example: np.ndarray) -> np.ndarray:
        """Returns four 16-bit random numbers for each example: (n, 4) int64."""
        bits = keyed_random.random_bits(keyed_random.derive_key(self.seed, stream), example.astype(np.uint64))
        shifts = np.arange(4, dtype=np.uint64) * np.uint64(BITS_PER_NUMBER)
        return (bits[:, np.newaxis] >> shifts & np.uint64((1 << BITS_PER_NUMBER) - 1)).astype(np.int64)

    def _draw_further_masks(self, example: np.ndarray, masks: np.ndarray) -> None:
        # Each further mask comes from its own third of the distances from the first, so no two are the same.
        count = len(self.noise_masks)
        edges = 1 + np.arange(4) * (count - 1) // 3
        numbers = self._random_numbers(MASKS, example)[:, :3]
        distance = edges[:-1] + (numbers * np.diff(edges) >> BITS_PER_NUMBER)
        masks[:, 1:] = (masks[:, :1] + distance) % count

    def _draw_weights(self, example: np.ndarray) -> np.ndarray:
        recipe = self.recipe
        numbers = self._random_numbers(WEIGHTS, example)
        weights = (
            recipe.min_weight + (recipe.max_weight - recipe.min_weight) * numbers / (1 << BITS_PER_NUMBER)
        ).astype(np.float32)
        # The fourth number of the mask stream is not used for a mask: it sets the number of masks.
        spread = recipe.max_masks - recipe.min_masks + 1
        used = recipe.min_masks + (self._random_numbers(MASKS, example)[:, 3] * spread >> BITS_PER_NUMBER)
        weights[np.arange(4) >= used[:, np.newaxis]] = 0
        return weights
