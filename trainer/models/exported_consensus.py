"""The consensus of a run's members as one model: Keras file and SavedModel, and the graph that classifying runs.

    model = keras.saving.load_model('runs/demo/consensus.keras')
    p_ser = model.predict(current_pa)  # (n, 160) float32 -> (n,) float32

The first two are for people who do not have this package: they are made of Keras's own layers and operations alone, so
that either loads without ``trainer``. ``consensus.onnx`` is described in ``onnx_graph``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

import keras
import numpy as np
from absl import logging
from keras import ops

from beam_pipelines import domain
from beam_pipelines.storage.atomic_files import remove_folder, staged_folder
from trainer.models import onnx_ensemble
from trainer.models.files import save_whole
from trainer.models.onnx_export import write_onnx

CONSENSUS_FILE = 'consensus.keras'
SAVED_MODEL_FOLDER = 'saved_model'

# Without it, TensorFlow finds no model in the folder.
_SAVED_MODEL_FILE = 'saved_model.pb'
_OUTPUT = 'p_ser'
_JUST_OVER_HALF = float(np.nextafter(np.float32(0.5), np.float32(1)))


def build_consensus(members: Sequence[keras.Model]) -> keras.Model:
    """Builds the published consensus of trained members, sharing their weights.

    ``p_ser`` is that of ``verdicts.spike_p_ser``: output 0's share of the members' mean outputs. It is above one half
    exactly where the mean of output 0 is larger, as the published rule has it; one half where both are 0.

    Returns
    -------
    Model from (n, 160) float32 in pA to {'p_ser': (n,) float32, 0..1}. Members keep their own precision.
    """
    waveform = keras.Input((domain.SPIKE_SAMPLES,), dtype='float32', name='waveform')
    with_time = _with_time_column(waveform)
    scores = [member(with_time if len(member.input_shape) == 4 else waveform) for member in members]
    mean = ops.mean(ops.stack(scores), axis=0)
    ser, nser = mean[:, 0], mean[:, 1]
    total = ser + nser
    share = ops.where(total > 0, ser / ops.where(total > 0, total, 1.0), 0.5)
    # Where the two scores differ by a float32's last digit, the share is rounded to one half.
    p_ser = ops.where(ser > nser, ops.maximum(share, _JUST_OVER_HALF), ops.minimum(share, 0.5))
    return keras.Model(waveform, {_OUTPUT: p_ser}, name='consensus')


def write_consensus(workdir: str, members: Sequence[keras.Model]) -> None:
    """Writes ``consensus.onnx``, ``saved_model`` and then ``consensus.keras`` into a run's folder, each whole."""
    remove_consensus(workdir)
    write_onnx(workdir, members)
    model = build_consensus(members)
    folder = os.path.join(workdir, SAVED_MODEL_FOLDER)
    with staged_folder(folder, _SAVED_MODEL_FILE) as temporary, _without_tensorflow_messages():
        model.export(temporary, format='tf_saved_model', verbose=False, **_export_options())
    save_whole(keras.Model(model.inputs, model.output[_OUTPUT], name='consensus'), _consensus_path(workdir))


def is_written(workdir: str) -> bool:
    """Whether a run's folder holds the consensus of its members."""
    return os.path.exists(_consensus_path(workdir))


def remove_consensus(workdir: str) -> None:
    """Removes the consensus of a run that resumes, so that none is left beside newer members."""
    if is_written(workdir):
        os.remove(_consensus_path(workdir))
    if onnx_ensemble.is_written(workdir):
        os.remove(os.path.join(workdir, onnx_ensemble.FILE_NAME))
    remove_folder(os.path.join(workdir, SAVED_MODEL_FOLDER), _SAVED_MODEL_FILE)


def _with_time_column(waveform: keras.KerasTensor) -> keras.KerasTensor:
    """Does what ``ensemble.AddTimeColumn`` does, without a class that the file's user would need."""
    time_s = np.arange(domain.SPIKE_SAMPLES, dtype=np.float32) / domain.SAMPLING_RATE_HZ
    return ops.expand_dims(ops.stack([ops.zeros_like(waveform) + time_s, waveform], axis=-1), -1)


@contextlib.contextmanager
def _without_tensorflow_messages() -> Iterator[None]:
    """Suppresses half a dozen lines about the internals of a SavedModel."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(min(verbosity, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _export_options() -> dict:
    if keras.backend.backend() != 'jax':
        return {}
    # JAX compiles for the device that it runs on: a model trained on a GPU would load on no other machine.
    return {'jax2tf_kwargs': {'native_serialization_platforms': ('cpu', 'cuda', 'tpu')}}


def _consensus_path(workdir: str) -> str:
    return os.path.join(workdir, CONSENSUS_FILE)
