import os

import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.recordings.folder_names import check_folder, closest_name, did_you_mean, explain_missing_recordings


def _explain(files, root='rec', recording_set='original', label_name='SER'):
    """Explains with the folders of some files, as of a store that has no folders of its own."""

    def list_folders(folder):
        below = [file[len(folder) + 1 :] for file in files if file.startswith(f'{folder}/')]
        return sorted({rest.partition('/')[0] for rest in below if '/' in rest})

    return explain_missing_recordings(root, recording_set, label_name, list_folders)


@pytest.mark.parametrize(
    ('folder', 'wanted', 'line'),
    [
        ('original/ser', 'original/SER', "rec/original: its folder 'ser' must be named 'SER'"),
        ('original/SER ', 'original/SER', "rec/original: its folder 'SER ' must be named 'SER'"),
        ('original/Non-SER', 'original/NSER', "rec/original: its folder 'Non-SER' must be named 'NSER'"),
        ('Original/SER', 'original/SER', "rec: its folder 'Original' must be named 'original'"),
        ('orginal/SER', 'original/SER', "rec: its folder 'orginal' must be named 'original'"),
        ('non-homogeneous/SER', 'non_homogeneous/SER', "rec: its folder 'non-homogeneous' must be named 'non_homo"),
        ('nonhomogenous/SER', 'non_homogeneous/SER', "rec: its folder 'nonhomogenous' must be named 'non_homogen"),
    ],
)
def test_a_folder_with_another_spelling_is_named_with_the_right_one(folder, wanted, line):
    assert _explain([f'rec/{folder}/A1.abf'], 'rec', *wanted.split('/')).startswith(line)


def test_the_other_class_is_not_taken_for_a_spelling():
    assert _explain(['rec/original/NSER/A1.abf']) == ''
    assert _explain(['rec/original/nser/A1.abf']) == ''
    assert _explain(['rec/original/SER/A1.abf'], label_name='NSER') == ''
    assert _explain(['rec/non_homogeneous/SER/A1.abf']) == ''


@pytest.mark.parametrize('place', ['/data/rec', 'gs://bucket/rec'])
def test_a_root_too_deep_names_the_root(place):
    files = [f'{place}/original/{name}/A1.abf' for name in ('SER', 'NSER')]
    assert _explain(files, f'{place}/original').endswith(
        f'/original: this is the folder of one recording set; did you mean {place}?'
    )
    assert _explain(files, f'{place}/original/SER/').endswith(
        f'/original/SER/: this is the folder of one class; did you mean {place}?'
    )


def test_classes_without_a_recording_set_name_the_sets():
    files = [f'rec/{name}/A1.abf' for name in ('SER', 'NSER')]
    assert _explain(files) == 'rec: its folders NSER, SER must be in rec/original or rec/non_homogeneous'


def test_a_root_too_high_names_the_root_and_if_there_are_more_some():
    line = 'rec: has no folder original or non_homogeneous; did you mean '
    assert _explain(['rec/mine/original/SER/A1.abf', 'rec/notes/a/b']) == f'{line}rec/mine?'
    many = [f'rec/{number}/original/SER/A1.abf' for number in range(5)]
    assert _explain(many) == f'{line}rec/0 or rec/1 or rec/2 or one of 2 more?'


@pytest.mark.parametrize('files', [[], ['rec/original/SER/.keep'], ['rec/a/b.abf'], ['rec/original/cells/A1.abf']])
def test_nothing_alike_is_no_explanation(files):
    assert _explain(files) == ''


def test_the_closest_name_is_another_one():
    assert closest_name('A140313.abf', ['A140313#1.abf', 'a140313.ABF', 'notes.txt', 'A140313.abf']) == 'a140313.ABF'
    assert closest_name('recordings', ['data', 'runs']) is None


def test_what_was_meant_is_beside_the_missing_path(tmp_path, monkeypatch):
    (tmp_path / 'recordings').mkdir()
    assert did_you_mean(f'{tmp_path}/recording/') == f'; did you mean {tmp_path}/recordings?'
    monkeypatch.chdir(tmp_path)
    assert did_you_mean('Recordngs') == '; did you mean recordings?'
    assert did_you_mean(os.path.join('none', 'recordings')) == did_you_mean('xyz') == ''


def test_a_folder_that_is_none_is_named_with_what_to_do(tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'notes').touch()
    check_folder(str(tmp_path / 'data'))
    check_folder('gs://bucket/not/looked/up')
    with pytest.raises(UserError, match=f'^{tmp_path}/dta: no such folder; did you mean {tmp_path}/data[?]; make it$'):
        check_folder(str(tmp_path / 'dta'), 'make it')
    with pytest.raises(UserError, match=f'^{tmp_path}/notes: a file; expected a folder$'):
        check_folder(str(tmp_path / 'notes'))
