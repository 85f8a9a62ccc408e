"""Reads the mean spikes and interval histograms of real neurons from CSV files, one row a neuron.

    DIR/waveforms.csv    the mean spike at 100 kHz; the first peak, near sample 100, is 1
    DIR/labels.csv       the neuron's type, and perhaps its layer: E, FS or SOM, such as "FS 5.0"
    DIR/isi_dist.csv     the share of its inter-spike intervals in bins of 1 ms from 0 on; longer ones are missing

Each file starts with a header. These are the files of github.com/JesusGF1/hippie_benchmarking_release (BSD 3-Clause),
folder datasets/juxtacellular_mouse_s1_area: neurons of the mouse barrel cortex, recorded with a glass pipette in vivo
(Yu et al. 2019, Nature Neuroscience).
"""

from __future__ import annotations

import dataclasses
import os
import warnings

import numpy as np

from beam_pipelines.errors import UserError

WAVEFORM_RATE_HZ = 100_000
CELL_TYPES = ('E', 'FS', 'SOM')
INTERVAL_BIN_MS = 1.0

_WAVEFORMS, _LABELS, _INTERVALS = 'waveforms.csv', 'labels.csv', 'isi_dist.csv'
# The first peak, from which a spike's direction is read, lies within these samples.
_FIRST_PEAK = slice(90, 111)
# Rounding can bring the sum of the shares above 1.
_MOST_SHARE = 1.001


@dataclasses.dataclass(frozen=True)
class MeanSpike:
    """The mean spike of a real neuron.

    Attributes
    ----------
    row : of the neuron in the files, from 1.
    cell_type : one of `CELL_TYPES`.
    waveform : (n,) float64 at 100 kHz, as a share of the depth of its first trough, which points downward.
    interval_share : (m,) float64, share of the intervals in each bin; together at most 1.
    """

    row: int
    cell_type: str
    waveform: np.ndarray
    interval_share: np.ndarray

    @property
    def trough(self) -> int:
        """The sample of the first trough."""
        return _FIRST_PEAK.start + int(np.argmin(self.waveform[_FIRST_PEAK]))


def read_mean_spikes(folder: str | os.PathLike) -> list[MeanSpike]:
    """Reads the neurons in a folder, spikes inverted if they point upward.

    Raises
    ------
    UserError
        If a file is missing or damaged, the files disagree, or a type is unknown.
    """
    waveforms, intervals = _read_numbers(folder, _WAVEFORMS), _read_numbers(folder, _INTERVALS)
    cell_types = _read_types(folder)
    if not len(waveforms) == len(intervals) == len(cell_types):
        raise UserError(
            f'{_WAVEFORMS}, {_INTERVALS} and {_LABELS} have {len(waveforms)}, {len(intervals)} and {len(cell_types)}'
            ' rows; expected one a neuron in each',
            file=folder,
        )
    if waveforms.shape[1] < _FIRST_PEAK.stop:
        raise UserError(
            f'{waveforms.shape[1]} samples a spike; expected at least {_FIRST_PEAK.stop}',
            file=_path(folder, _WAVEFORMS),
        )
    spikes = []
    for row, (waveform, share, cell_type) in enumerate(zip(waveforms, intervals, cell_types, strict=True), start=1):
        first_peak = waveform[_FIRST_PEAK]
        extreme = first_peak[np.argmax(np.abs(first_peak))]
        if extreme == 0:
            raise UserError(f'row {row}: no peak near sample 100', file=_path(folder, _WAVEFORMS))
        if share.min() < 0 or not 0 < share.sum() <= _MOST_SHARE:
            raise UserError(
                f'row {row}: the shares sum to {share.sum():g}; expected more than 0 and at most 1',
                file=_path(folder, _INTERVALS),
            )
        spikes.append(MeanSpike(row, cell_type, waveform / -extreme, share / max(1.0, share.sum())))
    return spikes


def _path(folder: str | os.PathLike, name: str) -> str:
    return os.path.join(folder, name)


def _read_numbers(folder: str | os.PathLike, name: str) -> np.ndarray:
    path = _path(folder, name)
    try:
        with open(path, encoding='utf-8') as file, warnings.catch_warnings():
            warnings.simplefilter('ignore')  # An empty file is refused below.
            rows = np.loadtxt(file, delimiter=',', skiprows=1, ndmin=2)
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError as error:
        raise UserError(f'cannot be read: {error}', file=path) from None
    if not rows.size or not np.isfinite(rows).all():
        raise UserError('expected rows of finite numbers below a header', file=path)
    return rows


def _read_types(folder: str | os.PathLike) -> list[str]:
    path = _path(folder, _LABELS)
    try:
        with open(path, encoding='utf-8') as file:
            labels = [line.strip() for line in file.read().splitlines()[1:] if line.strip()]
    except OSError as error:
        raise _unreadable(path, error) from None
    except UnicodeDecodeError as error:
        raise UserError(f'cannot be read: {error}', file=path) from None
    cell_types = []
    for row, label in enumerate(labels, start=1):
        found = next((name for name in CELL_TYPES if label.startswith(name)), None)
        if found is None:
            raise UserError(f'row {row}: unknown type {label!r}; expected {", ".join(CELL_TYPES)}', file=path)
        cell_types.append(found)
    return cell_types


def _unreadable(path: str, error: OSError) -> UserError:
    return UserError(
        f'cannot be read: {error.strerror}; expected a folder with {_WAVEFORMS}, {_LABELS} and {_INTERVALS}', file=path
    )
