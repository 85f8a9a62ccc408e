"""Results for a cell, a dataset split, a model and a new recording. Plain data, no computation."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines import domain
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.cell_warnings import CellWarning

if TYPE_CHECKING:  # it would load Keras
    from trainer.models.model_info import ModelInfo


# The splits that are reported on, the headline first.
OTHER_DAYS, ORIGINAL_TEST = 'non_homogeneous/test', 'original/test'


@dataclasses.dataclass(frozen=True)
class CellResult:
    """The verdict on one cell and its evidence.

    Attributes
    ----------
    cell : ``day#number``.
    verdict : ``SER``, ``NSER`` or ``undecided``.
    p_ser : probability that the cell is serotonergic, 0..1; ``p_ser_low`` and ``p_ser_high`` bound its 95 % interval.
    p_ser_published : the published consensus, which is not calibrated.
    n_spikes : how many spikes the verdict rests on.
    udi_ms : upstroke-downstroke interval of the mean spike in ms; NaN where it cannot be measured.
    label : 0 SER, 1 NSER, None where unknown.
    mean_waveform : (160,) float32, the cell's mean spike in pA.
    warnings : what to know before the verdict is trusted.
    p_ser_with_firing : probability of SER by the shape and the firing, see ``firing``; NaN with too few spikes, None
        if it was not asked for.
    """

    cell: str
    verdict: str
    p_ser: float
    p_ser_low: float
    p_ser_high: float
    p_ser_published: float
    n_spikes: int
    udi_ms: float
    label: int | None
    mean_waveform: np.ndarray
    warnings: tuple[CellWarning, ...] = ()
    p_ser_with_firing: float | None = None

    @property
    def outcome(self) -> str | None:
        """``right``, ``wrong`` or ``undecided`` for a cell with a label, None for one without."""
        if self.label is None:
            return None
        if self.verdict == 'undecided':
            return 'undecided'
        return 'right' if self.verdict == domain.LABEL_NAMES[self.label] else 'wrong'

    @property
    def correct(self) -> bool | None:
        """Whether the call without abstention (SER if ``p_ser`` is at least one half) is right; None if unknown."""
        return None if self.label is None else (self.p_ser < 0.5) == bool(self.label)


@dataclasses.dataclass(frozen=True)
class ControlResult:
    """One control on one split, see ``controls``.

    Attributes
    ----------
    metrics : ``{'spike': {...}, 'cell': {...}}``, as a model's.
    correct : cell -> in which share of the repetitions it is called as labelled; 0 or 1 if there is one.
    """

    metrics: dict
    correct: dict[str, float]


@dataclasses.dataclass(frozen=True)
class SplitResult:
    """One model on one split of one dataset.

    Attributes
    ----------
    name : ``CONFIG/SPLIT``, such as ``non_homogeneous/test``.
    source : of the recordings that it is made of, ``recorded`` or the name of what made them.
    spike_p_ser : (n,) float, the consensus probability of each spike.
    spike_label : (n,) int, 0 SER or 1 NSER.
    cells : the cells, in the order of their names.
    metrics : ``{'spike': {...}, 'cell': {...}}`` as in ``metrics.json``.
    controls : what else calls these cells, by name; trained on the cells of the same split as the model.
    """

    name: str
    source: str
    spike_p_ser: np.ndarray
    spike_label: np.ndarray
    cells: list[CellResult]
    metrics: dict
    controls: dict[str, ControlResult] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ModelResult:
    """One trained ensemble on all splits.

    Attributes
    ----------
    title : such as ``trained on synthetic_small``.
    info : what it was trained on.
    splits : by name.
    calibration : what its probabilities are calibrated with.
    is_calibrated_here : whether the evaluation has fitted the calibration, because the run left none.
    """

    title: str
    info: ModelInfo
    splits: dict[str, SplitResult]
    calibration: Calibration = Calibration()
    is_calibrated_here: bool = False

    @property
    def test_sets(self) -> list[SplitResult]:
        """The results on the sets of test cells that there are, the headline first."""
        return [self.splits[name] for name in (OTHER_DAYS, ORIGINAL_TEST) if name in self.splits]

    @property
    def headline_split(self) -> str:
        """The cells of other days, or the original test cells where there are none."""
        return OTHER_DAYS if OTHER_DAYS in self.splits else ORIGINAL_TEST


def name_by_run(models: Sequence[ModelResult], folders: Sequence[str]) -> list[ModelResult]:
    """Returns the models with titles that tell them apart: those of the same title are named by their folders."""
    titles = [model.title for model in models]
    names = [os.path.basename(os.path.normpath(folder)) for folder in folders]
    if len(set(names)) < len(names):
        names = list(folders)
    return [
        dataclasses.replace(model, title=f'{model.title}, {name}') if titles.count(model.title) > 1 else model
        for model, name in zip(models, names, strict=True)
    ]


@dataclasses.dataclass(frozen=True)
class ClassifiedSpikes:
    """The n spikes of a cell, in the order of their triggers.

    Attributes
    ----------
    trigger : (n,) int64, sample index in the recording.
    time_s : (n,) float64, of the trigger from the recording's start, pauses between sweeps included.
    waveform : (n, 160) float32, pA.
    p_ser : (n,) float, consensus probability of each spike, not calibrated.
    amplitude_pa : (n,) float, depth of the trough below the level before the spike; positive.
    udi_ms : (n,) float, upstroke-downstroke interval; NaN where a single spike is too noisy to tell.
    snr : (n,) float, amplitude divided by the standard deviation of the samples before the spike.
    """

    trigger: np.ndarray
    time_s: np.ndarray
    waveform: np.ndarray
    p_ser: np.ndarray
    amplitude_pa: np.ndarray
    udi_ms: np.ndarray
    snr: np.ndarray


@dataclasses.dataclass(frozen=True)
class TraceEnvelope:
    """The current in which spikes were found, reduced for a picture: the least and the greatest of each stretch.

    Attributes
    ----------
    time_s : (t,) float64, middle of each stretch.
    low_pa, high_pa : (t,) float32.
    trigger_pa : the threshold that was used.
    left_out_s : (k,) float64, when events were left out that are no spikes.
    """

    time_s: np.ndarray
    low_pa: np.ndarray
    high_pa: np.ndarray
    trigger_pa: float = domain.TRIGGER_PA
    left_out_s: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0))


@dataclasses.dataclass(frozen=True)
class ClassifiedCell:
    """The verdict on one cell of a new recording, with its warnings and its evidence.

    Attributes
    ----------
    path : the recording, or the folder of spike CSVs.
    result : the verdict; its label is None.
    spikes : the cell's spikes.
    trace : None for spike CSVs, which hold no recording.
    duration_s : of the recording, without pauses between sweeps; 0 where unknown.
    saliency : (160,) float, how much each sample of the mean spike speaks for SER (positive) or NSER (negative).
    source : of the recording, ``recorded`` or the name of what made it; see ``recordings.sources``.
    intervals_s : start and end of each stretch that was recorded; empty where unknown.
    start_s : when the first sweep started, on the clock of the file; 0 where it has none.
    started : when the first sweep started, with a time zone if the file has one, else local; None if not known.
    """

    path: str
    result: CellResult
    spikes: ClassifiedSpikes
    trace: TraceEnvelope | None
    duration_s: float
    saliency: np.ndarray
    source: str
    intervals_s: tuple[tuple[float, float], ...] = ()
    start_s: float = 0.0
    started: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Classification:
    """The verdict on one cell.

    Attributes
    ----------
    verdict : ``SER``, ``NSER`` or ``undecided``.
    why_undecided : the reason in words; empty if there is a verdict.
    p_ser : calibrated probability that the cell is serotonergic; ``p_ser_low`` and ``p_ser_high`` bound its 95 %
        interval.
    n_spikes : how many spikes the verdict rests on.
    udi_ms : upstroke-downstroke interval of the mean spike in ms; NaN where it cannot be measured.
    warnings : sentences on why not to trust the verdict, or on what was done to the recording.
    warning_codes : their codes, in the same order, as in ``cells.csv``.
    spikes : the spikes, each with its probability, amplitude and width.
    """

    verdict: str
    why_undecided: str
    p_ser: float
    p_ser_low: float
    p_ser_high: float
    n_spikes: int
    udi_ms: float
    warnings: tuple[str, ...]
    warning_codes: tuple[str, ...]
    spikes: ClassifiedSpikes
