"""Writes arrays of spikes as the authors published theirs."""

import pathlib

import numpy as np


def write_arrays(folder: pathlib.Path, name: str, spikes_of_cell: dict[str, int], label: int) -> np.ndarray:
    """Writes a set of arrays, cell after cell; returns the currents, (n, 160) float32 in pA."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = sum(spikes_of_cell.values())
    # The number of the row is in each current, so that a test can find where it went.
    current_pa = np.random.default_rng(label).normal(0, 3, (examples, 160)).astype(np.float32)
    current_pa[:, 0] = np.arange(examples)
    observations = np.empty((examples, 160, 2, 1))
    observations[:, :, 0, 0] = np.arange(160) / 40_000
    observations[:, :, 1, 0] = current_pa
    cells = np.repeat(list(spikes_of_cell), list(spikes_of_cell.values()))[:, np.newaxis]
    np.save(folder / f'{name}_observations.npy', observations)
    np.save(folder / f'{name}_labels.npy', np.full((examples, 1), label))
    np.save(folder / f'{name}_cells.npy', cells)
    return current_pa
