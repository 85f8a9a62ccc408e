import ntpath
import os

import pytest

from beam_pipelines.recordings.cell_files import group_files, is_ignored, look_alikes
from beam_pipelines.recordings.rejection import screen_lines
from tests.support.requirements import needs_posix


def _group(*files):
    recordings, rejected = group_files(files)
    return recordings, {file.path: file.reason for _, file in rejected}


def _files_in(recordings) -> list[str]:
    return [path for recording in recordings for files in (recording, *recording.spares) for path in files.paths]


def test_an_abf_file_is_the_recording_of_the_cell_in_its_name():
    (recording,), rejected = _group(('original', 1, 'r/original/NSER/A140313#073.abf'))
    assert recording.cell_id == 'A140313#073'
    assert recording.label == 1
    assert recording.recording_set == 'original'
    assert recording.is_recording
    assert not rejected


def test_the_extension_may_be_in_capitals():
    (recording,), _ = _group(('original', 0, 'r/original/SER/A140313#073.ABF'))
    assert recording.cell_id == 'A140313#073'


def test_the_spike_csvs_of_a_folder_are_one_recording():
    paths = [f'r/original/SER/A1#2/A1#2_trigger_{trigger}.csv' for trigger in (30, 10, 20)]
    (recording,), rejected = _group(*(('original', 0, path) for path in paths))
    assert recording.cell_id == 'A1#2'
    assert recording.paths == tuple(sorted(paths))
    assert not recording.is_recording
    assert not rejected


def test_every_file_is_used_or_rejected():
    files = [
        ('original', 0, 'r/original/SER/A1#1.abf'),
        ('original', 0, 'r/original/SER/A1#2/A1#2_trigger_5.csv'),
        ('original', 0, 'r/original/SER/A1#2/notes.txt'),
        ('original', 0, 'r/original/SER/A1#3.dat'),
        ('original', 1, 'r/original/NSER/A1#1.abf'),
        ('non_homogeneous', 1, 'r/non_homogeneous/NSER/A1#1.abf'),
        ('non_homogeneous', 1, 'r/non_homogeneous/NSER/A1#9.abf'),
    ]
    recordings, rejected = _group(*files)
    assert sorted([*_files_in(recordings), *rejected]) == sorted(path for _, _, path in files)


@pytest.mark.parametrize('name', ['.DS_Store', '._A1#1.abf', 'Thumbs.db', 'desktop.ini', 'Desktop.ini'])
def test_what_file_managers_leave_behind_is_ignored(name):
    assert _group(('original', 0, f'r/original/SER/{name}')) == ([], {})


@pytest.mark.parametrize('name', ['A1#1.atf', 'A1#1.abf.bak', 'notes', 'A1#1.pkl'])
def test_a_file_of_another_format_is_rejected(name):
    assert _group(('original', 0, f'r/{name}')) == ([], {f'r/{name}': 'unknown_format'})


@pytest.mark.parametrize('name', ['.abf', 'A1#1 .abf', ' A1#1.abf', 'A1\n#1.abf', 'A1#1\u2028.abf'])
def test_a_name_that_cannot_be_a_cell_id_is_rejected_or_ignored(name):
    recordings, rejected = _group(('original', 0, f'r/{name}'))
    assert not recordings
    assert rejected == ({} if name == '.abf' else {f'r/{name}': 'bad_name'})


def test_a_cell_without_a_day_is_a_cell_too():
    (recording,), _ = _group(('original', 0, 'r/cell7.abf'))
    assert recording.cell_id == 'cell7'


def test_the_abf_file_of_a_cell_goes_before_its_csvs():
    abf, csv = 'r/original/SER/A1#2.abf', 'r/original/SER/A1#2/A1#2_trigger_5.csv'
    (recording,), rejected = _group(('original', 0, csv), ('original', 0, abf))
    assert recording.paths == (abf,)
    assert [spare.paths for spare in recording.spares] == [(csv,)]
    assert not rejected


def test_a_cell_of_original_is_not_tested_on_as_non_homogeneous():
    old, new = 'r/original/SER/A1#2.abf', 'r/non_homogeneous/SER/A1#2.abf'
    (recording,), rejected = _group(('non_homogeneous', 0, new), ('original', 0, old))
    assert recording.paths == (old,)
    assert not recording.spares
    assert rejected == {new: 'duplicate_cell'}


@pytest.mark.parametrize('other_set', ['original', 'non_homogeneous'])
def test_a_cell_that_is_labelled_both_ways_is_not_used(other_set):
    ser, nser = 'r/original/SER/A1#2.abf', f'r/{other_set}/NSER/A1#2.abf'
    recordings, rejected = _group(('original', 0, ser), (other_set, 1, nser))
    assert recordings == []
    assert rejected == {ser: 'contradictory_label', nser: 'contradictory_label'}


def test_the_order_of_the_files_does_not_matter():
    files = [('original', label, f'r/{label}/A1#{number}.abf') for label in (0, 1) for number in (2, 1, 3)]
    assert group_files(files) == group_files(files[::-1])


def test_paths_of_windows_are_understood(monkeypatch):
    csvs = [rf'C:\recordings\original\SER\A1#2\A1#2_trigger_{trigger}.csv' for trigger in (10, 20)]
    abf, thumbs = r'\\rig\today\A140313#073.abf', r'C:\recordings\original\SER\Thumbs.db'
    notes, url = r'C:\recordings\notes.txt', 'gs://bucket/original/SER/A3#4/A3#4_trigger_5.csv'
    monkeypatch.setattr(os, 'path', ntpath)
    recordings, rejected = group_files([('original', 0, path) for path in (*csvs, abf, thumbs, notes, url)])
    lines = screen_lines([file for _, file in rejected], 'rejected.jsonl')
    is_hidden = is_ignored(r'C:\recordings\.hidden.abf')
    monkeypatch.undo()
    assert {files.cell_id: files.paths for files in recordings} == {
        'A1#2': tuple(csvs),
        'A140313#073': (abf,),
        'A3#4': (url,),
    }
    assert [line.partition('  ')[0] for line in lines] == ['notes.txt']
    assert is_hidden


@pytest.mark.parametrize('name', ['A1#1_trigger_5 (1).csv', 'A1#1_trig_5.csv', 'A1#1_Trigger_5_filtered.csv'])
def test_a_copy_of_a_spike_csv_is_no_recording(name):
    assert _group(('original', 0, f'r/A1#1/{name}')) == ([], {f'r/A1#1/{name}': 'bad_name'})


def test_files_of_several_cells_may_have_the_same_name():
    recordings, rejected = group_files([('original', 0, 'r/SER/day.nwb'), ('original', 1, 'r/NSER/day.nwb')])
    assert [recording.label for recording in recordings] in ([0, 1], [1, 0]) and rejected == []


@needs_posix
def test_of_several_names_of_one_file_its_own_is_used(tmp_path):
    (tmp_path / 'B1#1.abf').write_bytes(b'ABF ')
    (tmp_path / 'A1#1.abf').symlink_to('B1#1.abf')
    os.link(tmp_path / 'B1#1.abf', tmp_path / 'C1#1.abf')
    files = [('original', 0, str(path)) for path in sorted(tmp_path.iterdir())]
    (recording,), rejected = group_files(files)
    assert recording.paths == (str(tmp_path / 'B1#1.abf'),)
    assert {os.path.basename(file.path): file.reason for _, file in rejected} == {
        'A1#1.abf': 'duplicate_file',
        'C1#1.abf': 'duplicate_file',
    }
    assert rejected[0][1].detail == f'it is the same file as {tmp_path}/B1#1.abf'


@needs_posix
def test_one_file_in_both_classes_is_contradictory_whatever_its_names(tmp_path):
    (tmp_path / 'A1#1.abf').write_bytes(b'ABF ')
    (tmp_path / 'B1#2.abf').symlink_to('A1#1.abf')
    recordings, rejected = _group(
        ('original', 0, str(tmp_path / 'A1#1.abf')), ('original', 1, str(tmp_path / 'B1#2.abf'))
    )
    assert not recordings and set(rejected.values()) == {'contradictory_label'}


@needs_posix
def test_a_linked_file_is_of_the_original_recordings_if_of_any(tmp_path):
    (tmp_path / 'A1#1.abf').write_bytes(b'ABF ')
    (tmp_path / 'B1#2.abf').symlink_to('A1#1.abf')
    (recording,), rejected = _group(
        ('non_homogeneous', 0, str(tmp_path / 'A1#1.abf')), ('original', 0, str(tmp_path / 'B1#2.abf'))
    )
    assert recording.recording_set == 'original' and rejected == {str(tmp_path / 'A1#1.abf'): 'duplicate_file'}


def test_both_forms_of_an_accent_are_one_cell():
    composed, decomposed = 'r/A\u00e9#1.abf', 'r/b/Ae\u0301#1.abf'
    (recording,), rejected = _group(('original', 0, composed), ('original', 0, decomposed))
    assert recording.cell_id == 'A\u00e9#1' and len(recording.spares) == 1 and not rejected


@pytest.mark.parametrize('name', ['a\nb', 'a\x1b[2J', 'a\u202eb', 'a\u2028b', ' a', 'a\u00a0', '\udcff'])
def test_a_name_that_is_no_line_of_text_is_no_cell(name):
    recordings, rejected = _group(('original', 0, f'r/{name}.abf'))
    assert not recordings and set(rejected.values()) == {'bad_name'}


def test_cells_whose_names_look_alike_are_told():
    assert look_alikes(['A1#1', 'a1#1', 'B2#1', '\uff21\uff11#\uff11']) == [
        'WARNING: the cells A1#1 and a1#1 and \uff21\uff11#\uff11 differ only in how their names are written'
    ]
    assert look_alikes(['A1#1', 'A1#2']) == []
