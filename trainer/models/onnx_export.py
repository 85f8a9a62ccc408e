"""Writes ``consensus.onnx``: the trained members as one graph for ONNX Runtime, see ``onnx_graph``."""

from __future__ import annotations

import os
from collections.abc import Sequence

import keras
import numpy as np

from beam_pipelines.storage.atomic_files import staged
from trainer.models.onnx_ensemble import FILE_NAME
from trainer.models.onnx_graph import MemberWeights, build_graph


def write_onnx(workdir: str, members: Sequence[keras.Model]) -> None:
    """Writes ``consensus.onnx`` into a run's folder, atomically.

    The graph computes in float32, whatever the members were trained in.

    Parameters
    ----------
    workdir : of the run.
    members : of one architecture, in the order of their scores.
    """
    architecture = 'published' if len(members[0].input_shape) == 4 else 'cnn'
    content = build_graph(architecture, {member.name: _weights_of(member) for member in members})
    with staged(os.path.join(workdir, FILE_NAME)) as temporary, open(temporary, 'wb') as file:
        file.write(content)


def _weights_of(member: keras.Model) -> MemberWeights:
    """Returns a member's weights as the graph has them: Keras puts channels last, ONNX first."""
    scale, shift, kernel_1, bias_1, kernel_2, bias_2, dense, bias_3 = map(np.asarray, member.get_weights())
    of_filters = dense.reshape(-1, len(bias_2), len(bias_3))  # (time, filter, class)
    return MemberWeights(
        scale,
        shift,
        _channels_first(kernel_1),
        bias_1,
        _channels_first(kernel_2),
        bias_2,
        of_filters.swapaxes(0, 1).reshape(dense.shape),
        bias_3,
    )


def _channels_first(kernel: np.ndarray) -> np.ndarray:
    """Returns (out, in, 1, k) of a kernel (k, in, out) or (k, 1, in, out)."""
    return kernel.reshape(len(kernel), *kernel.shape[-2:]).transpose(2, 1, 0)[:, :, np.newaxis]
