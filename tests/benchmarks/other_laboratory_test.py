import collections
import json

import numpy as np
import pytest

from beam_pipelines.domain import recording_day
from beam_pipelines.recordings.cell_files import RecordingFiles
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.spikes.extraction import read_cells
from benchmarks.other_laboratory import Day, draw_days, make_recordings
from tests.support.folders import files_of
from tests.support.recordings import read_abf

DAYS = [Day('LAB0001', 'original', ['SER', 'NSER'])]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return make_recordings(tmp_path_factory.mktemp('laboratory') / 'recordings', DAYS)


def test_a_recording_is_read_with_all_spikes_and_marked_as_simulated(root):
    truth = json.loads((root / 'SIMULATED.json').read_text())
    assert truth['source'] == 'simulated'
    assert [(of['set'], of['label'], recording_day(of['cell'])) for of in truth['recordings']] == [
        ('original', 'SER', 'LAB0001'),
        ('original', 'NSER', 'LAB0001'),
    ]
    for recording in truth['recordings']:
        path = str(root / recording['path'])
        assert read_abf(path).source == 'simulated'
        ((cell, report),) = read_cells(RecordingFiles('original', 0, recording['cell'], (path,)), ReadingOptions())
        assert not report.rejected
        assert 60 <= len(cell.spikes.waveforms) == recording['spikes'] <= 150
        assert cell.spikes.waveforms.min(axis=1).max() < -50
        # The trigger comes some samples before the trough, which is sample 40 of the truth.
        mean, waveform = cell.spikes.waveforms.mean(axis=0), np.array(recording['waveform'])
        assert max(np.corrcoef(mean[lag:140], waveform[: 140 - lag])[0, 1] for lag in range(16)) > 0.97


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(root, tmp_path):
    same, other = (make_recordings(tmp_path / str(seed), DAYS, seed) for seed in (0, 1))
    assert files_of(same) == files_of(root)
    assert all(content != files_of(root).get(name) for name, content in files_of(other).items())


def test_the_days_are_as_the_published_ones_and_the_sets_share_none():
    days = draw_days(0)
    cells = collections.Counter((day.recording_set, name) for day in days for name in day.label_names)
    assert cells == {
        ('original', 'SER'): 108,
        ('original', 'NSER'): 45,
        ('non_homogeneous', 'SER'): 55,
        ('non_homogeneous', 'NSER'): 26,
    }
    original = [day for day in days if day.recording_set == 'original']
    assert len(original) == 23
    assert sum(len(set(day.label_names)) == 2 for day in original) == 6
    assert len({day.name for day in days}) == len(days) == 50
