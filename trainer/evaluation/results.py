"""What an evaluation finds: of each cell, of each dataset split, of each model. Plain data, no computation."""

from __future__ import annotations

import dataclasses

import numpy as np

from trainer.evaluation.calibration import Calibration


@dataclasses.dataclass(frozen=True)
class CellResult:
    """The verdict on one cell and what it rests on.

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

    @property
    def correct(self) -> bool | None:
        """Whether the call without abstention (SER if ``p_ser`` is at least one half) is right; None if unknown."""
        return None if self.label is None else (self.p_ser < 0.5) == bool(self.label)


@dataclasses.dataclass(frozen=True)
class SplitResult:
    """One model on one split of one dataset.

    Attributes
    ----------
    name : ``CONFIG/SPLIT``, such as ``non_homogeneous/test``.
    source : ``recorded`` or ``simulated``, of the recordings that it is made of.
    spike_p_ser : (n,) float, the consensus probability of each spike.
    spike_label : (n,) int, 0 SER or 1 NSER.
    cells : the cells, in the order of their names.
    metrics : ``{'spike': {...}, 'cell': {...}}`` as in ``metrics.json``.
    """

    name: str
    source: str
    spike_p_ser: np.ndarray
    spike_label: np.ndarray
    cells: list[CellResult]
    metrics: dict


@dataclasses.dataclass(frozen=True)
class ModelResult:
    """One trained ensemble on all splits.

    Attributes
    ----------
    title : such as ``trained on synthetic_small``.
    info : the content of its ``model_info.json``.
    splits : by name.
    calibration : what its probabilities are calibrated with.
    is_calibrated_here : whether the evaluation has fitted it, because the run left none.
    """

    title: str
    info: dict
    splits: dict[str, SplitResult]
    calibration: Calibration = Calibration()
    is_calibrated_here: bool = False
