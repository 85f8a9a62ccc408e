"""Classifies new recordings; from Python: ``classify.load('runs/synthetic').classify(current_pa, 40_000)``."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from beam_pipelines.recordings.rejection import RecordingRejected

if TYPE_CHECKING:
    from trainer.classify.classifier import Classifier

__all__ = ['RecordingRejected', 'load']


def load(model_dir: str | os.PathLike[str]) -> Classifier:
    """Loads a trained ensemble: through ONNX Runtime, or through Keras if that or ``consensus.onnx`` is missing.

    Parameters
    ----------
    model_dir : folder of a finished run of ``sero-train``, or what ``sero-export-model`` has made of it: a folder, a
        ``.zip``, or such a folder on the Hugging Face Hub, ``hf://OWNER/NAME``.

    Raises
    ------
    UserError
        If it holds no finished run, a damaged one or one that is being trained, or neither ONNX Runtime nor Keras can
        compute it.
    """
    from trainer.classify.classifier import load_classifier
    from trainer.models.places import check_not_trained, model_folder

    place = os.fspath(model_dir)
    with model_folder(place) as folder:
        check_not_trained(folder)
        # An archive was unpacked into a folder of another name.
        classifier = dataclasses.replace(load_classifier(folder), path=place)
        check_not_trained(folder)
        return classifier
