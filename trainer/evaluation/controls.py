"""What the evaluation can be passed with by other means than the shape of a spike: controls that stand beside a model.

``day_only``       the majority class of the cell's recording day among the training cells; on another day, of all
``noise_alone``    a random forest on the noise before the spikes, trained on the training cells
``label_shuffle``  the nearest training cells by their mean spike, their labels shuffled by cell, 100 times

A control takes seconds and trains no network. ``noise_alone`` sees the first 24 samples of each spike window (0.6 ms),
which end 0.4 ms before the trigger, without their mean: of each cell the logarithm of their mean power spectrum.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from beam_pipelines import domain
from trainer.evaluation.metrics import bootstrap_difference, wilson_interval
from trainer.evaluation.results import CellResult, ControlResult

NOISE_SAMPLES = 24

TITLES = {
    'day_only': 'control: the day alone',
    'noise_alone': 'control: noise alone',
    'label_shuffle': 'control: shuffled labels',
}

_TREES = 100
_NEIGHBOURS = 5
_SHUFFLES = 100
_SEED = 0
_INTERVAL = (2.5, 97.5)  # percentiles


@dataclasses.dataclass(frozen=True)
class DescribedCells:
    """What the controls know of n cells.

    Attributes
    ----------
    cell_id : their names.
    label : (n,) int, 0 SER or 1 NSER.
    spikes : (n,) int, how many each has.
    noise : (n, 12) float, logarithm of the mean power spectrum of the samples before the spikes.
    waveform : (n, 160) float, mean spike in pA.
    """

    cell_id: tuple[str, ...]
    label: np.ndarray
    spikes: np.ndarray
    noise: np.ndarray
    waveform: np.ndarray


def describe_cells(
    waveform: np.ndarray, label: np.ndarray, cell: np.ndarray, cell_names: Sequence[str]
) -> DescribedCells:
    """Describes the cells that some spikes are of, in the order of their names.

    Parameters
    ----------
    waveform : (n, 160) float32, spikes in pA.
    label, cell : (n,) int, of the spikes.
    cell_names : what ``cell`` indexes.
    """
    numbers = sorted(np.unique(cell).tolist(), key=lambda number: cell_names[number])
    rows = [np.flatnonzero(cell == number) for number in numbers]
    return DescribedCells(
        cell_id=tuple(cell_names[number] for number in numbers),
        label=np.array([label[of_cell[0]] for of_cell in rows], int),
        spikes=np.array([len(of_cell) for of_cell in rows], int),
        noise=np.array([_log_power(waveform[of_cell, :NOISE_SAMPLES]) for of_cell in rows]),
        waveform=np.array([waveform[of_cell].mean(axis=0) for of_cell in rows]),
    )


def call_cells(train: DescribedCells, tested: DescribedCells, day_pattern: str | None = None) -> dict[str, np.ndarray]:
    """Returns what each control makes of the tested cells, from the training cells alone.

    Parameters
    ----------
    train, tested : at least one cell each.
    day_pattern : see ``domain.recording_day``.

    Returns
    -------
    (r, n) float by control, the probability of SER of n cells in r repetitions.
    """
    return {
        'day_only': _day_only(train, tested, day_pattern),
        'noise_alone': _noise_alone(train, tested),
        'label_shuffle': _label_shuffle(train, tested),
    }


def score_controls(p_ser: Mapping[str, np.ndarray], tested: DescribedCells) -> dict[str, ControlResult]:
    """Scores the controls as models are; each spike is called as its cell.

    The interval of ``label_shuffle`` holds the accuracies of 95 % of the shuffles; that of the others is Wilson's.
    """
    return score_folds([p_ser], [tested])


def score_folds(
    p_ser: Sequence[Mapping[str, np.ndarray]], tested: Sequence[DescribedCells]
) -> dict[str, ControlResult]:
    """Scores, as ``score_controls``, the calls of all folds together; each fold has cells of its own."""
    cell_ids = [cell_id for of_fold in tested for cell_id in of_fold.cell_id]
    label, spikes = (np.concatenate([getattr(fold, name) for fold in tested]) for name in ('label', 'spikes'))
    return {
        name: _score(np.concatenate([of_fold[name] for of_fold in p_ser], axis=1), cell_ids, label, spikes)
        for name in TITLES
    }


def compare_with_noise(cells: Sequence[CellResult], noise_alone: ControlResult) -> dict:
    """Compares a model with the control that has seen nothing but noise, on the same cells.

    Returns
    -------
    ``accuracy_difference``, its 95 % interval by a bootstrap over cells (``_low``, ``_high``), ``n``, ``is_better``
    (whether the interval lies above zero) and ``words``.
    """
    known = [cell for cell in cells if cell.label is not None]
    correct = np.array([bool(cell.correct) for cell in known], float)
    by_noise = np.array([noise_alone.correct[cell.cell] for cell in known], float)
    low, high = bootstrap_difference(correct, by_noise)
    difference = float(np.mean(correct - by_noise)) if known else float('nan')
    if low > 0:
        words = 'better than noise alone'
    elif difference > 0:
        words = 'not shown to be better than noise alone'
    else:
        words = 'NOT better than noise alone'
    return {
        'accuracy_difference': difference,
        'accuracy_difference_low': low,
        'accuracy_difference_high': high,
        'n': len(known),
        'is_better': bool(low > 0),
        'words': words,
    }


def _log_power(samples: np.ndarray) -> np.ndarray:
    """Returns the logarithm of the mean power spectrum of stretches, without their means: (n, t) -> (t / 2,)."""
    around_mean = samples - samples.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(around_mean * np.hanning(samples.shape[1]), axis=1)[:, 1:]
    return np.log((np.abs(spectrum) ** 2).mean(axis=0) + np.finfo(np.float32).tiny)


def _day_only(train: DescribedCells, tested: DescribedCells, day_pattern: str | None) -> np.ndarray:
    def more_nser(labels: Sequence[int], otherwise: bool) -> bool:
        nser = sum(labels)
        return otherwise if 2 * nser == len(labels) else 2 * nser > len(labels)

    labels_of_day = collections.defaultdict(list)
    for cell_id, label in zip(train.cell_id, train.label, strict=True):
        labels_of_day[domain.recording_day(cell_id, day_pattern)].append(int(label))
    overall = more_nser(train.label.tolist(), otherwise=False)
    days = [domain.recording_day(cell_id, day_pattern) for cell_id in tested.cell_id]
    return np.array([[0.0 if more_nser(labels_of_day.get(day, []), overall) else 1.0 for day in days]])


def _noise_alone(train: DescribedCells, tested: DescribedCells) -> np.ndarray:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(_TREES, random_state=_SEED).fit(train.noise, train.label)
    # With training cells of one class the forest knows no other.
    is_ser = (forest.classes_ == 0).astype(float)
    return (forest.predict_proba(tested.noise) @ is_ser)[np.newaxis]


def _label_shuffle(train: DescribedCells, tested: DescribedCells) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(_SEED)
    shuffled = np.array([rng.permutation(train.label) for _ in range(_SHUFFLES)])
    scale = train.waveform.std(axis=0)
    scale[scale == 0] = 1
    nearest = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(train.label))).fit(train.waveform / scale)
    neighbours = nearest.kneighbors(tested.waveform / scale, return_distance=False)
    return (shuffled[:, neighbours] == 0).mean(axis=2)


def _score(p_ser: np.ndarray, cell_ids: Sequence[str], label: np.ndarray, spikes: np.ndarray) -> ControlResult:
    correct = (p_ser < 0.5) == (label == 1)
    by_cell = [_metrics(of_repetition, label, np.ones_like(spikes)) for of_repetition in p_ser]
    by_spike = [_metrics(of_repetition, label, spikes) for of_repetition in p_ser]
    if len(p_ser) == 1:
        low, high = wilson_interval(int(correct.sum()), len(label))
    else:
        low, high = map(float, np.percentile(correct.mean(axis=1), _INTERVAL))
    cell = _mean(by_cell) | {'accuracy_low': low, 'accuracy_high': high, 'repetitions': len(p_ser)}
    return ControlResult(
        {'spike': _mean(by_spike), 'cell': cell}, dict(zip(cell_ids, correct.mean(axis=0).tolist(), strict=True))
    )


def _metrics(p_ser: np.ndarray, label: np.ndarray, spikes: np.ndarray) -> dict[str, float]:
    """Returns what ``binary_metrics`` does if each cell counts as often as it has spikes."""
    from sklearn.metrics import roc_auc_score

    correct, is_ser = (p_ser < 0.5) == (label == 1), label == 0
    both = is_ser.any() and not is_ser.all()
    return {
        'accuracy': float(np.average(correct, weights=spikes)),
        'sensitivity': float(np.average(correct[is_ser], weights=spikes[is_ser])) if is_ser.any() else math.nan,
        'specificity': float(np.average(correct[~is_ser], weights=spikes[~is_ser])) if not is_ser.all() else math.nan,
        'auc': float(roc_auc_score(is_ser, p_ser, sample_weight=spikes)) if both else math.nan,
        'n': int(spikes.sum()),
    }


def _mean(metrics: Sequence[Mapping]) -> dict:
    """Returns the mean of each metric over repetitions."""
    return {name: type(value)(np.mean([of[name] for of in metrics])) for name, value in metrics[0].items()}
