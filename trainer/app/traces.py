"""The current of a recording at any magnification: read once more when the user zooms into it."""

from __future__ import annotations

import bisect
import collections
import dataclasses
import os
import threading

import numpy as np

from beam_pipelines.errors import UserError
from beam_pipelines.recordings.cell_files import group_files
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.recording import Recording
from beam_pipelines.spikes.extraction import RecordedCell, read_cells
from trainer.classify.measured_cell import trace_envelope
from trainer.evaluation.results import ClassifiedCell, TraceEnvelope

# Ten minutes are 96 MB.
_MOST_KEPT = 2
LEAST_STRETCH_S = 0.004


class StretchUnavailable(UserError):
    """A stretch of a recording cannot be drawn."""


class Traces:
    """Reads recordings again and keeps the last few; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: collections.OrderedDict[object, RecordedCell] = collections.OrderedDict()

    def stretch(self, cell: ClassifiedCell, options: ReadingOptions, first_s: float, last_s: float) -> ClassifiedCell:
        """Returns a cell with the trace of a stretch alone.

        Parameters
        ----------
        cell : which has a trace.
        options : how its recording was read.
        first_s, last_s : start and end of the stretch, at least ``LEAST_STRETCH_S`` apart.

        Raises
        ------
        StretchUnavailable
            If the recording is gone or has changed, or nothing was recorded in the stretch.
        """
        with self._lock:
            found = self._read(cell, options)
        recording, current = found.recording, found.current
        assert recording is not None and current is not None
        samples = _sample_at(recording, first_s), _sample_at(recording, last_s)
        if samples[0] >= samples[1]:
            raise StretchUnavailable('Nothing was recorded in this pause between sweeps.')
        return dataclasses.replace(cell, trace=_joined(trace_envelope(recording, current, found.spikes, samples)))

    def _read(self, cell: ClassifiedCell, options: ReadingOptions) -> RecordedCell:
        try:
            key = (cell.path, cell.result.cell, options, os.stat(cell.path).st_mtime_ns)
        except OSError:
            raise StretchUnavailable('The recording is no longer there.') from None
        if key not in self._kept:
            (files,), _ = group_files([('original', 0, cell.path)])
            same = [found for found, _ in read_cells(files, options) if found and found.cell_id == cell.result.cell]
            if not same or not np.array_equal(same[0].spikes.triggers, cell.spikes.trigger):
                raise StretchUnavailable('The recording has changed since it was classified; classify it again.')
            self._kept[key] = same[0]
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _sample_at(recording: Recording, time_s: float) -> int:
    """Returns the first sample that was recorded at a time or later."""
    samples = range(sum(map(len, recording.sweeps)))
    return bisect.bisect_left(samples, time_s, key=lambda sample: recording.seconds_at(np.array([sample]))[0])


def _joined(trace: TraceEnvelope) -> TraceEnvelope:
    """Returns a trace whose stretches reach to their neighbours, so that steep flanks have no gaps."""
    low, high = trace.low_pa, trace.high_pa
    if np.array_equal(low, high):
        return trace
    return dataclasses.replace(
        trace,
        low_pa=np.append(low[:1], np.minimum(low[1:], high[:-1])),
        high_pa=np.append(high[:1], np.maximum(high[1:], low[:-1])),
    )
