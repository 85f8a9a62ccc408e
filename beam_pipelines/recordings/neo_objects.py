"""Reads the current of a neo ``Segment``, of a ``Block``, whose segments are sweeps, or of an ``AnalogSignal``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from beam_pipelines.recordings.current_channels import Channel, channel_of_header, choose_currents
from beam_pipelines.recordings.library_errors import library_errors
from beam_pipelines.recordings.limits import check_samples, check_sweeps
from beam_pipelines.recordings.recording import RecordedCurrent, common_rate_hz, in_order_of_time
from beam_pipelines.recordings.rejection import RecordingRejected

# A signal, and which of its columns a channel is.
_Place = tuple[Any, int]


def read_neo_object(recording: Any, channel: str | None) -> list[RecordedCurrent]:
    """Reads the currents of a neo object; see ``library_objects.read_library_object``.

    What neo has not loaded yet (``lazy=True``) is loaded, but stays so in the object.
    """
    with library_errors('neo'), np.errstate(all='ignore'):  # What overflows is rejected later.
        sweeps = [_places(signals) for signals in _signals_of_sweeps(recording)]
        check_sweeps(len(sweeps))
        channels = _channels(sweeps[0]) if sweeps else []
        if not channels:
            raise RecordingRejected('wrong_unit', 'there is no AnalogSignal in it')
        if any(_kinds(_channels(places)) != _kinds(channels) for places in sweeps):
            raise RecordingRejected('wrong_channel', 'its segments have different channels; give one of the segments')
        currents = choose_currents(channels, channel)
        check_samples(sum(places[number][0].shape[0] for places in sweeps for number in currents))
        return [
            _read_channel([places[number] for places in sweeps], pa_per_unit, channels[number].name or str(number))
            for number, pa_per_unit in currents.items()
        ]


def _signals_of_sweeps(recording: Any) -> list[list[Any]]:
    if hasattr(recording, 'segments'):
        return [segment.analogsignals for segment in recording.segments]
    return [recording.analogsignals] if hasattr(recording, 'analogsignals') else [[recording]]


def _places(signals: Sequence[Any]) -> list[_Place]:
    return [(signal, column) for signal in signals for column in range(signal.shape[1])]


def _channels(places: Sequence[_Place]) -> list[Channel]:
    channels = []
    for signal, column in places:
        names = signal.array_annotations.get('channel_names')
        name = signal.name or '' if names is None else names[column]
        channels.append(channel_of_header(str(name), signal.units.dimensionality.string))
    return channels


def _kinds(channels: Sequence[Channel]) -> list[tuple[str, str]]:
    """Returns what the channels of all sweeps must share; the only signal of each sweep may have a name of its own."""
    return [(channel.unit, channel.name if len(channels) > 1 else '') for channel in channels]


def _read_channel(places: Sequence[_Place], pa_per_unit: float, name: str) -> RecordedCurrent:
    rate_hz = common_rate_hz([float(signal.sampling_rate.rescale('Hz')) for signal, _ in places], 'segments')
    sweeps = []
    for signal, column in places:
        loaded = signal.load() if hasattr(signal, 'load') else signal
        current = np.asarray(loaded.magnitude[:, column], np.float64)
        sweeps.append((current * pa_per_unit).astype(np.float32))
    starts_s = [float(signal.t_start.rescale('s')) for signal, _ in places]
    return in_order_of_time(starts_s, sweeps, rate_hz, name)
