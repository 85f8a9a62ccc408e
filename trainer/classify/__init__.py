"""Verdicts from Python, on a current that is in memory:

    from trainer import classify

    model = classify.load('runs/synthetic')
    call = model.classify(current_pa, sampling_rate_hz=40_000)
    print(call.verdict, call.p_ser, call.warnings)

The command ``sero-classify`` is in ``trainer.classify.command``.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.classify.classifier import Classifier
    from trainer.evaluation.classified_cell import ClassifiedSpikes


@dataclasses.dataclass(frozen=True)
class Classification:
    """The verdict on one cell.

    Attributes
    ----------
    verdict : ``SER``, ``NSER`` or ``undecided``.
    p_ser : calibrated probability that the cell is serotonergic; ``p_ser_low`` and ``p_ser_high`` bound its 95 %
        interval.
    n_spikes : how many spikes the verdict rests on.
    udi_ms : upstroke-downstroke interval of the mean spike in ms; NaN where it cannot be measured.
    warnings : sentences, for a biologist, on why not to trust the verdict.
    spikes : the spikes, each with its probability, amplitude and width.
    """

    verdict: str
    p_ser: float
    p_ser_low: float
    p_ser_high: float
    n_spikes: int
    udi_ms: float
    warnings: tuple[str, ...]
    spikes: ClassifiedSpikes


def load(model_dir: str | os.PathLike) -> Classifier:
    """Loads a trained ensemble; here, and not before, TensorFlow is imported.

    Parameters
    ----------
    model_dir : the folder of a run of ``sero-train`` that has ended.

    Raises
    ------
    UserError
        If the folder holds no such run or a damaged one, or Keras cannot compute with the backend in ``KERAS_BACKEND``;
        one line that names what is wrong.
    """
    from trainer.backend import start_keras

    start_keras()
    from trainer.classify.classifier import load_classifier

    return load_classifier(os.fspath(model_dir))
