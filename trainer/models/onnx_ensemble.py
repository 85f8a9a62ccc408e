"""Reads ``consensus.onnx`` and runs it through ONNX Runtime, which starts in a tenth of the time of TensorFlow.

Of the file, only weights are used: they must have the shapes that the kernel sizes ask for and be finite. ONNX Runtime
is given the graph that we build from them, and the file is refused unless it holds that graph, byte for byte. So
nothing else in it is ever run, opened or allocated.
"""

from __future__ import annotations

import functools
import os
import types
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines.errors import UserError
from beam_pipelines.storage.bounds import read_bounded
from trainer.errors import ModelError
from trainer.models.model_info import ModelInfo
from trainer.models.onnx_graph import (
    GRADIENT,
    INPUT,
    SCORES,
    VERSION,
    WEIGHTS,
    MemberWeights,
    build_graph,
    weight_shapes,
)
from trainer.models.onnx_protobuf import read_initializers, read_version

if TYPE_CHECKING:
    import onnxruntime

FILE_NAME = 'consensus.onnx'

REMEDY = 'sero-train writes it when it is given the same command again'

# The eleven members of the default have 2.4 MB.
_MOST_BYTES = 64 << 20
_SPIKES_AT_ONCE = 128


class OnnxEnsemble:
    """The members of a run in ONNX Runtime; a ``SpikeScorer``.

    Parameters
    ----------
    architecture : of the members.
    members : their weights by name, in the order of their scores.
    """

    def __init__(self, architecture: str, members: dict[str, MemberWeights]):
        self._architecture, self._members = architecture, members
        # Started at once, while the first recording is still being read.
        self._scores = _start(build_graph(architecture, members, (SCORES,)))

    def score(self, waveform: np.ndarray) -> np.ndarray:
        return self._run(self._scores, waveform)

    def log_odds_gradient(self, waveform: np.ndarray) -> np.ndarray:
        return self._run(self._gradient, waveform)

    @functools.cached_property
    def _gradient(self) -> onnxruntime.InferenceSession:
        return _start(build_graph(self._architecture, self._members, (GRADIENT,)))

    def _run(self, session: onnxruntime.InferenceSession, waveform: np.ndarray) -> np.ndarray:
        waveform = np.asarray(waveform, np.float32)
        parts = [waveform[start : start + _SPIKES_AT_ONCE] for start in range(0, len(waveform), _SPIKES_AT_ONCE)]
        return np.concatenate([session.run(None, {INPUT: part})[0] for part in parts])


def is_written(workdir: str) -> bool:
    """Whether a run's folder holds ``consensus.onnx``; runs of early versions do not."""
    return os.path.exists(os.path.join(workdir, FILE_NAME))


def why_other_version(workdir: str) -> str | None:
    """Returns what is wrong with a run's ``consensus.onnx``, if there is one, when its graph is of another version.

    Raises
    ------
    ModelError
        If it is too large, or cannot be read.
    """
    return _why_other_version(_read(workdir)) if is_written(workdir) else None


def load_onnx_ensemble(workdir: str, info: ModelInfo) -> OnnxEnsemble:
    """Loads ``consensus.onnx`` of a run.

    Raises
    ------
    ModelError
        If it is missing, damaged, too large, of other networks than ``info`` says, or not as ``sero-train`` writes it.
    """
    return OnnxEnsemble(info.architecture, read_members(workdir, info))


def read_members(workdir: str, info: ModelInfo) -> dict[str, MemberWeights]:
    """Returns the members in ``consensus.onnx`` of a run, in the order of their scores; ModelError as above."""
    path, content = os.path.join(workdir, FILE_NAME), _read(workdir)
    if problem := _why_other_version(content):
        raise ModelError(f'{path}: {problem}')
    try:
        found = dict(read_initializers(content))
        members = {
            f'k{kernel_size}': _weights_of(found, f'k{kernel_size}', kernel_size) for kernel_size in info.kernel_sizes
        }
    except ValueError as error:
        raise ModelError(f'{path}: is not a consensus of this run: {" ".join(str(error).split())}') from None
    members = {name: members[name] for name in info.members}
    if build_graph(info.architecture, members) != content:
        raise ModelError(
            f'{path}: holds another graph than this version of sero-train writes for these members ({REMEDY})'
        )
    return members


def _read(workdir: str) -> bytes:
    path = os.path.join(workdir, FILE_NAME)
    try:
        return read_bounded(path, _MOST_BYTES)
    except OSError as error:
        raise ModelError(f'{path}: {error.strerror}') from None
    except UserError as error:
        raise ModelError(str(error)) from None


def _why_other_version(content: bytes) -> str | None:
    version = read_version(content)
    if version in (None, VERSION):
        return None
    return f'is of version {version} of the graph, expected {VERSION} ({REMEDY})'


def _weights_of(found: dict[str, np.ndarray], member: str, kernel_size: int) -> MemberWeights:
    shapes = weight_shapes(kernel_size)
    weights = {}
    for name in WEIGHTS:
        values = found.get(f'{member}/{name}')
        if values is None:
            raise ValueError(f'it holds no {member}/{name}')
        if values.shape != shapes[name]:
            raise ValueError(f'{member}/{name} is of shape {values.shape}, expected {shapes[name]}')
        if not np.isfinite(values).all():
            raise ValueError(f'{member}/{name} is not finite')
        weights[name] = values
    return MemberWeights(**weights)


def load_onnxruntime() -> types.ModuleType:
    """Imports ONNX Runtime without its telemetry, which would write to a server some seconds after a session starts."""
    os.environ['ORT_DISABLE_TELEMETRY'] = '1'  # Looked at when it is loaded; disable_telemetry_events is too late.
    import onnxruntime

    return onnxruntime


def _start(graph: bytes) -> onnxruntime.InferenceSession:
    import joblib

    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    options.intra_op_num_threads = joblib.cpu_count()
    # Threads that wait for work would take the cores from those that read recordings.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    return onnxruntime.InferenceSession(graph, options, providers=['CPUExecutionProvider'])
