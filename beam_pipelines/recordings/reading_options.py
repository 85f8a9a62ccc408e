"""How recordings are read and their spikes cut. Datasets and models remember the latter for new recordings."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import msgspec

from beam_pipelines import domain
from beam_pipelines.errors import UsageError

BaselineKind = Literal['running', 'none']
Polarity = Literal['down', 'up', 'auto']


class SpikeCutting(msgspec.Struct, frozen=True, omit_defaults=True):
    """How spikes are found and cut. The defaults are the published way, on the current as it was recorded.

    Attributes
    ----------
    baseline : ``running``: relative to the recording's own baseline, without hum, and only events that are spikes;
        ``none``: the current as it is, and all events.
    polarity : where spikes point; ``auto``: where the recording's larger peaks point.
    trigger_pa : the threshold, negative, in pA from the baseline.
    trigger_sd : the threshold as a multiple of the recording's noise, in place of ``trigger_pa``; None: not used.
    scale : what the current is multiplied with first.
    """

    baseline: BaselineKind = 'none'
    polarity: Polarity = 'down'
    trigger_pa: float = domain.TRIGGER_PA
    trigger_sd: float | None = None
    scale: float = 1.0


PUBLISHED_CUTTING = SpikeCutting()
DEFAULT_CUTTING = SpikeCutting(baseline='running')


def check_cutting_flags(cutting: SpikeCutting) -> None:
    """Raises UsageError for a flag with which no spike could be found in any recording."""
    if not math.isfinite(cutting.scale) or cutting.scale == 0:
        raise UsageError(f'--scale={cutting.scale:g}: expected a factor, such as 1000')
    if not -math.inf < cutting.trigger_pa < 0:
        raise UsageError(
            f'--trigger_pa={cutting.trigger_pa:g}: expected a negative number, such as -50, also for upward spikes'
        )
    if cutting.trigger_sd is not None and not 0 < cutting.trigger_sd < math.inf:
        raise UsageError(f'--trigger_sd={cutting.trigger_sd:g}: expected a positive number, such as 5')


@dataclasses.dataclass(frozen=True)
class ReadingOptions:
    """How recordings are read and their spikes cut.

    Attributes
    ----------
    resample : resample other rates, from 10 kHz up, to 40 kHz; without it they are rejected.
    channel : name or number (from 0) of the channel to read; None: the one with a current.
    cutting : how spikes are found and cut.
    sampling_rate_hz : that of plain ``.csv`` and ``.npy`` currents, which do not hold it.
    """

    resample: bool = False
    channel: str | None = None
    cutting: SpikeCutting = DEFAULT_CUTTING
    sampling_rate_hz: float | None = None
