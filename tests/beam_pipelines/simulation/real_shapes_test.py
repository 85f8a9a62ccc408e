import json

import numpy as np
import pytest

from beam_pipelines.domain import recording_day
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.cell_files import RecordingFiles
from beam_pipelines.recordings.reading_options import ReadingOptions
from beam_pipelines.simulation.mean_spikes import read_mean_spikes
from beam_pipelines.simulation.real_shapes import make_recordings, parse_pair, waveform_at_40_khz
from beam_pipelines.spikes.extraction import read_cells
from tests.support.folders import files_of
from tests.support.mean_spikes import write_mean_spikes
from tests.support.places import SHARED
from tests.support.requirements import needs_shared

LABELS = ['E  4.0', 'E  5.0', 'FS 5.0', 'SOMnan', 'FS 4.0', 'E  4.0']


@pytest.fixture(scope='module')
def waveforms(tmp_path_factory):
    return write_mean_spikes(tmp_path_factory.mktemp('real') / 'spikes', LABELS)


@pytest.fixture(scope='module')
def root(waveforms):
    return make_recordings(waveforms.parent / 'recordings', waveforms, 'E,FS', seed=2)


@pytest.fixture(scope='module')
def truth(root):
    return json.loads((root / 'REAL_SHAPES.json').read_text())


def _read(root, recording):
    files = RecordingFiles('original', 0, recording['cell'], (str(root / recording['path']),))
    ((cell, report),) = read_cells(files, ReadingOptions())
    return cell, report


def _correlation(window: np.ndarray, waveform: np.ndarray) -> float:
    """Returns how well a spike fits a waveform at the best lag: the trigger comes a few samples before the trough."""
    return max(np.corrcoef(window[lag:140], waveform[: 140 - lag])[0, 1] for lag in range(16))


def test_each_neuron_of_the_pair_is_one_recording_in_its_class(root, truth):
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob('*.abf')) == sorted(
        recording['path'] for recording in truth['recordings']
    )
    assert sorted((of['row'], of['type'], of['label']) for of in truth['recordings']) == [
        (1, 'E', 'SER'),
        (2, 'E', 'SER'),
        (3, 'FS', 'NSER'),
        (5, 'FS', 'NSER'),
        (6, 'E', 'SER'),
    ]
    for recording in truth['recordings']:
        assert recording['path'] == f'original/{recording["label"]}/{recording["cell"]}.abf'
        assert recording_day(recording['cell']) == recording['day'] in truth['days']
    assert truth['source'] == 'real_shapes'
    assert truth['types_of_label'] == {'SER': ['E'], 'NSER': ['FS']}


def test_spikes_cut_from_a_recording_have_the_shape_that_they_were_made_from(root, truth):
    recordings = truth['recordings']
    for recording in recordings:
        cell, report = _read(root, recording)
        assert len(cell.spikes.waveforms) == report.triggers == len(recording['trough_samples']) == 60
        fits = {of['type']: _correlation(cell.spikes.waveforms.mean(axis=0), of['waveform']) for of in recordings}
        assert fits[recording['type']] > 0.99 > max(fit for name, fit in fits.items() if name != recording['type'])
        single = [_correlation(spike, recording['waveform']) for spike in cell.spikes.waveforms]
        assert np.median(single) > 0.95
        depth_pa = -cell.spikes.waveforms.min(axis=1)
        assert np.mean(depth_pa) == pytest.approx(recording['amplitude_pa'], rel=0.15)


def test_a_neuron_fires_with_its_own_intervals(truth):
    for recording in truth['recordings']:
        intervals_ms = np.diff(recording['trough_samples']) / 40
        assert 19.9 <= intervals_ms.min() < 25 and 55 < intervals_ms.max() <= 60.1


def test_a_recording_says_what_it_is_even_after_it_is_copied(root, truth):
    cell, report = _read(root, truth['recordings'][0])
    assert cell.recording.source == 'real_shapes'
    assert report.made_files == {'real_shapes': 1}


def test_the_background_is_of_the_published_kind(root, truth):
    for recording in truth['recordings']:
        cell, _ = _read(root, recording)
        before_first_pa = cell.recording.sweeps[0][:39_000]
        assert before_first_pa.std() == pytest.approx(truth['days'][recording['day']]['sd_pa'], rel=0.05)


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_days(root, waveforms, tmp_path):
    again = make_recordings(tmp_path / 'again', waveforms, 'E,FS', seed=2, workers=1)
    assert files_of(again) == files_of(root)
    other = make_recordings(tmp_path / 'other', waveforms, 'E,FS', seed=3)
    assert files_of(other) != files_of(root)


@pytest.mark.parametrize('pair', ['E', 'E,FS,SOM', 'E,VIP', 'E,E', 'E+FS,FS', ''])
def test_a_pair_that_is_none_is_an_error(pair):
    with pytest.raises(UserError, match='--pair .*: expected the types that play SER and NSER'):
        parse_pair(pair)


def test_a_pair_may_hold_several_types():
    assert parse_pair('E,FS+SOM') == {'SER': ('E',), 'NSER': ('FS', 'SOM')}


def test_a_class_without_neurons_is_an_error(tmp_path):
    waveforms = write_mean_spikes(tmp_path / 'spikes', ['E  4.0', 'E  4.0'])
    with pytest.raises(UserError, match='spikes: holds no neuron of type FS or SOM'):
        make_recordings(tmp_path / 'recordings', waveforms, 'E,FS+SOM')
    assert not (tmp_path / 'recordings').exists()


@needs_shared
def test_real_shapes_keep_their_width_at_40_khz():
    for spike in read_mean_spikes(SHARED / 'data' / 'juxtacellular')[::20]:
        waveform = waveform_at_40_khz(spike)
        assert np.argmin(waveform[35:46]) == 5
        grid = np.arange(-38, 98)  # samples of 25 us around the trough, within the stored 3.5 ms
        stored = np.interp(100 + grid * 2.5, np.arange(spike.waveform.size), spike.waveform)
        assert np.corrcoef(stored, waveform[40 + grid])[0, 1] > 0.99
