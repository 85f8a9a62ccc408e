import dataclasses
import pathlib

import numpy as np
import pytest

from beam_pipelines.recordings.cell_files import RecordingFiles
from beam_pipelines.recordings.reading_options import ReadingOptions, SpikeCutting
from beam_pipelines.recordings.recording import Recording
from beam_pipelines.spikes.extraction import RecordedCell
from tests.support.classified_cells import make_cell
from tests.support.simulated_current import simulated_current
from trainer.app import traces
from trainer.app.traces import StretchUnavailable, Traces
from trainer.classify.measured_cell import read_measured_cells
from trainer.evaluation.results import ClassifiedCell

OPTIONS = ReadingOptions(cutting=SpikeCutting(), sampling_rate_hz=40_000)


@pytest.fixture
def current_pa() -> np.ndarray:
    return simulated_current(3.0)[0]


@pytest.fixture
def cell(current_pa, tmp_path) -> ClassifiedCell:
    path = tmp_path / 'A.npy'
    np.save(path, current_pa)
    ((measured, _),) = read_measured_cells(RecordingFiles('original', 0, 'A', (str(path),)), OPTIONS)
    classified = make_cell('A', path, trace=measured.trace, duration_s=measured.duration_s)
    return dataclasses.replace(classified, spikes=dataclasses.replace(classified.spikes, trigger=measured.trigger))


def test_a_short_stretch_holds_each_sample(cell, current_pa):
    trace = Traces().stretch(cell, OPTIONS, 1.0, 1.01).trace
    assert np.array_equal(trace.low_pa, current_pa[40_000:40_400])
    assert np.array_equal(trace.low_pa, trace.high_pa)
    assert (trace.time_s[0], trace.time_s[-1]) == pytest.approx((1.0, 1.01), abs=5e-5)


def test_a_longer_stretch_is_an_envelope_without_gaps(cell, current_pa):
    trace = Traces().stretch(cell, OPTIONS, 0.5, 1.5).trace
    inside = current_pa[20_000:60_000]
    assert (trace.low_pa.min(), trace.high_pa.max()) == (inside.min(), inside.max())
    assert (trace.low_pa[1:] <= trace.high_pa[:-1]).all() and (trace.high_pa[1:] >= trace.low_pa[:-1]).all()


def test_a_recording_is_read_once_for_many_stretches(cell, monkeypatch):
    reads = []
    monkeypatch.setattr(traces, 'read_cells', lambda *given, read=traces.read_cells: reads.append(1) or read(*given))
    kept = Traces()
    for first_s in (0.0, 1.0, 2.0):
        kept.stretch(cell, OPTIONS, first_s, first_s + 0.5)
    assert len(reads) == 1


def test_a_recording_that_is_gone_or_has_changed_is_not_drawn(cell, current_pa):
    pathlib.Path(cell.path).unlink()
    with pytest.raises(StretchUnavailable, match='no longer there'):
        Traces().stretch(cell, OPTIONS, 0.0, 1.0)
    np.save(cell.path, current_pa[10_000:])
    with pytest.raises(StretchUnavailable, match='has changed'):
        Traces().stretch(cell, OPTIONS, 0.0, 1.0)


def test_times_lie_in_the_sweeps_and_pauses_between_them_hold_nothing(cell, current_pa, monkeypatch):
    sweeps = [current_pa[:40_000], current_pa[40_000:]]
    recording = Recording(sweeps, 40_000, sweep_starts_s=(0.0, 10.0))

    def with_pause(files, options):
        ((found, report),) = traces_read(files, options)
        current = dataclasses.replace(found.current, sweeps=sweeps)
        spikes = dataclasses.replace(found.spikes, found=[np.empty(0, np.int64)] * 2)
        return [(RecordedCell('A', cell.path, spikes, recording, current), report)]

    traces_read = traces.read_cells
    monkeypatch.setattr(traces, 'read_cells', with_pause)
    second = Traces().stretch(cell, OPTIONS, 10.0, 10.01).trace
    assert np.array_equal(second.low_pa, current_pa[40_000:40_400])
    with pytest.raises(StretchUnavailable, match='pause'):
        Traces().stretch(cell, OPTIONS, 2.0, 3.0)
