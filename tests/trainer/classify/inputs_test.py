import os

import pytest

from beam_pipelines.errors import UserError
from trainer.classify.inputs import count_files, find_recordings


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'')
    return path


def find(*paths, output_dir='/nowhere'):
    return find_recordings([str(path) for path in paths], str(output_dir))


def cells(recordings):
    return [recording.cell_id for recording in recordings]


def test_files_folders_and_csv_folders_are_found_at_any_depth(tmp_path):
    touch(tmp_path / 'single.abf')
    touch(tmp_path / 'root' / 'original' / 'SER' / 'A1#1.abf')
    touch(tmp_path / 'root' / 'deep' / 'A1#2' / 'A1#2_trigger_5.csv')
    touch(tmp_path / 'root' / 'deep' / 'A1#2' / 'A1#2_trigger_7.csv')
    recordings, rejected = find(tmp_path / 'single.abf', tmp_path / 'root')
    assert cells(recordings) == ['A1#1', 'A1#2', 'single']
    assert (count_files(recordings), rejected) == (4, [])


def test_a_file_named_twice_is_one_file(tmp_path):
    path = touch(tmp_path / 'a.abf')
    recordings, _ = find(path, tmp_path, path)
    assert count_files(recordings) == 1


def test_a_csv_named_from_within_its_folder_belongs_to_it(tmp_path, monkeypatch):
    touch(tmp_path / 'A1#2' / 'A1#2_trigger_5.csv')
    monkeypatch.chdir(tmp_path / 'A1#2')
    recordings, _ = find('A1#2_trigger_5.csv')
    assert cells(recordings) == ['A1#2']


def test_what_is_no_recording_is_rejected_with_the_reason(tmp_path):
    touch(tmp_path / 'notes.txt')
    recordings, (rejected,) = find(tmp_path)
    assert (recordings, rejected.reason) == ([], 'unknown_format')


@pytest.mark.parametrize('name', ['.hidden.abf', '.trash/a.abf', 'Thumbs.db', 'SIMULATED.json'])
def test_hidden_files_and_what_programs_leave_behind_are_passed_over(tmp_path, name):
    touch(tmp_path / 'a.abf')
    touch(tmp_path / name)
    recordings, rejected = find(tmp_path)
    assert (cells(recordings), rejected) == (['a'], [])


def test_a_name_that_is_not_utf_8_is_rejected(tmp_path):
    touch(tmp_path / 'a.abf')
    with open(os.path.join(os.fsencode(tmp_path), b'caf\xe9.abf'), 'wb'):
        pass
    recordings, (rejected,) = find(tmp_path)
    assert (cells(recordings), rejected.reason) == (['a'], 'bad_name')


@pytest.mark.parametrize('output_dir', ['.', 'verdicts'])
def test_earlier_verdicts_are_no_recordings(tmp_path, output_dir):
    touch(tmp_path / 'a.abf')
    tables = ('cells.csv', 'spikes.csv', 'cluster_sero.tsv', 'phy/cluster_sero.tsv')
    for name in (*tables, 'rejected.jsonl', 'report.html', 'nwb/a.nwb'):
        touch(tmp_path / output_dir / name)
    recordings, rejected = find(tmp_path, output_dir=tmp_path / output_dir)
    assert (cells(recordings), rejected) == (['a'], [])


def test_a_link_to_a_folder_that_it_lies_in_ends(tmp_path):
    touch(tmp_path / 'day' / 'a.abf')
    (tmp_path / 'day' / 'again').symlink_to(tmp_path)
    recordings, _ = find(tmp_path)
    assert count_files(recordings) == 1


def test_a_cell_that_comes_twice_is_one_recording_with_a_spare(tmp_path):
    touch(tmp_path / 'monday' / 'a.abf')
    touch(tmp_path / 'tuesday' / 'a.abf')
    (recording,), _ = find(tmp_path)
    assert count_files([recording]) == 2


@pytest.mark.parametrize('path', ['missing.abf', 'missing/'])
def test_a_path_that_does_not_exist_is_named(tmp_path, path):
    with pytest.raises(UserError, match='missing.*: no such file or folder'):
        find(tmp_path / path)


def test_a_name_like_the_missing_one_is_suggested(tmp_path):
    touch(tmp_path / 'A140313#073.abf')
    with pytest.raises(UserError, match=r'A140313-073.abf: no such file or folder; did you mean .*/A140313#073.abf\?$'):
        find(tmp_path / 'A140313-073.abf')


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=f'{tmp_path}: no file in there'):
        find(tmp_path)
