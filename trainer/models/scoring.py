"""Scores spikes that are not in a dataset."""

from __future__ import annotations

import keras
import numpy as np

# Of one length always: another one is compiled anew, which takes longer than all spikes of a recording.
_BATCH = 128


def score_spikes(model: keras.Model, waveform: np.ndarray) -> np.ndarray:
    """Runs all members of an ensemble on spikes.

    Parameters
    ----------
    model : from (n, 160) float32 in pA to {member: (n, 2) scores of SER and NSER}.
    waveform : (n, 160) float32, pA; at least one.

    Returns
    -------
    (n, m, 2) float32, of each member the scores of SER and NSER, 0..1.
    """
    parts = []
    for start in range(0, len(waveform), _BATCH):
        batch = waveform[start : start + _BATCH]
        outputs = model.predict_on_batch(np.pad(batch, ((0, _BATCH - len(batch)), (0, 0))))
        parts.append(np.stack([np.asarray(outputs[name]) for name in model.output_names], axis=1)[: len(batch)])
    return np.concatenate(parts)
