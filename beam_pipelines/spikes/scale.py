"""Recognises a current that makes no sense in its unit, such as nA labelled pA."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.spikes.recording_noise import measure_level_and_deviation

# In a loose-patch recording, peaks are tens to thousands of pA, and the noise is some pA.
_LEAST_PEAK_PA, _MOST_PEAK_PA = 1.0, 100_000.0
_MOST_NOISE_PA = 1_000.0
_USUAL_PEAK_PA = 100.0


def check_scale(sweeps: Sequence[np.ndarray], scale: float) -> None:
    """Raises RecordingRejected, with the factor that would make sense, if a current makes none.

    Parameters
    ----------
    sweeps : arrays of (n,) float32 in pA, as they were recorded.
    scale : what the current will be multiplied with.
    """
    if not any(map(len, sweeps)):
        return
    level, deviation = measure_level_and_deviation(sweeps)
    noise_pa = abs(scale) * deviation
    peak_pa = abs(scale) * max(
        max(float(sweep.max()) - level, level - float(sweep.min())) for sweep in sweeps if len(sweep)
    )
    if peak_pa == 0 or (_LEAST_PEAK_PA <= peak_pa <= _MOST_PEAK_PA and noise_pa <= _MOST_NOISE_PA):
        return
    factor = 1000.0 ** round(math.log(_USUAL_PEAK_PA / peak_pa, 1000))
    raise RecordingRejected(
        'suspicious_scale',
        f'the largest peak is {peak_pa:.3g} pA, the noise {noise_pa:.3g} pA: the unit may be wrong;'
        f' --scale={scale * factor:g} would make it {peak_pa * factor:.3g} pA',
    )
