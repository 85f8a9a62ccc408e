"""What one cell's recording holds, before a model has seen it: spikes, their measures, a picture of the trace."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

import numpy as np

from beam_pipelines import domain
from beam_pipelines.recordings.cell_files import RecordingFiles
from beam_pipelines.recordings.library_errors import rejecting_faults
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.recordings.recording import RecordedCurrent, Recording, at_40_khz
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.recordings.sources import RECORDED
from beam_pipelines.spikes.detection import DetectedSpikes
from beam_pipelines.spikes.extraction import (
    ExtractionReport,
    RecordedCell,
    choose_current,
    read_cells,
    rejected_after_all,
)
from beam_pipelines.spikes.no_spikes import explain_no_spikes
from beam_pipelines.spikes.preparation import PreparedCurrent
from beam_pipelines.spikes.waveform_features import SpikeMeasures, measure_spikes
from trainer.classify.recording_warnings import recording_warnings
from trainer.evaluation.cell_warnings import CellWarning
from trainer.evaluation.results import TraceEnvelope

# About the number of pixels across a screen or page.
_STRETCHES_OF_TRACE = 1_200


@dataclasses.dataclass(frozen=True)
class MeasuredCell:
    """The n spikes of a cell.

    Attributes
    ----------
    cell : its name; that of the file, or of the folder of spike CSVs.
    path : the recording, or the folder of spike CSVs.
    trigger : (n,) int64, sample index at 40 kHz in the recording, whose sweeps follow each other.
    time_s : (n,) float64, when the triggers were, from the start of the first sweep, pauses between sweeps included.
    waveform : (n, 160) float32, pA.
    measures : of the spikes.
    trace : None for spike CSVs.
    duration_s : of the recording, without pauses between sweeps; 0 where unknown.
    intervals_s : start and end of each stretch that was recorded; empty where unknown.
    sampling_rate_hz : that of the recording; the spikes are always at 40 kHz.
    source : of the recording, ``recorded`` or the name of what made it; see ``recordings.sources``.
    warnings : what was done to the recording, or is wrong with it.
    start_s : when the first sweep started, on the clock of the file; 0 where it has none.
    started : when the first sweep started, with a time zone if the file has one, else local; None if not known.
    """

    cell: str
    path: str
    trigger: np.ndarray
    time_s: np.ndarray
    waveform: np.ndarray
    measures: SpikeMeasures
    trace: TraceEnvelope | None
    duration_s: float
    intervals_s: tuple[tuple[float, float], ...]
    sampling_rate_hz: float
    source: str
    warnings: tuple[CellWarning, ...]
    start_s: float = 0.0
    started: datetime.datetime | None = None


# What became of each cell in a recording: None if it was rejected.
ReadCells = list[tuple[MeasuredCell | None, ExtractionReport]]


def read_measured_cells(files: RecordingFiles, options: ReadingOptions) -> ReadCells:
    """Reads the files of one cell, or one file of several cells, as ``extraction.read_cells`` does, and measures them.

    Returns
    -------
    For each cell what was measured, None if it was rejected, and what became of the files. A bad file never raises.
    """
    measured: ReadCells = []
    for cell, report in read_cells(files, options):
        try:
            with rejecting_faults():
                measured.append((None if cell is None else _measure(cell, options), report))
        except RecordingRejected as error:
            assert cell is not None
            measured.append((None, rejected_after_all(cell, files, report, error)))
    return measured


def measure_currents(currents: Sequence[RecordedCurrent], options: ReadingOptions) -> MeasuredCell:
    """Finds and measures the spikes of a cell without name or path.

    Parameters
    ----------
    currents : of one recording; if there are several, the only one with spikes is the cell's.
    options : how they are read and spikes are cut.

    Raises
    ------
    RecordingRejected
        If the rate is not accepted, a value is not finite, there is no spike, or several currents have spikes.
    """
    recordings = [at_40_khz(current, options.resample) for current in currents]
    recording, current, spikes = choose_current(recordings, options.cutting)
    if not len(spikes.triggers):
        raise RecordingRejected(*explain_no_spikes(spikes, current, options.cutting))
    return _measure(RecordedCell('', '', spikes, recording, current, len(recordings) > 1), options)


def _measure(cell: RecordedCell, options: ReadingOptions) -> MeasuredCell:
    recording, triggers = cell.recording, cell.spikes.triggers
    return MeasuredCell(
        cell.cell_id,
        cell.path,
        triggers,
        recording.seconds_at(triggers) if recording else triggers / domain.SAMPLING_RATE_HZ,
        cell.spikes.waveforms,
        measure_spikes(cell.spikes.waveforms),
        trace=trace_envelope(recording, cell.current, cell.spikes) if recording and cell.current else None,
        duration_s=recording.duration_s if recording else 0.0,
        intervals_s=tuple(recording.intervals_s) if recording else (),
        sampling_rate_hz=recording.sampling_rate_hz if recording else domain.SAMPLING_RATE_HZ,
        source=recording.source if recording else RECORDED,
        warnings=recording_warnings(cell, options),
        start_s=recording.start_s if recording else 0.0,
        started=recording.started if recording else None,
    )


def trace_envelope(
    recording: Recording,
    current: PreparedCurrent,
    spikes: DetectedSpikes,
    samples: tuple[int, int] | None = None,
) -> TraceEnvelope:
    """Reduces the current of a recording for a picture.

    Parameters
    ----------
    recording, current, spikes : of the cell.
    samples : the first sample of the picture and the one after its last, in the sweeps one after the other; None: all.
    """
    current_pa = np.concatenate(current.sweeps) if len(current.sweeps) > 1 else current.sweeps[0]
    first, end = samples or (0, len(current_pa))
    current_pa = current_pa[first:end]
    stretches = min(_STRETCHES_OF_TRACE, len(current_pa))
    edges = np.linspace(0, len(current_pa), stretches + 1).round().astype(np.int64)
    return TraceEnvelope(
        recording.seconds_at(first + (edges[:-1] + edges[1:]) / 2),
        np.minimum.reduceat(current_pa, edges[:-1]).astype(np.float32, copy=False),
        np.maximum.reduceat(current_pa, edges[:-1]).astype(np.float32, copy=False),
        current.trigger_pa,
        recording.seconds_at(np.setdiff1d(_all_triggers(current, spikes), spikes.triggers)),
    )


def _all_triggers(current: PreparedCurrent, spikes: DetectedSpikes) -> np.ndarray:
    """Returns the triggers of spikes and of all that was left out, (k,) int64, in the sweeps one after the other."""
    starts = np.cumsum([0, *map(len, current.sweeps)])
    return np.concatenate([found + start for found, start in zip(spikes.found, starts, strict=False)])
