"""Reads the current of a SpikeInterface ``BaseRecording``, whose segments are sweeps.

SpikeInterface itself knows voltages alone, by ``gain_to_uV``. The unit of any other quantity is in the properties
``physical_unit``, ``gain_to_physical_unit`` and ``offset_to_physical_unit``, which its readers of neo's formats set.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from beam_pipelines.recordings.current_channels import Channel, channel_of_header, choose_currents
from beam_pipelines.recordings.library_errors import library_errors
from beam_pipelines.recordings.limits import check_samples, check_sweeps
from beam_pipelines.recordings.recording import RecordedCurrent, in_order_of_time
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.recordings.spikeinterface_history import check_as_acquired, check_scaled_once

_UNIT, _GAIN, _OFFSET = 'physical_unit', 'gain_to_physical_unit', 'offset_to_physical_unit'
_SET_UNIT = f"of a current, recording.set_property('{_UNIT}', ['pA']) and {_GAIN} say the unit of each channel"


def read_spikeinterface_recording(recording: Any, channel: str | None) -> list[RecordedCurrent]:
    """Reads the currents of a SpikeInterface recording; see ``library_objects.read_library_object``."""
    with library_errors('spikeinterface'), np.errstate(all='ignore'):  # What overflows is rejected later.
        count = recording.get_num_segments()
        check_sweeps(count)
        check_as_acquired(recording)
        channels = _channels(recording)
        currents = choose_currents(channels, channel)
        check_samples(sum(map(recording.get_num_samples, range(count))) * len(currents))
        return [
            _read_channel(recording, number, pa_per_unit, channels[number]) for number, pa_per_unit in currents.items()
        ]


def _channels(recording: Any) -> list[Channel]:
    units, ids = recording.get_property(_UNIT), recording.get_channel_ids()
    if units is None and recording.get_property('gain_to_uV') is not None:
        raise RecordingRejected('voltage', f'gain_to_uV alone makes its traces a voltage; {_SET_UNIT}')
    if units is None:
        raise RecordingRejected('wrong_unit', f'its traces have no unit; {_SET_UNIT}')
    names = recording.get_property('channel_name')
    names = ids if names is None else names
    return [channel_of_header(str(name), str(unit)) for name, unit in zip(names, units, strict=True)]


def _read_channel(recording: Any, number: int, pa_per_unit: float, channel: Channel) -> RecordedCurrent:
    gain, offset = _gain_and_offset(recording, number, channel.unit)
    check_scaled_once(recording, channel.unit, gain)
    rate_hz = float(recording.get_sampling_frequency())
    channel_id = recording.get_channel_ids()[number]
    sweeps = []
    segments = range(recording.get_num_segments())
    for segment in segments:
        # As they are stored, because SpikeInterface scales voltages alone.
        traces = recording.get_traces(segment_index=segment, channel_ids=[channel_id])
        current = traces[:, 0].astype(np.float64) * gain + offset
        sweeps.append((current * pa_per_unit).astype(np.float32))
    starts_s = [float(recording.get_start_time(segment_index=segment)) for segment in segments]
    return in_order_of_time(starts_s, sweeps, rate_hz, channel.name or str(number))


def _gain_and_offset(recording: Any, number: int, unit: str) -> tuple[float, float]:
    gains, offsets = recording.get_property(_GAIN), recording.get_property(_OFFSET)
    if gains is None:
        raise RecordingRejected(
            'wrong_unit',
            f'how many {unit} one count of its {recording.get_dtype()} traces is worth is not known;'
            f" recording.set_property('{_GAIN}', [1.0]) says it of each channel",
        )
    return float(gains[number]), 0.0 if offsets is None else float(offsets[number])
