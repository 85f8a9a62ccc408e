"""Classifies new recordings; from Python: ``classify.load('runs/synthetic').classify(current_pa, 40_000)``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.classify.classifier import Classifier


def load(model_dir: str | os.PathLike[str]) -> Classifier:
    """Loads a trained ensemble: through ONNX Runtime, or through Keras if that or ``consensus.onnx`` is missing.

    Parameters
    ----------
    model_dir : folder of a finished run of ``sero-train``.

    Raises
    ------
    UserError
        If the folder holds no finished run or a damaged one, or neither ONNX Runtime nor Keras can compute it.
    """
    from trainer.classify.classifier import load_classifier

    return load_classifier(os.fspath(model_dir))
