"""Classifies new recordings; from Python: ``classify.load('runs/synthetic').classify(current_pa, 40_000)``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.classify.classifier import Classifier


def load(model_dir: str | os.PathLike[str]) -> Classifier:
    """Loads a trained ensemble; TensorFlow is only imported here.

    Parameters
    ----------
    model_dir : folder of a finished run of ``sero-train``.

    Raises
    ------
    UserError
        If the folder holds no finished run or a damaged one, or Keras cannot compute with the backend that
        ``KERAS_BACKEND`` names.
    """
    from trainer.backend import start_keras

    start_keras()
    from trainer.classify.classifier import load_classifier

    return load_classifier(os.fspath(model_dir))
