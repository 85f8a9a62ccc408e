import dataclasses
import functools
import struct

import numpy as np
import pytest

from beam_pipelines.recordings.abf_writer import write_abf
from beam_pipelines.recordings.cell_files import RecordingFiles
from beam_pipelines.recordings.reading_options import PUBLISHED_CUTTING, ReadingOptions, SpikeCutting
from beam_pipelines.spikes.cell_spikes import CellSpikes
from beam_pipelines.spikes.extraction import ExtractionReport, extract_cells, read_cells
from tests.support.foreign_recordings import write_nwb, write_smr
from tests.support.places import SHARED
from tests.support.requirements import needs_shared


def _recording(*paths, cell_id: str = 'A1#1') -> RecordingFiles:
    return RecordingFiles('original', 0, cell_id, tuple(map(str, paths)))


def _options(resample=False) -> ReadingOptions:
    """The current as it is, because the spikes of these tests are rectangles."""
    return ReadingOptions(resample, cutting=PUBLISHED_CUTTING)


def _extract(recording, seed=0, max_masks=600, resample=False):
    """Returns what was extracted of the one cell in the files, and the sum of the reports."""
    results = list(extract_cells(recording, seed, max_masks, _options(resample)))
    report = functools.reduce(ExtractionReport.plus, (report for _, _, report in results))
    return next((spikes for _, spikes, _ in results if spikes is not None), None), report


def _write_abf(path, spike_starts: list[int], samples: int = 80_000, sweeps: int = 1) -> np.ndarray:
    current_pa = np.random.default_rng(0).normal(0, 3, samples)
    for start in spike_starts:
        current_pa[start : start + 10] = -80
    as_read_pa = write_abf(path, current_pa, 40_000)
    if sweeps > 1:
        content = bytearray(path.read_bytes())
        struct.pack_into('<h', content, 8, 5)  # Episodic: sweeps of the same length.
        struct.pack_into('<i', content, 16, sweeps)
        path.write_bytes(content)
    return as_read_pa


def _write_csv(folder, trigger: int, rows: int = 160, cell_id: str = 'A1#1') -> np.ndarray:
    current_pa = np.random.default_rng(trigger).normal(0, 20, rows).round(4)
    current_pa[39:41] = -30, -60  # where the threshold is crossed
    lines = [f'{(trigger - 40 + row) / 40_000:.6f},{value}' for row, value in enumerate(current_pa)]
    folder.mkdir(exist_ok=True)
    (folder / f'{cell_id}_trigger_{trigger}.csv').write_text('\n'.join(['time_s,current_pa', *lines]))
    return current_pa.astype(np.float32)


def test_spikes_are_the_windows_around_the_triggers(tmp_path):
    current_pa = _write_abf(tmp_path / 'A1#1.abf', [5_000, 50_000])
    cell, report = _extract(_recording(tmp_path / 'A1#1.abf'))
    assert cell.triggers.tolist() == [5_000, 50_000]
    np.testing.assert_array_equal(cell.waveforms[1], current_pa[49_960:50_120])
    assert (report.used_files, report.rejected, report.duration_s) == (1, (), 2.0)


def test_triggers_are_spikes_and_dropped(tmp_path):
    _write_abf(tmp_path / 'A1#1.abf', [20, 5_000, 50_000, 79_950])
    cell, report = _extract(_recording(tmp_path / 'A1#1.abf'))
    assert cell.triggers.tolist() == [5_000, 50_000]
    assert (report.triggers, report.spikes, report.dropped) == (4, 2, 2)


def test_a_window_across_the_border_of_sweeps_is_dropped(tmp_path):
    _write_abf(tmp_path / 'A1#1.abf', [10_000, 39_950, 40_010, 60_000], sweeps=2)
    cell, report = _extract(_recording(tmp_path / 'A1#1.abf'))
    assert cell.triggers.tolist() == [10_000, 60_000]
    assert (report.triggers, report.dropped) == (4, 2)


def test_a_signal_below_the_threshold_at_the_start_of_a_sweep_is_no_trigger(tmp_path):
    _write_abf(tmp_path / 'A1#1.abf', [10_000, 39_995], sweeps=2)
    _, report = _extract(_recording(tmp_path / 'A1#1.abf'))
    assert report.triggers == 2


def test_no_mask_crosses_the_border_of_sweeps(tmp_path):
    current_pa = _write_abf(tmp_path / 'A1#1.abf', [12_000], sweeps=8)
    cell, _ = _extract(_recording(tmp_path / 'A1#1.abf'))
    assert (cell.mask_starts // 10_000 == (cell.mask_starts + 159) // 10_000).all()
    assert set(cell.mask_starts // 10_000) == set(range(8))
    for start, mask in zip(cell.mask_starts, cell.masks, strict=True):
        np.testing.assert_array_equal(mask, current_pa[start : start + 160])


def test_masks_are_chosen_by_the_seed_from_all_of_the_recording(tmp_path):
    _write_abf(tmp_path / 'A1#1.abf', [5_000])
    recording = _recording(tmp_path / 'A1#1.abf')
    starts = _extract(recording, seed=0, max_masks=60)[0].mask_starts
    assert len(np.unique(starts)) == 60
    assert starts.min() < 20_000
    assert starts.max() > 60_000
    assert starts.tolist() == _extract(recording, seed=0, max_masks=60)[0].mask_starts.tolist()
    assert starts.tolist() != _extract(recording, seed=1, max_masks=60)[0].mask_starts.tolist()


def test_fewer_masks_are_the_first_of_more(tmp_path):
    _write_abf(tmp_path / 'A1#1.abf', [5_000])
    recording = _recording(tmp_path / 'A1#1.abf')
    many, few = (_extract(recording, max_masks=masks)[0].mask_starts.tolist() for masks in (60, 20))
    assert few == many[:20]


def test_a_recording_without_trigger_is_rejected(tmp_path):
    _write_abf(tmp_path / 'A1#1.abf', [])
    cell, report = _extract(_recording(tmp_path / 'A1#1.abf'))
    assert cell is None
    assert [file.reason for file in report.rejected] == ['no_spikes']
    assert report.rejected[0].detail.startswith('0 triggers at -50 pA in 2.0 s')


def test_a_recording_whose_only_window_does_not_fit_is_rejected_and_the_trigger_counted(tmp_path):
    _write_abf(tmp_path / 'A1#1.abf', [20])
    cell, report = _extract(_recording(tmp_path / 'A1#1.abf'))
    assert cell is None
    assert (report.triggers, report.spikes, report.dropped) == (1, 0, 1)


def test_spike_csvs_are_read_in_the_order_of_their_triggers(tmp_path):
    folder = tmp_path / 'A1#1'
    waveforms = {trigger: _write_csv(folder, trigger) for trigger in (1000, 90, 500)}
    cell, report = _extract(_recording(*sorted(folder.iterdir())))
    assert cell.triggers.tolist() == [90, 500, 1000]
    np.testing.assert_array_equal(cell.waveforms, [waveforms[trigger] for trigger in (90, 500, 1000)])
    assert len(cell.masks) == 0
    assert (report.used_files, report.spikes, report.triggers) == (3, 3, 3)


def test_a_bad_csv_does_not_spoil_the_others(tmp_path):
    folder = tmp_path / 'A1#1'
    _write_csv(folder, 500)
    _write_csv(folder, 700, rows=159)
    _write_csv(folder, 900, cell_id='A1#2')
    cell, report = _extract(_recording(*sorted(folder.iterdir())))
    assert cell.triggers.tolist() == [500]
    assert report.used_files == 1
    assert sorted(file.reason for file in report.rejected) == ['bad_csv', 'bad_name']


def test_spike_csvs_in_another_unit_are_rejected_with_the_factor_and_read_with_it(tmp_path):
    folder = tmp_path / 'A1#1'
    expected = _write_csv(folder, 500)
    path = folder / 'A1#1_trigger_500.csv'
    header, *rows = path.read_text().splitlines()
    cells = [row.split(',') for row in rows]
    path.write_text('\n'.join([header, *(f'{time},{float(value) * -1e-12!r}' for time, value in cells)]))
    cell, report = _extract(_recording(path))
    assert cell is None
    assert [file.reason for file in report.rejected] == ['suspicious_scale']
    cutting = SpikeCutting(polarity='up', scale=1e12)
    ((cell, report),) = read_cells(_recording(path), ReadingOptions(cutting=cutting))
    np.testing.assert_allclose(cell.spikes.waveforms, [expected], rtol=1e-6)
    assert cell.is_inverted and report.rejected == ()


def test_a_trigger_that_comes_twice_is_used_once(tmp_path):
    folder = tmp_path / 'A1#1'
    _write_csv(folder, 500)
    (folder / 'A1#1_trigger_0500.csv').write_bytes((folder / 'A1#1_trigger_500.csv').read_bytes())
    cell, report = _extract(_recording(*sorted(folder.iterdir())))
    assert cell.triggers.tolist() == [500]
    assert [file.detail for file in report.rejected] == ['trigger 500 comes twice']


def test_a_folder_of_bad_csvs_is_no_cell(tmp_path):
    _write_csv(tmp_path / 'A1#1', 700, rows=159)
    cell, report = _extract(_recording(*(tmp_path / 'A1#1').iterdir()))
    assert cell is None
    assert (report.used_files, len(report.rejected)) == (0, 1)


def test_files_that_a_cell_has_besides_are_not_used(tmp_path):
    _write_abf(tmp_path / 'A1#1.abf', [5_000])
    _write_csv(tmp_path / 'A1#1', 700)
    spare = _recording(*(tmp_path / 'A1#1').iterdir())
    recording = dataclasses.replace(_recording(tmp_path / 'A1#1.abf'), spares=(spare,))
    cell, report = _extract(recording)
    assert cell.triggers.tolist() == [5_000]
    assert report.used_files == 1
    assert [(file.path, file.reason) for file in report.rejected] == [(spare.paths[0], 'duplicate_cell')]


def test_files_that_a_cell_has_besides_are_used_where_the_first_cannot_be(tmp_path):
    (tmp_path / 'A1#1.abf').write_text('not a recording')
    _write_csv(tmp_path / 'A1#1', 700)
    spare = _recording(*(tmp_path / 'A1#1').iterdir())
    cell, report = _extract(dataclasses.replace(_recording(tmp_path / 'A1#1.abf'), spares=(spare,)))
    assert cell.triggers.tolist() == [700]
    assert report.used_files == 1
    assert [file.reason for file in report.rejected] == ['not_abf']


def test_a_file_of_a_cell_that_is_already_used_names_the_one_that_is(tmp_path):
    _write_abf(tmp_path / 'A1#1.abf', [5_000])
    _write_csv(tmp_path / 'A1#1', 700)
    spare = _recording(*(tmp_path / 'A1#1').iterdir())
    _, report = _extract(dataclasses.replace(_recording(tmp_path / 'A1#1.abf'), spares=(spare,)))
    assert report.rejected[0].detail.startswith(f'cell A1#1 is already used, from {tmp_path}/A1#1.abf; ')


def test_a_cell_is_read_with_its_recording(tmp_path):
    current_pa = _write_abf(tmp_path / 'A1#1.abf', [5_000, 50_000], sweeps=2)
    ((cell, report),) = read_cells(_recording(tmp_path / 'A1#1.abf'), _options())
    assert cell.path == str(tmp_path / 'A1#1.abf')
    np.testing.assert_array_equal(np.concatenate(cell.recording.sweeps), current_pa)
    assert (cell.recording.duration_s, cell.recording.source) == (2.0, 'recorded')
    assert report == _extract(_recording(tmp_path / 'A1#1.abf'))[1]


def test_a_cell_of_spike_csvs_is_its_folder_and_has_no_recording(tmp_path):
    _write_csv(tmp_path / 'A1#1', 700)
    ((cell, _),) = read_cells(_recording(*(tmp_path / 'A1#1').iterdir()), _options())
    assert (cell.path, cell.recording) == (str(tmp_path / 'A1#1'), None)


def test_a_simulated_recording_says_so(recordings_root):
    path = min(recordings_root.rglob('*.abf'))
    ((cell, report),) = read_cells(_recording(path, cell_id=path.stem), _options())
    assert cell.recording.source == 'simulated' and report.made_files == {'simulated': 1}


def test_a_file_that_went_away_is_rejected(tmp_path):
    ((cell, report),) = read_cells(_recording(tmp_path / 'A1#1.abf'), _options())
    assert cell is None
    assert [(file.reason, file.detail) for file in report.rejected] == [('unreadable', 'No such file or directory')]


def test_a_fault_of_the_storage_is_no_rejection(tmp_path):
    def local_copy(path):
        raise ConnectionResetError('the store has gone away')

    for paths in ((tmp_path / 'A1#1.abf',), (tmp_path / 'A1#1' / 'A1#1_trigger_700.csv',)):
        with pytest.raises(ConnectionResetError):
            read_cells(_recording(*paths), _options(), local_copy)


def test_staged_spikes_come_back_as_they_were(tmp_path):
    _write_abf(tmp_path / 'A1#1.abf', [5_000, 50_000])
    cell, _ = _extract(_recording(tmp_path / 'A1#1.abf'))
    again = CellSpikes.from_bytes(cell.to_bytes())
    assert again.fingerprint() == cell.fingerprint()
    for name in ('waveforms', 'triggers', 'masks', 'mask_starts'):
        np.testing.assert_array_equal(getattr(again, name), getattr(cell, name))


@pytest.mark.parametrize('name', ['waveforms', 'triggers', 'masks', 'mask_starts'])
def test_fingerprint_changes_with_every_part(tmp_path, name):
    _write_abf(tmp_path / 'A1#1.abf', [5_000])
    cell, _ = _extract(_recording(tmp_path / 'A1#1.abf'))
    before = cell.fingerprint()
    getattr(cell, name).reshape(-1)[-1] += 1
    assert cell.fingerprint() != before


@needs_shared
@pytest.mark.parametrize('resample', [False, True], ids=['as_is', 'resample'])
def test_every_file_of_other_laboratories_is_used_or_rejected(resample):
    for path in sorted((SHARED / 'data/abf').glob('*.abf')):
        cell, report = _extract(_recording(path, cell_id=path.stem), resample=resample)
        assert report.used_files + len(report.rejected) == 1
        assert report.triggers == report.spikes + report.dropped
        assert (cell is not None) == bool(report.used_files)
        assert cell is None or len(cell.waveforms) == report.spikes


def test_a_file_of_several_cells_gives_each_or_its_rejection(tmp_path):
    noise_pa = np.random.default_rng(0).normal(0, 3, 40_000)
    spiking_pa = noise_pa.copy()
    spiking_pa[5_000:5_010] = -80
    write_nwb(tmp_path / 'a.nwb', {'first': spiking_pa, 'second': spiking_pa[::-1], 'silent': noise_pa})
    results = read_cells(_recording(tmp_path / 'a.nwb', cell_id='a'), _options())
    assert [cell.cell_id for cell, _ in results if cell] == ['a#first', 'a#second']
    (rejected,) = [file for _, report in results for file in report.rejected]
    assert rejected.reason == 'no_spikes' and rejected.detail.startswith('silent: ')
    assert sum(report.used_files for _, report in results) == 2


def test_a_file_of_one_current_is_a_cell_of_its_name_in_any_format(tmp_path):
    current_pa = np.random.default_rng(0).normal(0, 3, 40_000)
    current_pa[5_000:5_010] = -80
    write_nwb(tmp_path / 'A1#1.nwb', {'only': current_pa})
    write_smr(tmp_path / 'A1#1.smr', current_pa)
    for suffix in ('nwb', 'smr'):
        ((cell, _),) = read_cells(_recording(tmp_path / f'A1#1.{suffix}'), _options())
        assert cell.cell_id == 'A1#1' and cell.spikes.triggers.tolist() == [5_000]
