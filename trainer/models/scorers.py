"""What scores spikes, through ONNX Runtime where that is possible, and otherwise through Keras."""

from __future__ import annotations

import sys
from typing import Protocol

import numpy as np

from trainer.backend import start_keras
from trainer.errors import ModelError
from trainer.models import manifest, onnx_ensemble
from trainer.models.model_info import ModelInfo


class SpikeScorer(Protocol):
    """The members of a trained ensemble."""

    def score(self, waveform: np.ndarray) -> np.ndarray:
        """Returns the scores of SER and NSER by each of m members, 0..1: (n, 160) in pA -> (n, m, 2) float32."""

    def log_odds_gradient(self, waveform: np.ndarray) -> np.ndarray:
        """Returns the gradient of the consensus, per pA: (n, 160) in pA -> (n, 160) float32.

        That is, of the log-odds ``log(mean SER score / mean NSER score)``.
        """


def load_scorer(workdir: str, info: ModelInfo) -> SpikeScorer:
    """Loads the members of a finished run; TensorFlow and Keras are only imported if ``consensus.onnx`` cannot be used.

    If it is of another version, Keras is used, and a line on standard error says so. If it is of this version but not
    the graph of its weights, it is damaged or forged, and refused.

    Parameters
    ----------
    workdir : of the run.
    info : the content of its ``model_info.json``.

    Raises
    ------
    ModelError
        If a file of the run is missing, damaged or forged, or neither ONNX Runtime nor Keras can be used.
    UserError
        If Keras is needed and cannot compute with the backend that ``KERAS_BACKEND`` names.
    """
    manifest.check_files(workdir)
    other_version = onnx_ensemble.why_other_version(workdir)
    problem = f'{onnx_ensemble.FILE_NAME} {other_version}' if other_version else _why_not_onnx(workdir)
    if not problem:
        return onnx_ensemble.load_onnx_ensemble(workdir, info)
    try:
        start_keras()
        from trainer.models.keras_scorer import load_keras_scorer
    except ModuleNotFoundError as error:
        raise ModelError(f'{workdir}: {problem}, and {error.name} is not installed either') from None
    if other_version:
        print(f'{workdir}: {problem}; Keras is used, which starts slower', file=sys.stderr)
    return load_keras_scorer(workdir, info)


def _why_not_onnx(workdir: str) -> str | None:
    """Returns why the members cannot be run by ONNX Runtime; None if they can be."""
    if not onnx_ensemble.is_written(workdir):
        return f'holds no {onnx_ensemble.FILE_NAME} ({onnx_ensemble.REMEDY})'
    try:
        onnx_ensemble.load_onnxruntime()
    except ImportError as error:
        return f'onnxruntime cannot be used ({" ".join(str(error).split())})'
    return None
