"""Reads the current of a SpikeInterface ``BaseRecording``, whose segments are sweeps.

SpikeInterface itself knows voltages alone, by ``gain_to_uV``. The unit of any other quantity is in the properties
``physical_unit``, ``gain_to_physical_unit`` and ``offset_to_physical_unit``, which its readers of neo's formats set.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from beam_pipelines.recordings.current_channels import Channel, choose_currents
from beam_pipelines.recordings.library_errors import library_errors
from beam_pipelines.recordings.limits import check_samples, check_sweeps
from beam_pipelines.recordings.recording import RecordedCurrent, starts_with_gaps
from beam_pipelines.recordings.rejection import RecordingRejected

_UNIT, _GAIN, _OFFSET = 'physical_unit', 'gain_to_physical_unit', 'offset_to_physical_unit'
_SET_UNIT = f"of a current, recording.set_property('{_UNIT}', ['pA']) and {_GAIN} say the unit of each channel"


def read_spikeinterface_recording(recording: Any, channel: str | None) -> list[RecordedCurrent]:
    """Reads the currents of a SpikeInterface recording; see ``library_objects.read_library_object``."""
    with library_errors('spikeinterface'), np.errstate(all='ignore'):  # What overflows is rejected later.
        count = recording.get_num_segments()
        check_sweeps(count)
        check_samples(sum(map(recording.get_num_samples, range(count))) * recording.get_num_channels())
        channels = _channels(recording)
        return [
            _read_channel(recording, number, pa_per_unit, channels[number])
            for number, pa_per_unit in choose_currents(channels, channel).items()
        ]


def _channels(recording: Any) -> list[Channel]:
    units, ids = recording.get_property(_UNIT), recording.get_channel_ids()
    if units is None and recording.get_property('gain_to_uV') is not None:
        raise RecordingRejected('voltage', f'gain_to_uV alone makes its traces a voltage; {_SET_UNIT}')
    if units is None:
        raise RecordingRejected('wrong_unit', f'its traces have no unit; {_SET_UNIT}')
    names = recording.get_property('channel_name')
    names = ids if names is None else names
    return [Channel(str(name).strip(), str(unit)) for name, unit in zip(names, units, strict=True)]


def _read_channel(recording: Any, number: int, pa_per_unit: float, channel: Channel) -> RecordedCurrent:
    gain, offset = _gain_and_offset(recording, number, channel.unit)
    rate_hz = float(recording.get_sampling_frequency())
    channel_id = recording.get_channel_ids()[number]
    sweeps, starts_s = [], []
    for segment in range(recording.get_num_segments()):
        # As they are stored, because SpikeInterface scales voltages alone.
        traces = recording.get_traces(segment_index=segment, channel_ids=[channel_id])
        if len(traces):
            current = traces[:, 0].astype(np.float64) * gain + offset
            sweeps.append((current * pa_per_unit).astype(np.float32))
            starts_s.append(float(recording.get_start_time(segment_index=segment)))
    if not sweeps:
        raise RecordingRejected('no_spikes', 'it holds no sample')
    return RecordedCurrent(sweeps, rate_hz, channel.name, starts_with_gaps(starts_s, sweeps, rate_hz))


def _gain_and_offset(recording: Any, number: int, unit: str) -> tuple[float, float]:
    gains, offsets = recording.get_property(_GAIN), recording.get_property(_OFFSET)
    if gains is None:
        raise RecordingRejected(
            'wrong_unit',
            f'how many {unit} one count of its {recording.get_dtype()} traces is worth is not known;'
            f" recording.set_property('{_GAIN}', [1.0]) says it of each channel",
        )
    return float(gains[number]), 0.0 if offsets is None else float(offsets[number])
