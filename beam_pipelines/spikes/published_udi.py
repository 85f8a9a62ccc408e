"""The published histograms of the spike width (UDI), as numbers.

UDI is the upstroke-downstroke interval, in ms: here the time from a spike's trough to the positive peak after it. The
counts were read back from the authors' figures (arXiv 2405.05516); each is a whole number of neurons per bin of
0.05 ms, the first bin starting at 0 ms. Bins after the last one given are empty.
"""

from __future__ import annotations

import math

import numpy as np

from beam_pipelines import domain

BIN_MS = 0.05

# Neurons per bin, by label name. Figure 2: 150 and 150 neurons, the training recordings.
FIGURE_2_COUNTS = {
    'SER': (
        0, 0, 0, 0, 1, 2, 0, 1, 0, 0, 2, 1, 2, 2, 5, 6, 2, 6, 3, 5, 10, 4, 11, 5, 6, 9, 6, 4, 7, 7, 10, 4, 6, 7, 2, 3,
        1, 3, 0, 2, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 1,
    ),
    'NSER': (0, 0, 0, 3, 12, 12, 6, 16, 8, 6, 20, 9, 19, 6, 12, 15, 2, 4),
}  # fmt: skip

# Figure 3: 120 and 55 neurons.
FIGURE_3_COUNTS = {
    'SER': (
        0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 2, 1, 4, 6, 3, 6, 2, 1, 7, 1, 4, 8, 5, 7, 5, 4, 7, 7, 8, 5, 5, 5, 3, 2,
        1, 3, 0, 1, 1, 1, 0, 0, 0, 1,
    ),
    'NSER': (0, 0, 0, 1, 2, 6, 0, 3, 1, 2, 7, 3, 8, 4, 8, 6, 2, 2),
}  # fmt: skip


def quantile_ms(counts: tuple[int, ...], level: np.ndarray) -> np.ndarray:
    """Returns the UDI, in ms, below which a share ``level`` (0 to 1) of the histogram's neurons lies.

    Neurons are spread evenly within a bin, so ``quantile_ms(counts, rng.random(n))`` draws from the histogram.
    A level in a gap between two neurons goes to the bin on its right.

    >>> quantile_ms((1, 0, 1), np.array([0.0, 0.25, 0.75]))
    array([0.   , 0.025, 0.125])
    """
    neurons = np.asarray(counts)
    rank = np.asarray(level) * neurons.sum()
    neurons_up_to_bin = np.cumsum(neurons)
    bin_index = np.minimum(np.searchsorted(neurons_up_to_bin, rank, side='right'), neurons.size - 1)
    rank_in_bin = rank - (neurons_up_to_bin - neurons)[bin_index]
    return BIN_MS * (bin_index + rank_in_bin / neurons[bin_index])


def sample_ms(counts: tuple[int, ...]) -> np.ndarray:
    """Returns one UDI per neuron of the histogram, in ms and ascending: each bin's neurons spread evenly over it."""
    n_neurons = sum(counts)
    return quantile_ms(counts, (np.arange(n_neurons) + 0.5) / n_neurons)


def typical_cut_ms() -> float:
    """Returns the UDI that separates the published neurons (Figure 2, 150 of each class) with the fewest errors.

    SER lies above, NSER below. If several bin edges separate them equally well, the lowest is returned.
    """
    bins = max(map(len, FIGURE_2_COUNTS.values()))
    ser, nser = (
        np.pad(counts, (0, bins - len(counts))) for counts in (FIGURE_2_COUNTS[name] for name in domain.LABEL_NAMES)
    )
    mistaken = np.append(0, np.cumsum(ser)) + np.append(nser.sum(), nser.sum() - np.cumsum(nser))
    return round(float(mistaken.argmin() * BIN_MS), 6)


def is_typical(udi_ms: float, label: int) -> bool | None:
    """Whether a cell's UDI lies on its class's side of the cut; None where the UDI cannot be measured.

    A rule based on the width alone classifies typical cells correctly and atypical ones wrongly; the atypical ones are
    why a network is needed.
    """
    if math.isnan(udi_ms):
        return None
    return (udi_ms < typical_cut_ms()) == bool(label)
