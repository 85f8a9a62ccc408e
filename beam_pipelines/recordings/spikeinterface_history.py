"""Whether a SpikeInterface recording is as it was acquired: what it was made from, and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from beam_pipelines.recordings.rejection import RecordingRejected

# What selects, joins, converts or scales, by the name of its class or of one that it extends, because the shape of a
# spike stays. Whatever else makes a recording from another changes the shape, or may.
_KEEPS_THE_SHAPE = {
    'ChannelSliceRecording',
    'FrameSliceRecording',
    'SelectSegmentRecording',
    'AppendSegmentRecording',
    'ConcatenateSegmentRecording',
    'ChannelsAggregationRecording',
    'AstypeRecording',
    'ScaleRecording',
}
_SCALES, _SCALES_AND_SAYS_SO = 'ScaleRecording', 'ScaleToPhysicalUnits'


def check_as_acquired(recording: Any) -> None:
    """Raises RecordingRejected if a recording, or one that it was made from, is filtered or otherwise preprocessed."""
    for made, sources in _history(recording):
        if sources and not _KEEPS_THE_SHAPE & _class_names(made):
            raise RecordingRejected(
                'preprocessed', f'preprocessed by {type(made).__name__}; give the recording as it was acquired'
            )
    # All that is left of a filter once its recording is saved.
    if recording.is_filtered():
        raise RecordingRejected('preprocessed', 'annotated with is_filtered; give the recording as it was acquired')


def check_scaled_once(recording: Any, unit: str, gain: float) -> None:
    """Raises RecordingRejected if the traces are scaled already, but the gain of the unit is still that of the counts.

    ``scale_to_uV`` and ``scale`` of SpikeInterface leave ``gain_to_physical_unit`` as it was.

    Parameters
    ----------
    recording : SpikeInterface's.
    unit, gain : of the channel to be read, by its properties.
    """
    if _says_scaled(recording, gain) or any(
        _scales_under(made, sources[0], unit, gain) for made, sources in _history(recording) if sources
    ):
        raise RecordingRejected(
            'wrong_unit',
            f'its {recording.get_dtype()} traces are scaled already, and gain_to_physical_unit ({gain:g}) would scale'
            ' them again; give the recording before scale_to_uV or scale, or scale_to_physical_units of it',
        )


def _says_scaled(recording: Any, gain: float) -> bool:
    """Says whether the gain of a voltage is that of scaled traces: it is all that is left once these are saved."""
    voltage_gains = recording.get_property('gain_to_uV')
    is_float = np.issubdtype(recording.get_dtype(), np.floating)
    return bool(is_float and voltage_gains is not None and (voltage_gains == 1).all() and gain != 1)


def _scales_under(made: Any, source: Any, unit: str, gain: float) -> bool:
    """Says whether a recording is a scaled one of a source that has the same unit and gain."""
    names = _class_names(made)
    units, gains = source.get_property('physical_unit'), source.get_property('gain_to_physical_unit')
    if _SCALES not in names or _SCALES_AND_SAYS_SO in names or units is None or gains is None:
        return False
    scales = (np.asarray(made.to_dict()['kwargs']['gain']) != 1).any()
    return bool(scales and ((units == unit) & (gains == gain)).any())


def _history(recording: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Yields a recording and those that it was made from, each with its direct sources."""
    sources = []
    for value in recording.to_dict()['kwargs'].values():
        several = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        sources += [one for one in several if 'BaseRecording' in _class_names(one)]
    yield recording, sources
    for source in sources:
        yield from _history(source)


def _class_names(recording: Any) -> set[str]:
    return {kind.__name__ for kind in type(recording).__mro__}
