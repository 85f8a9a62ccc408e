"""What one cell's recording holds, before a model has seen it: spikes, their measures, a picture of the trace."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Sequence

import numpy as np

from beam_pipelines import domain
from beam_pipelines.recordings.abf_header import is_simulated
from beam_pipelines.recordings.abf_reader import bring_to_40_khz, read_abf, usable_rate_hz
from beam_pipelines.recordings.cell_files import RecordingFiles, RejectedFile
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.spikes.detection import DetectedSpikes, detect_spikes, no_spikes_detail
from beam_pipelines.spikes.extraction import IngestReport, ingest_cell
from beam_pipelines.spikes.spike_measures import SpikeMeasures, measure_spikes
from trainer.evaluation.results import TraceEnvelope

# About as many as a screen or a page has dots.
_STRETCHES_OF_TRACE = 1_200


@dataclasses.dataclass(frozen=True)
class MeasuredCell:
    """The n spikes of a cell.

    Attributes
    ----------
    cell : its name; that of the file, or of the folder of spike CSVs.
    path : the recording, or the folder of spike CSVs.
    trigger : (n,) int64, sample index at 40 kHz in the recording.
    waveform : (n, 160) float32, pA.
    measures : of the spikes.
    trace : None for spike CSVs.
    duration_s : of the recording; 0 where unknown.
    sampling_rate_hz : that of the recording; the spikes are at 40 kHz whatever it is.
    is_simulated : whether the recording says so.
    """

    cell: str
    path: str
    trigger: np.ndarray
    waveform: np.ndarray
    measures: SpikeMeasures
    trace: TraceEnvelope | None
    duration_s: float
    sampling_rate_hz: float
    is_simulated: bool


def read_cell(recording: RecordingFiles, resample: bool) -> tuple[MeasuredCell | None, IngestReport]:
    """Reads the files of one cell and measures its spikes; as ``ingest.ingest_cell``, which builds datasets.

    Returns
    -------
    The cell, None if every file was rejected, and what became of the files. A bad file is never an exception.
    """
    cell, report = None, IngestReport(0, (), 0, 0, 0, 0.0)
    for files in (recording, *recording.spares):
        if cell is not None:
            detail = f'cell {files.cell_id} is already used, from {cell.path}; give the files different names'
            rejected = tuple(RejectedFile(path, 'duplicate_cell', detail) for path in files.paths)
            report = dataclasses.replace(report, rejected=report.rejected + rejected)
        else:
            read = _read_abf if files.is_abf else _read_csvs
            cell, of_files = read(files, resample)
            report = report.plus(of_files)
    return cell, report


def measure_current(
    current_pa: np.ndarray, sampling_rate_hz: float, resample: bool, cell: str = '', path: str = ''
) -> MeasuredCell:
    """Finds and measures the spikes of a current.

    Parameters
    ----------
    current_pa : (n,) array of numbers, pA.
    sampling_rate_hz : of the current.
    resample : bring other rates, from 10 kHz on, to 40 kHz; without it they are rejected.

    Raises
    ------
    RecordingRejected
        If the rate is another, a value is not finite, or there is no spike.
    """
    current_pa = np.asarray(current_pa)
    if current_pa.ndim != 1 or not len(current_pa) or current_pa.dtype.kind not in 'fiu':
        raise ValueError(f'current_pa: expected (n,) numbers in pA, not {current_pa.dtype} of shape {current_pa.shape}')
    rate_hz = usable_rate_hz(sampling_rate_hz, resample)
    current_pa = current_pa.astype(np.float32, copy=False)
    if not np.isfinite(current_pa).all():
        raise RecordingRejected('not_finite', 'a sample is not a finite number')
    sweeps = [bring_to_40_khz(current_pa, rate_hz)]
    return _measure(cell, path, sweeps, detect_spikes(sweeps), rate_hz, False)


def _measure(
    cell: str,
    path: str,
    sweeps: Sequence[np.ndarray],
    spikes: DetectedSpikes,
    rate_hz: float,
    simulated: bool,
) -> MeasuredCell:
    if not len(spikes.triggers):
        raise RecordingRejected('no_spikes', no_spikes_detail(spikes, sweeps))
    return MeasuredCell(
        cell,
        path,
        spikes.triggers,
        spikes.waveforms,
        measure_spikes(spikes.waveforms),
        _envelope(sweeps),
        sum(map(len, sweeps)) / domain.SAMPLING_RATE_HZ,
        rate_hz,
        simulated,
    )


def _read_abf(files: RecordingFiles, resample: bool) -> tuple[MeasuredCell | None, IngestReport]:
    (path,) = files.paths
    found = 0
    try:
        recording = read_abf(path, resample)
        spikes = detect_spikes(recording.sweeps)
        found = spikes.triggers_found
        cell = _measure(files.cell_id, path, recording.sweeps, spikes, recording.sampling_rate_hz, is_simulated(path))
    except RecordingRejected as error:
        reason, detail = error.reason, error.detail
    except OSError as error:  # the file went away while it was read
        reason, detail = 'unreadable', error.strerror or str(error)
    else:
        kept = len(spikes.triggers)
        return cell, IngestReport(1, (), found, kept, found - kept, cell.duration_s, int(cell.is_simulated))
    return None, IngestReport(0, (RejectedFile(path, reason, detail),), found, 0, found, 0.0)


def _read_csvs(files: RecordingFiles, resample: bool) -> tuple[MeasuredCell | None, IngestReport]:
    spikes, report = ingest_cell(dataclasses.replace(files, spares=()), seed=0, max_masks=0, resample=resample)
    if spikes is None:
        return None, report
    cell = MeasuredCell(
        files.cell_id,
        posixpath.dirname(files.paths[0]),
        spikes.triggers,
        spikes.waveforms,
        measure_spikes(spikes.waveforms),
        None,
        0.0,
        domain.SAMPLING_RATE_HZ,
        False,
    )
    return cell, report


def _envelope(sweeps: Sequence[np.ndarray]) -> TraceEnvelope:
    current_pa = np.concatenate(sweeps) if len(sweeps) > 1 else sweeps[0]
    stretches = min(_STRETCHES_OF_TRACE, len(current_pa))
    edges = np.linspace(0, len(current_pa), stretches + 1).round().astype(np.int64)
    return TraceEnvelope(
        (edges[:-1] + edges[1:]) / (2 * domain.SAMPLING_RATE_HZ),
        np.minimum.reduceat(current_pa, edges[:-1]).astype(np.float32, copy=False),
        np.maximum.reduceat(current_pa, edges[:-1]).astype(np.float32, copy=False),
    )
