"""Checks that the window of a spike CSV is a spike as it is cut from recordings: in pA, downward, at the threshold."""

from __future__ import annotations

import numpy as np

from beam_pipelines import domain
from beam_pipelines.recordings.reading_options import SpikeCutting
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.spikes.scale import check_scale

# The values may be rounded, even to whole pA.
_ROUNDING_PA = 0.5
# From fA to A.
_FACTORS = (1e3, 1e-3, 1e6, 1e-6, 1e9, 1e-9, 1e12, 1e-12)
# A factor that makes a spike larger than this is no explanation.
_MOST_PEAK_PA = 10_000.0


def prepare_window(window_pa: np.ndarray, cutting: SpikeCutting) -> tuple[np.ndarray, bool]:
    """Scales and turns the window of a spike CSV, as a recording would be, and checks that it is cut at the threshold.

    The threshold counts from the file's own zero: a window is too short to tell a baseline from the spike, and the
    published spikes were cut from the current as it was recorded.

    Parameters
    ----------
    window_pa : (160,) float32, the current as it is in the file.
    cutting : how spikes are cut from recordings. With ``trigger_sd`` the threshold is not known, and the current need
        only fall there.

    Returns
    -------
    (160,) float32 in which the spike points downward, and whether it points upward in the file.

    Raises
    ------
    RecordingRejected
        If the current does not first reach the threshold at sample 40: ``inverted`` or ``suspicious_scale`` if that
        explains it, else ``bad_csv``.
    """
    scaled = window_pa if cutting.scale == 1 else window_pa * np.float32(cutting.scale)
    is_inverted = cutting.polarity == 'up' or (
        cutting.polarity == 'auto' and bool(scaled[domain.SAMPLES_BEFORE_TRIGGER] > 0)
    )
    window = -scaled if is_inverted else scaled
    if cutting.trigger_sd is not None:
        check_scale([window_pa], cutting.scale)
    if not _is_cut_at_threshold(window, cutting):
        raise _explain(window, is_inverted, cutting)
    return window, is_inverted


def _is_cut_at_threshold(window: np.ndarray, cutting: SpikeCutting) -> bool:
    before, at = window[domain.SAMPLES_BEFORE_TRIGGER - 1 : domain.SAMPLES_BEFORE_TRIGGER + 1].tolist()
    if cutting.trigger_sd is not None:
        return at < min(before, 0)
    return at <= cutting.trigger_pa + _ROUNDING_PA and before > cutting.trigger_pa - _ROUNDING_PA


def _looks_like_spike(window: np.ndarray, cutting: SpikeCutting) -> bool:
    """Whether the current is quiet until it reaches the threshold: what large noise is not."""
    quiet = np.abs(window[: domain.SAMPLES_BEFORE_TRIGGER]).max() <= -cutting.trigger_pa + _ROUNDING_PA
    return bool(quiet) and np.abs(window).max() <= _MOST_PEAK_PA and _is_cut_at_threshold(window, cutting)


def _explain(window: np.ndarray, is_inverted: bool, cutting: SpikeCutting) -> RecordingRejected:
    before, at = window[domain.SAMPLES_BEFORE_TRIGGER - 1 : domain.SAMPLES_BEFORE_TRIGGER + 1].tolist()
    row = domain.SAMPLES_BEFORE_TRIGGER + 1
    found = f'the current is {before:.4g} pA in row {row - 1} and {at:.4g} pA in row {row}'
    other_polarity = '--polarity=down' if is_inverted else '--polarity=up'
    if _is_cut_at_threshold(-window, cutting):
        return RecordingRejected('inverted', f'{found}: the spike points upward; give {other_polarity}')
    if cutting.trigger_sd is not None:
        return RecordingRejected('bad_csv', f'{found}, expected a spike that falls to its threshold in row {row}')
    for factor in _FACTORS:
        for turned, advice in ((window, ''), (-window, f' and {other_polarity}')):
            if _looks_like_spike(turned.astype(np.float64) * factor, cutting):
                return RecordingRejected(
                    'suspicious_scale',
                    f'{found}: the unit may be wrong; --scale={cutting.scale * factor:g}{advice} would make them'
                    f' {before * factor:.4g} and {at * factor:.4g} pA',
                )
    return RecordingRejected(
        'bad_csv',
        f'{found}, expected the first at or below {cutting.trigger_pa:g} pA in row {row}; cut the spike there, or build'
        ' with the --trigger_pa that it was cut at',
    )
