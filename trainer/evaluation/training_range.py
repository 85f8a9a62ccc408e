"""The traits of cells, and the range of those that a model was trained on: ``training_range.npz``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

import numpy as np

from beam_pipelines import domain
from beam_pipelines.errors import UserError
from beam_pipelines.spikes.waveform_features import (
    measure_amplitude_pa,
    measure_firing_rate_hz,
    measure_noise_pa,
    measure_udi_ms,
)
from beam_pipelines.storage.arrays import read_npz
from beam_pipelines.storage.atomic_files import staged

FILE_NAME = 'training_range.npz'

# The kinds of number of each array.
_KINDS = {
    'label': 'iu',
    'mean_waveform': 'f',
    'udi_ms': 'f',
    'amplitude_pa': 'f',
    'noise_pa': 'f',
    'firing_rate_hz': 'f',
    'n_spikes': 'iu',
}
# Of a cell with one spike, or whose upstroke ends beyond the window.
_MAY_BE_UNKNOWN = ('udi_ms', 'firing_rate_hz')


@dataclasses.dataclass(frozen=True)
class CellTraits:
    """The traits of a cell that are compared with those of the training cells.

    Attributes
    ----------
    mean_waveform : (160,) float32, pA.
    udi_ms, amplitude_pa, noise_pa, firing_rate_hz, n_spikes : as in ``TrainingRange``.
    sampling_rate_hz : of its recording.
    """

    mean_waveform: np.ndarray
    udi_ms: float
    amplitude_pa: float
    noise_pa: float
    firing_rate_hz: float
    n_spikes: int
    sampling_rate_hz: float


def measure_traits(
    waveform: np.ndarray, trigger: np.ndarray, sampling_rate_hz: float = domain.SAMPLING_RATE_HZ
) -> CellTraits:
    """Measures a cell by its spikes.

    Parameters
    ----------
    waveform : (n, 160) float32, pA.
    trigger : (n,) int64, sample indices at 40 kHz, in any order.
    sampling_rate_hz : of the recording.
    """
    mean_waveform = waveform.mean(axis=0)
    return CellTraits(
        mean_waveform,
        measure_udi_ms(mean_waveform, domain.SAMPLING_RATE_HZ),
        float(measure_amplitude_pa(mean_waveform)),
        # The median: an artefact before one spike says nothing about the recording.
        float(np.median(measure_noise_pa(waveform))),
        measure_firing_rate_hz(trigger),
        len(waveform),
        sampling_rate_hz,
    )


@dataclasses.dataclass(frozen=True)
class TrainingRange:
    """The traits of each of the n cells of ``original/train``.

    Attributes
    ----------
    label : (n,) int64, 0 SER, 1 NSER.
    mean_waveform : (n, 160) float32, pA.
    udi_ms : (n,) float64, of the mean spike; NaN where it cannot be measured.
    amplitude_pa : (n,) float64, depth of the mean spike's trough below the level before it.
    noise_pa : (n,) float64, standard deviation of the samples before the spikes.
    firing_rate_hz : (n,) float64, by the median interval between triggers; NaN with fewer than two spikes.
    n_spikes : (n,) int64.
    """

    label: np.ndarray
    mean_waveform: np.ndarray
    udi_ms: np.ndarray
    amplitude_pa: np.ndarray
    noise_pa: np.ndarray
    firing_rate_hz: np.ndarray
    n_spikes: np.ndarray


def measure_range(waveform: np.ndarray, label: np.ndarray, cell: np.ndarray, trigger: np.ndarray) -> TrainingRange:
    """Measures the cells that some spikes are of, in the order of their numbers.

    Parameters
    ----------
    waveform : (n, 160) float32, pA.
    label, cell, trigger : (n,) int64, of the spikes.
    """
    numbers = np.unique(cell)
    traits = [measure_traits(waveform[cell == number], trigger[cell == number]) for number in numbers]
    measured = {
        field.name: np.array([getattr(of_cell, field.name) for of_cell in traits])
        for field in dataclasses.fields(TrainingRange)
        if field.name != 'label'
    }
    return TrainingRange(label=np.array([label[cell == number][0] for number in numbers]), **measured)


def is_written(folder: str) -> bool:
    """Whether a run's folder holds a training range: not before its training has ended."""
    return os.path.exists(os.path.join(folder, FILE_NAME))


def write(folder: str, training_range: TrainingRange) -> None:
    """Writes ``training_range.npz`` atomically."""
    path = os.path.join(folder, FILE_NAME)
    with staged(path) as temporary, open(temporary, 'wb') as file:
        np.savez(
            file, **{field.name: getattr(training_range, field.name) for field in dataclasses.fields(TrainingRange)}
        )


def load(folder: str) -> TrainingRange:
    """Loads ``training_range.npz``.

    Raises
    ------
    UserError
        If it is missing or damaged.
    """
    path = os.path.join(folder, FILE_NAME)
    try:
        loaded = TrainingRange(**read_npz(path, _KINDS))
    except FileNotFoundError:
        raise UserError(f'{path}: no such file; sero-train writes it when a run has ended') from None
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}') from None
    for problem in _problems(loaded):
        raise UserError(f'{path}: {problem}')
    return loaded


def _can_be_measured(name: str, loaded: TrainingRange) -> bool:
    if name == 'firing_rate_hz':
        return bool((loaded.n_spikes > 1).any())
    measured = [measure_udi_ms(mean, domain.SAMPLING_RATE_HZ) for mean in loaded.mean_waveform]
    return not np.isnan(measured).all()


def _problems(loaded: TrainingRange) -> Iterator[str]:
    """Yields what cannot have been measured on cells."""
    cells = len(np.atleast_1d(loaded.label))
    if not cells:
        yield 'has no cells'
    for name in _KINDS:
        expected = (cells, domain.SPIKE_SAMPLES) if name == 'mean_waveform' else (cells,)
        values = getattr(loaded, name)
        if values.shape != expected:
            yield f'{name} has the shape {values.shape}, expected {expected}'
        is_known = ~np.isnan(values) if name in _MAY_BE_UNKNOWN else np.isfinite(values)
        if name not in _MAY_BE_UNKNOWN and not is_known.all() or np.isinf(values).any():
            yield f'{name} is not a number for {cells - int(np.sum(is_known.reshape(cells, -1).all(axis=1)))} cells'
        # Where all are unknown nothing is ever out of range.
        if name in _MAY_BE_UNKNOWN and not is_known.any() and _can_be_measured(name, loaded):
            yield f'{name} is not a number for any cell'
    if not np.isin(loaded.label, range(len(domain.LABEL_NAMES))).all():
        yield f'label holds {sorted(set(loaded.label.tolist()))}, expected 0 or 1'
    if (loaded.n_spikes < 1).any():
        yield f'n_spikes holds {loaded.n_spikes.min()}, expected 1 or more'
