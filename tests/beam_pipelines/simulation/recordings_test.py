import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pyabf
import pytest

from beam_pipelines.domain import SAMPLING_RATE_HZ, SPIKE_SAMPLES, TRIGGER_PA, recording_day
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.published_cells import published_cells
from beam_pipelines.simulation import recordings as simulated_recordings

_TINY = simulated_recordings.Profile(
    'tiny', {'original': {'SER': 3, 'NSER': 2}, 'non_homogeneous': {'SER': 2, 'NSER': 1}}, seconds=8.0
)


def _bytes_by_path(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob('*') if path.is_file()}


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return simulated_recordings.simulate(tmp_path_factory.mktemp('simulated') / 'recordings', _TINY, seed=3)


@pytest.fixture(scope='module')
def truth(root) -> dict:
    return json.loads((root / 'SIMULATED.json').read_text())


def test_root_holds_one_file_a_cell_in_its_class_folder(root, truth):
    paths = {recording['path'] for recording in truth['recordings']}
    assert set(_bytes_by_path(root)) == paths | {'SIMULATED.json'}
    for recording in truth['recordings']:
        assert recording['path'] == f'{recording["set"]}/{recording["label"]}/{recording["cell"]}.abf'
        assert re.fullmatch(r'SIM\d{4}#\d{3}', recording['cell'])
        assert recording_day(recording['cell']) == recording['day']
        assert recording['day'] in truth['days']
    folders = [path.rsplit('/', 1)[0] for path in paths]
    assert {folder: folders.count(folder) for folder in folders} == {
        'original/SER': 3,
        'original/NSER': 2,
        'non_homogeneous/SER': 2,
        'non_homogeneous/NSER': 1,
    }


def test_truth_says_what_it_is(truth):
    assert truth['format_version'] == simulated_recordings.FORMAT_VERSION
    assert truth['source'] == 'simulated'
    assert truth['profile'] == 'tiny'
    assert truth['seed'] == 3
    assert truth['parameters']['profile']['seconds'] == 8.0


def test_truth_is_what_stands_in_the_files(root, truth):
    for recording in truth['recordings']:
        abf = pyabf.ABF(str(root / recording['path']))
        current_pa = abf.sweepY
        assert abf.dataRate == SAMPLING_RATE_HZ
        assert current_pa.size == 8 * SAMPLING_RATE_HZ

        below = current_pa <= TRIGGER_PA
        crossing = np.flatnonzero(below[1:] & ~below[:-1]) + 1
        trigger = crossing[np.diff(crossing, prepend=-SPIKE_SAMPLES) >= SPIKE_SAMPLES]
        assert trigger.tolist() == recording['spike_samples']
        trough_pa = [current_pa[sample - 20 : sample + 20].min() for sample in trigger]
        np.testing.assert_allclose(recording['trough_pa'], trough_pa, atol=1e-3)


def test_nearly_all_troughs_are_well_below_the_threshold(truth):
    trough_pa = np.concatenate([recording['trough_pa'] for recording in truth['recordings']])
    assert np.mean(trough_pa < -55) > 0.99
    assert trough_pa.min() > -165


def test_a_spike_that_misses_the_threshold_is_listed_without_a_trigger():
    current_pa = np.zeros(4_000, dtype=np.float32)
    current_pa[[998, 999, 1_000]] = -20, -50, -60
    current_pa[2_000] = -49.5
    assert simulated_recordings._triggers(current_pa, np.array([0.025, 0.05])) == ([999, None], [-60.0, -49.5])


def test_spike_free_stretches_have_the_noise_of_the_day(root, truth):
    for recording in truth['recordings']:
        current_pa = pyabf.ABF(str(root / recording['path'])).sweepY.astype(np.float64)
        free = np.ones(current_pa.size, dtype=bool)
        for sample in recording['spike_samples']:
            free[sample - 60 : sample + 520] = False
        both_free = free[1:] & free[:-1]
        sd_pa = current_pa[free].std()
        lag1 = np.mean((current_pa[1:] * current_pa[:-1])[both_free]) / sd_pa**2
        assert 2.5 <= sd_pa <= 4.5
        assert 0.6 <= lag1 <= 0.8
        assert sd_pa == pytest.approx(truth['days'][recording['day']]['sd_pa'], rel=0.1)
        assert current_pa[free].min() > -35


def test_days_of_the_two_sets_differ(truth):
    days = {name: {r['day'] for r in truth['recordings'] if r['set'] == name} for name in _TINY.n_cells}
    assert not days['original'] & days['non_homogeneous']
    assert len({noise['line_hz'] for noise in truth['days'].values()}) == len(truth['days'])


def test_the_day_gives_the_class_away_in_original_only():
    noise_of_day, recordings = simulated_recordings._plan(simulated_recordings.PROFILES['demo'], seed=0)
    agreement = {}
    for recording_set in ('original', 'non_homogeneous'):
        calls = [
            (noise_of_day[recording.day].line_hz < 13_300) == (recording.label_name == 'SER')
            for recording in recordings
            if recording.recording_set == recording_set
        ]
        agreement[recording_set] = np.mean(calls)
    assert agreement['original'] > 0.85
    assert 0.2 < agreement['non_homogeneous'] < 0.8

    cells_of_day = [recording.day for recording in recordings]
    assert {cells_of_day.count(day) for day in noise_of_day} <= {1, 2, 3, 4}
    assert len({recording.cell_id for recording in recordings}) == len(recordings)


def test_paper_profile_is_the_published_cells_on_their_days():
    profile = simulated_recordings.PROFILES['paper']
    noise_of_day, recordings = simulated_recordings._plan(profile, seed=0)
    original = [recording for recording in recordings if recording.recording_set == 'original']
    assert {(r.label_name, r.cell_id, r.day, r.n_spikes) for r in original} == {
        (cell.label_name, cell.cell_id, cell.day, cell.spikes) for cell in published_cells()
    }
    assert len(original) == 153 and len({r.day for r in original}) == 23

    others = [recording for recording in recordings if recording.recording_set == 'non_homogeneous']
    assert len(others) == 81 and all(r.n_spikes is None for r in others)
    assert not {r.day for r in original} & {r.day for r in others}
    assert len({noise.sd_pa for noise in noise_of_day.values()}) == len(noise_of_day)  # each day has noise of its own
    assert simulated_recordings.SOURCE in str(profile.to_json())


def test_bands_of_the_published_days_do_not_depend_on_the_class():
    share = []
    for seed in range(40):
        noise_of_day, recordings = simulated_recordings._plan(simulated_recordings.PROFILES['paper'], seed)
        original = [recording for recording in recordings if recording.recording_set == 'original']
        share.append(np.mean([(noise_of_day[r.day].line_hz < 13_300) == (r.label_name == 'SER') for r in original]))
    assert np.mean(share) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize('n_spikes', [15, 100, 700])
def test_a_recording_of_a_given_number_of_spikes_has_exactly_so_many(tmp_path, n_spikes):
    noise_of_day, recordings = simulated_recordings._plan(simulated_recordings.PROFILES['paper'], seed=0)
    recording = dataclasses.replace(recordings[0], n_spikes=n_spikes, cell_id='A1#1')
    (tmp_path / recording.path).parent.mkdir(parents=True)
    truth = simulated_recordings._write_recording(tmp_path, recording, noise_of_day[recording.day], 100.0, seed=0)
    current_pa = pyabf.ABF(str(tmp_path / recording.path)).sweepY
    assert current_pa.size == truth['seconds'] * SAMPLING_RATE_HZ
    assert 15 <= truth['seconds'] <= 200
    assert np.count_nonzero(truth['spike_samples']) == len(truth['spike_samples']) == n_spikes
    below = current_pa <= TRIGGER_PA
    crossing = np.flatnonzero(below[1:] & ~below[:-1]) + 1
    assert np.count_nonzero(np.diff(crossing, prepend=-SPIKE_SAMPLES) >= SPIKE_SAMPLES) == n_spikes


def test_same_seed_gives_the_same_bytes_for_any_number_of_workers(root, tmp_path):
    again = simulated_recordings.simulate(tmp_path / 'again', _TINY, seed=3, workers=1)
    many = simulated_recordings.simulate(tmp_path / 'many', _TINY, seed=3, workers=5)
    assert _bytes_by_path(root) == _bytes_by_path(again) == _bytes_by_path(many)


def test_another_seed_gives_other_recordings(root, tmp_path):
    other = _bytes_by_path(simulated_recordings.simulate(tmp_path / 'other', _TINY, seed=4))
    same_path = set(other) & set(_bytes_by_path(root)) - {'SIMULATED.json'}
    assert same_path
    assert all(other[path] != (root / path).read_bytes() for path in same_path)


def test_neo_reads_a_recording(root, truth):
    neo_io = pytest.importorskip('neo.io')
    path = root / truth['recordings'][0]['path']
    signal = neo_io.AxonIO(str(path)).read_block().segments[0].analogsignals[0]
    assert float(signal.sampling_rate.rescale('Hz')) == SAMPLING_RATE_HZ
    np.testing.assert_allclose(signal.magnitude[:, 0], pyabf.ABF(str(path)).sweepY, atol=1e-4)


def test_a_root_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / 'mine.txt').write_text('mine')
    with pytest.raises(UserError, match='exists and is not an empty folder'):
        simulated_recordings.simulate(tmp_path, _TINY)
    assert _bytes_by_path(tmp_path) == {'mine.txt': b'mine'}


def test_an_empty_root_is_filled(tmp_path):
    (tmp_path / 'empty').mkdir()
    simulated_recordings.simulate(tmp_path / 'empty', _TINY)
    assert (tmp_path / 'empty' / 'SIMULATED.json').exists()


def test_an_unknown_profile_is_named(tmp_path):
    with pytest.raises(UserError, match="unknown profile 'huge'; there are demo, paper"):
        simulated_recordings.simulate(tmp_path / 'x', 'huge')


def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch):
    write_abf = simulated_recordings.write_abf

    def full_disk(path, *args):
        if 'non_homogeneous' in str(path):
            raise OSError(28, 'No space left on device')
        return write_abf(path, *args)

    monkeypatch.setattr(simulated_recordings, 'write_abf', full_disk)
    with pytest.raises(UserError, match='cannot be written: No space left on device'):
        simulated_recordings.simulate(tmp_path / 'x', _TINY)
    assert list(tmp_path.iterdir()) == []


def test_the_first_recording_that_cannot_be_written_ends_the_work(tmp_path, monkeypatch):
    tried = []

    def full_disk(path, *args):
        tried.append(path)
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(simulated_recordings, 'write_abf', full_disk)
    with pytest.raises(UserError, match='cannot be written: No space left on device'):
        simulated_recordings.simulate(tmp_path / 'x', _TINY, workers=1)
    assert len(tried) < 8  # of as many recordings
