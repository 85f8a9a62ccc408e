"""Recordings in memory, as neo and SpikeInterface hold them. Neither is imported for other objects."""

from __future__ import annotations

import sys

from beam_pipelines.recordings.neo_objects import read_neo_object
from beam_pipelines.recordings.recording import RecordedCurrent
from beam_pipelines.recordings.spikeinterface_objects import read_spikeinterface_recording


def read_library_object(recording: object, channel: str | None = None) -> list[RecordedCurrent]:
    """Reads the currents of a recording in memory as those of a file of one cell are read.

    Parameters
    ----------
    recording : a SpikeInterface ``BaseRecording`` or a neo ``Segment``, ``Block`` or ``AnalogSignal``.
    channel : see ``current_channels.choose_currents``.

    Returns
    -------
    Its currents in pA; there is at least one.

    Raises
    ------
    TypeError
        If it is none of these.
    RecordingRejected
        If it cannot be used.
    """
    if _is_of(recording, 'neo', 'Segment', 'Block', 'AnalogSignal'):
        return read_neo_object(recording, channel)
    if _is_of(recording, 'spikeinterface.core', 'BaseRecording'):
        return read_spikeinterface_recording(recording, channel)
    kind = type(recording)
    raise TypeError(
        'recording: expected a path, a BaseRecording of SpikeInterface, or a Segment, Block or AnalogSignal of neo,'
        f' not {kind.__module__}.{kind.__qualname__}; classify takes a current in pA'
    )


def _is_of(recording: object, library: str, *names: str) -> bool:
    # Whoever has an object of a library has loaded the library.
    loaded = sys.modules.get(library)
    return loaded is not None and isinstance(recording, tuple(getattr(loaded, name) for name in names))
