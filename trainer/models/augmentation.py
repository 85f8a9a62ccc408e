"""The rig, varied at random: spikes as another amplifier, filter or electrode would have recorded them.

A network that has only seen the filter and the baseline of a few days may take them for traits of a class. So the
training varies the recording chain, in the order of a rig: seal, interference, amplifier's filter, detection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from beam_pipelines import domain
from trainer.data.augmentation_draws import DRAWS

# The usual settings of an amplifier's filter for spikes: slower ones cut into the spike, faster ones leave it as it is.
_CUTOFF_HZ = (2_000.0, 10_000.0)
# New recordings mostly come from rigs like that of the training, so half of the spikes keep the filter they have.
_SHARE_FILTERED = 0.5
# The trough is 72 to 130 pA for most cells. At 0.7 the smallest just reach the threshold of -50 pA, and the largest are
# carried as far by 1.4 as by other seals, whose resistance differs by more.
_GAIN = (0.7, 1.4)
# Noise and another threshold move the trigger along the downstroke, which takes 0.1 ms: 3 samples are 0.075 ms.
_JITTER_SAMPLES = 3
# As large as the background's own standard deviation, 3 to 4 pA. Preparation takes most of the hum away.
_HUM_PA = 3.0
_MAINS_HZ = (50.0, 60.0)
# A tenth of the threshold: what a running baseline leaves after a burst, or while the seal drifts.
_BASELINE_PA = 5.0

# The response of a filter lasts some 20 samples at 2 kHz, and the trigger may move as far.
_PADDING = 48
_PADDED = domain.SPIKE_SAMPLES + 2 * _PADDING
# Where the trigger is looked for, in samples of the padded window: from 0.4 ms before it to 1 ms after.
_SEARCHED = slice(_PADDING + domain.SAMPLES_BEFORE_TRIGGER - 16, _PADDING + domain.SAMPLES_BEFORE_TRIGGER + 40)
# At this angular frequency the power of a 4-pole Bessel filter of unit delay is one half.
_HALF_POWER = 2.113917675


class Augmentation(keras.layers.Layer):
    """``augment`` as a layer without weights, in float32 whatever the precision of the members.

    Called with waveforms (b, 160) float32 in pA and draws (b, 9) float32; returns (b, 160) float32 in pA.

    Parameters
    ----------
    names : what is varied, of ``config.AUGMENTATIONS``.
    """

    def __init__(self, names: Sequence[str]):
        super().__init__(name='augmentation', trainable=False, dtype='float32')
        self._names = tuple(names)

    def call(self, waveform: keras.KerasTensor, draws: keras.KerasTensor) -> keras.KerasTensor:
        return augment(waveform, draws, self._names)


def augment(waveform: keras.KerasTensor, draws: keras.KerasTensor, names: Sequence[str]) -> keras.KerasTensor:
    """Returns spikes as another rig would have recorded them.

    After the chain the trigger is found again, as on another rig it would have been found behind the filter: the window
    moves by as much as the first crossing of -50 pA does (or the trough, of a spike that no longer comes down to it).
    What was not recorded, beyond the window, is taken to be its mirror image; a filter and a later trigger reach for
    some 20 samples of it.

    Parameters
    ----------
    waveform : (b, 160) float32, pA.
    draws : (b, 9) float32 in [0, 1), from ``augmentation_draws.add_draws``.
    names : what is varied:

        - ``low_pass``: half of the spikes pass a 4-pole Bessel filter, as amplifiers have, of 2 to 10 kHz
          (log-uniform), delay and all.
        - ``gain``: a factor of 0.7 to 1.4 (log-uniform) on everything, which is how tight the seal is.
        - ``jitter``: the window moves by -3 to 3 samples.
        - ``hum``: 50 or 60 Hz in any phase, of an amplitude up to 3 pA.
        - ``baseline``: an offset of -5 to 5 pA, and a change over the window of as much.

    Returns
    -------
    (b, 160) float32, pA
    """
    ops = keras.ops
    draw = {name: draws[:, index : index + 1] for index, name in enumerate(DRAWS)}
    recorded = ops.pad(waveform, [[0, 0], [_PADDING, _PADDING]], mode='reflect')
    current = recorded
    time_s = (np.arange(_PADDED, dtype=np.float32) - _PADDING) / domain.SAMPLING_RATE_HZ
    if 'gain' in names:
        current *= _log_uniform(_GAIN, draw['gain'])
    if 'hum' in names:
        hertz = ops.where(draw['mains'] < 0.5, *_MAINS_HZ)
        current += _HUM_PA * draw['hum'] * ops.sin(2 * math.pi * (hertz * time_s + draw['hum_phase']))
    if 'baseline' in names:
        change = (2 * draw['baseline_change'] - 1) * (time_s * domain.SAMPLING_RATE_HZ / domain.SPIKE_SAMPLES - 0.5)
        current += _BASELINE_PA * (2 * draw['baseline_offset'] - 1 + change)
    if 'low_pass' in names:
        filtered = _low_pass(current, _log_uniform(_CUTOFF_HZ, draw['cutoff']))
        current = ops.where(draw['is_filtered'] < _SHARE_FILTERED, filtered, current)
    first = _PADDING + _trigger(current) - _trigger(recorded)
    if 'jitter' in names:
        first += ops.cast(ops.floor((2 * _JITTER_SAMPLES + 1) * draw['jitter']), 'int32') - _JITTER_SAMPLES
    first = ops.clip(first, 0, 2 * _PADDING)
    return ops.take_along_axis(current, first + np.arange(domain.SPIKE_SAMPLES, dtype=np.int32), axis=1)


def _log_uniform(limits: tuple[float, float], draw: keras.KerasTensor) -> keras.KerasTensor:
    low, high = limits
    return low * keras.ops.exp(math.log(high / low) * draw)


def _low_pass(current: keras.KerasTensor, cutoff_hz: keras.KerasTensor) -> keras.KerasTensor:
    """Filters rows (b, n) by the response of an analogue 4-pole Bessel filter, 3 dB down at ``cutoff_hz`` (b, 1)."""
    frequency_hz = np.fft.rfftfreq(_PADDED, 1 / domain.SAMPLING_RATE_HZ).astype(np.float32)
    w = _HALF_POWER * frequency_hz / cutoff_hz
    # 105 / (s^4 + 10 s^3 + 45 s^2 + 105 s + 105) at s = iw.
    below_real, below_imag = w**4 - 45 * w**2 + 105, 105 * w - 10 * w**3
    scale = 105 / (below_real**2 + below_imag**2)
    real, imag = keras.ops.rfft(current)
    filtered = (
        scale * (real * below_real + imag * below_imag),
        scale * (imag * below_real - real * below_imag),
    )
    return keras.ops.irfft(filtered, fft_length=_PADDED)


def _trigger(current: keras.KerasTensor) -> keras.KerasTensor:
    """Returns the first sample at or below the threshold, or else of the trough: (b, 1) int32, from where it looks."""
    searched = current[:, _SEARCHED]
    level = keras.ops.maximum(domain.TRIGGER_PA, keras.ops.min(searched, axis=1, keepdims=True))
    return keras.ops.cast(keras.ops.argmax(searched <= level, axis=1, keepdims=True), 'int32')
