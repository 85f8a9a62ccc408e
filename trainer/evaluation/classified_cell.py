"""What ``sero-classify`` finds out about one cell. Plain data, no computation."""

from __future__ import annotations

import dataclasses

import numpy as np

from trainer.evaluation.results import CellResult


@dataclasses.dataclass(frozen=True)
class ClassifiedSpikes:
    """The n spikes of a cell, in the order of their triggers.

    Attributes
    ----------
    trigger : (n,) int64, sample index in the recording.
    time_s : (n,) float64, of the trigger from the recording's start.
    waveform : (n, 160) float32, pA.
    p_ser : (n,) float, consensus probability of each spike, not calibrated.
    amplitude_pa : (n,) float, depth of the trough below the level before the spike; positive.
    udi_ms : (n,) float, upstroke-downstroke interval; NaN where a single spike is too noisy to tell.
    snr : (n,) float, amplitude by the standard deviation of the samples before the spike.
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
    """A recording thinned out for a picture: the least and the greatest current of each stretch.

    Attributes
    ----------
    time_s : (t,) float64, middle of each stretch.
    low_pa, high_pa : (t,) float32.
    """

    time_s: np.ndarray
    low_pa: np.ndarray
    high_pa: np.ndarray


@dataclasses.dataclass(frozen=True)
class ClassifiedCell:
    """The verdict on one cell of a new recording, what it rests on, and what to be careful about.

    Attributes
    ----------
    path : the recording, or the folder of spike CSVs.
    result : the verdict; its label is None.
    spikes : the cell's spikes.
    trace : None for spike CSVs, which hold no recording.
    duration_s : of the recording; 0 where unknown.
    saliency : (160,) float, how much each sample of the mean spike speaks for SER (positive) or NSER (negative).
    warnings : what does not look like the recordings that the model was trained on, in words for a biologist.
    is_simulated : whether the recording says that it was simulated.
    """

    path: str
    result: CellResult
    spikes: ClassifiedSpikes
    trace: TraceEnvelope | None
    duration_s: float
    saliency: np.ndarray
    warnings: tuple[str, ...]
    is_simulated: bool
