"""Typical and atypical cells, by the width of their spikes: the atypical ones are why a network is asked at all."""

from __future__ import annotations

import math

import numpy as np

from beam_pipelines import domain
from beam_pipelines.spikes import published_udi


def typical_cut_ms() -> float:
    """Returns the UDI that divides the published neurons (Figure 2, 150 of each class) with the fewest mistakes.

    SER above, NSER below. Where several bins' borders divide them as well, the lowest.
    """
    bins = max(map(len, published_udi.FIGURE_2_COUNTS.values()))
    ser, nser = (
        np.pad(counts, (0, bins - len(counts)))
        for counts in (published_udi.FIGURE_2_COUNTS[name] for name in domain.LABEL_NAMES)
    )
    mistaken = np.append(0, np.cumsum(ser)) + np.append(nser.sum(), nser.sum() - np.cumsum(nser))
    return round(float(mistaken.argmin() * published_udi.BIN_MS), 6)


def is_typical(udi_ms: float, label: int) -> bool | None:
    """Whether a cell's UDI lies on its class's side of the cut; None where the UDI cannot be measured.

    A rule that calls cells by their width alone is right on the typical ones and wrong on the atypical ones.
    """
    if math.isnan(udi_ms):
        return None
    return (udi_ms < typical_cut_ms()) == bool(label)
