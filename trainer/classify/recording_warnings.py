"""Says what was done to a recording before its spikes were found, in sentences for a biologist."""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from beam_pipelines.cli.words import counted
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.spikes.detection import find_triggers
from beam_pipelines.spikes.events import DROP_REASONS
from beam_pipelines.spikes.extraction import RecordedCell
from beam_pipelines.spikes.preparation import LEAST_PEAK_TO_NOISE
from beam_pipelines.spikes.saturation import find_saturation
from trainer.evaluation.cell_warnings import CellWarning
from trainer.evaluation.spike_warnings import burst_warning, saturation_warning

# Smaller peaks may be the end of a spike.
_PEAK_TO_THRESHOLD = 0.6
# Names of channels that hold a potential, and where a neuron's potential is at rest and at the peak of a spike, in mV.
_VOLTAGE_NAME = re.compile(r'volt|(^|[^a-z])v_?m(?![a-z])|vmemb', re.IGNORECASE)
_RESTING_MV, _PEAK_MV = (-95, -35), (-15, 70)
# So many more events above the threshold, as a share of the spikes, are more than noise and small neighbours.
_MOST_MISSED = 0.2


def recording_warnings(cell: RecordedCell, options: ReadingOptions) -> tuple[CellWarning, ...]:
    """Returns a warning for each thing that the user should know of a recording.

    Parameters
    ----------
    cell : the cell and the recording that its spikes come from.
    options : how it was read.
    """
    return tuple(
        filter(
            None,
            (
                _channel(cell, options),
                _voltage(cell),
                _polarity(cell, options),
                _hum(cell),
                _saturation(cell, options),
                _left_out(cell),
                burst_warning(cell.spikes.second_spikes, len(cell.spikes.triggers)),
                _threshold(cell),
            ),
        )
    )


def _channel(cell: RecordedCell, options: ReadingOptions) -> CellWarning | None:
    if options.channel is not None or cell.recording is None or not cell.several_currents:
        return None
    return CellWarning(
        'several_currents',
        f'The file has several currents; the only one with spikes was read, {cell.recording.channel}.',
    )


def _voltage(cell: RecordedCell) -> CellWarning | None:
    """Tells a membrane potential, in mV, whose channel is labelled as a current."""
    if cell.recording is None or cell.current is None:
        return None
    name = cell.recording.channel
    if _VOLTAGE_NAME.search(name):
        return CellWarning(
            'may_be_voltage',
            f'The channel is named {name}, but its unit is one of a current: check which channel was recorded.',
        )
    if not cell.current.is_inverted:
        return None
    low, high = _RESTING_MV
    rest = float(np.median([np.median(sweep) for sweep in cell.recording.sweeps]))
    peak = max(float(sweep.max()) for sweep in cell.recording.sweeps)
    if not low <= rest <= high or not _PEAK_MV[0] <= peak <= _PEAK_MV[1]:
        return None
    return CellWarning(
        'may_be_voltage',
        f'The values may be a membrane potential in mV (at rest {rest:.0f}, spikes up to {peak:.0f}) and no current:'
        ' check the unit of the channel.',
    )


def _polarity(cell: RecordedCell, options: ReadingOptions) -> CellWarning | None:
    if options.cutting.polarity != 'auto' or not cell.is_inverted:
        return None
    return CellWarning(
        'points_upward',
        'The spikes of this recording point upward; it was turned upside down before it was classified.',
    )


def _hum(cell: RecordedCell) -> CellWarning | None:
    worst = max(cell.baselines, key=lambda baseline: baseline.hum_pa, default=None)
    if worst is None or not worst.hum_pa:
        return None
    return CellWarning(
        'hum', f'Mains hum of {worst.hum_pa:.0f} pA at {worst.hum_hz:.1f} Hz was taken off this recording.'
    )


def _saturation(cell: RecordedCell, options: ReadingOptions) -> CellWarning | None:
    """Tells a recording that stays at its extreme value, or spikes that are cut off level elsewhere."""
    found, scale = None, options.cutting.scale
    if cell.recording is not None and cell.current is not None:
        found = find_saturation(cell.recording.sweeps, cell.current.noise_pa / scale)
    if found is not None:
        found = dataclasses.replace(found, value=found.value * scale)
    return saturation_warning(cell.spikes.waveforms, found)


def _left_out(cell: RecordedCell) -> CellWarning | None:
    reasons = {reason: count for reason, count in cell.spikes.dropped.items() if reason != 'window'}
    if not reasons:
        return None
    named = ', '.join(f'{count} {DROP_REASONS[reason]}' for reason, count in reasons.items())
    return CellWarning(
        'events_left_out',
        f'{counted(sum(reasons.values()), "event")} of {cell.spikes.triggers_found} were left out: {named}.',
    )


def _threshold(cell: RecordedCell) -> CellWarning | None:
    if cell.current is None:
        return None
    smaller = min(-LEAST_PEAK_TO_NOISE * cell.current.noise_pa, _PEAK_TO_THRESHOLD * cell.current.trigger_pa)
    if smaller <= cell.current.trigger_pa:
        return None
    missed = sum(len(find_triggers(sweep, smaller)) for sweep in cell.current.sweeps) - cell.spikes.triggers_found
    if missed <= _MOST_MISSED * len(cell.spikes.triggers):
        return None
    return CellWarning(
        'below_threshold',
        f'{counted(missed, "event")} out of the noise {"does" if missed == 1 else "do"} not reach the threshold of'
        f' {cell.current.trigger_pa:.3g} pA: the cell may fire more often than its {len(cell.spikes.triggers)} spikes'
        ' say. The model was trained on spikes beyond that threshold.',
    )
