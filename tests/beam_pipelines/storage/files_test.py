import os

import pytest

from beam_pipelines.storage import files


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = str(tmp_path / 'file')
    with files.create_atomically(path) as file:
        file.write(b'half')
        assert not os.path.exists(path)
        file.write(b' and half')
    assert files.read_bytes(path) == b'half and half'
    assert os.listdir(tmp_path) == ['file']


def test_a_file_whose_writing_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match='disk on fire'):
        with files.create_atomically(str(tmp_path / 'file')) as file:
            file.write(b'half')
            raise RuntimeError('disk on fire')
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_an_error_with_the_file(tmp_path):
    path = str(tmp_path / 'file')
    with pytest.raises(OSError, match='No space left') as raised, files.create_atomically(path):
        raise OSError(28, 'No space left on device')  # as the writing of a file raises it, without its name
    assert raised.value.filename == path


@pytest.mark.skipif(not os.path.exists('/proc/self/mem'), reason='there is no file that cannot be read')
def test_a_file_that_cannot_be_read_is_named():
    with pytest.raises(OSError, match='Input/output error') as raised:
        files.read_bytes('/proc/self/mem')  # Its first bytes are not there.
    assert raised.value.filename == '/proc/self/mem'


def test_a_file_whose_writing_fails_leaves_the_old_one(tmp_path):
    (tmp_path / 'file').write_bytes(b'old')
    with pytest.raises(RuntimeError):
        with files.create_atomically(str(tmp_path / 'file')) as file:
            file.write(b'new')
            raise RuntimeError
    assert (tmp_path / 'file').read_bytes() == b'old'


def test_a_file_replaces_the_old_one(tmp_path):
    files.write_bytes(str(tmp_path / 'file'), b'old')
    files.write_bytes(str(tmp_path / 'file'), b'new')
    assert (tmp_path / 'file').read_bytes() == b'new'


def test_a_file_replaces_the_old_one_where_renaming_does_not(tmp_path, monkeypatch):
    def rename_like_windows(source, target):
        raise FileExistsError(17, 'Cannot create a file when that file already exists', source, 183, target)

    monkeypatch.setattr(os, 'rename', rename_like_windows)
    files.write_bytes(str(tmp_path / 'file'), b'old')
    files.write_bytes(str(tmp_path / 'file'), b'new')
    assert (tmp_path / 'file').read_bytes() == b'new'


@pytest.mark.parametrize('name', ['plain', 'plain.gz', 'plain.bz2', 'A140313#073 with space.abf'])
def test_bytes_come_back_whatever_the_name(tmp_path, name):
    files.write_bytes(str(tmp_path / name), b'\x1f\x8b not compressed')
    assert files.read_bytes(str(tmp_path / name)) == b'\x1f\x8b not compressed'
    assert (tmp_path / name).read_bytes() == b'\x1f\x8b not compressed'


def test_json_comes_back(tmp_path):
    files.write_json(str(tmp_path / 'x.json'), {'b': [1, 2], 'a': None})
    assert files.read_json(str(tmp_path / 'x.json')) == {'a': None, 'b': [1, 2]}


def test_a_file_that_never_became_whole_is_known_by_its_name(tmp_path):
    with files.create_atomically(str(tmp_path / 'file')):
        (name,) = os.listdir(tmp_path)
        assert files.is_temporary(name)
    assert not files.is_temporary('file')


def test_a_folder_with_a_name_like_a_temporary_file_is_none(tmp_path):
    folder = tmp_path / f'run.tmp-{"0" * 32}' / 'data.tmp-1'
    folder.mkdir(parents=True)
    (folder / 'whole').touch()
    files.remove_temporary_files(str(tmp_path))
    assert (folder / 'whole').exists()


def test_files_are_listed_at_any_depth_with_their_sizes(tmp_path):
    (tmp_path / 'a' / 'b').mkdir(parents=True)
    (tmp_path / 'a' / 'b' / 'A1#2.csv').write_bytes(b'123')
    (tmp_path / 'a' / 'x').write_bytes(b'')
    (tmp_path / 'other').write_bytes(b'')
    folder = tmp_path / 'a'
    assert files.list_files(str(folder)) == {str(folder / 'b' / 'A1#2.csv'): 3, str(folder / 'x'): 0}


@pytest.mark.parametrize('name', ['a[1]', 'a*', 'a?b', '[x'])
def test_a_folder_with_a_pattern_in_its_name_is_listed(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / 'file').write_bytes(b'1')
    assert files.list_files(str(tmp_path / name)) == {str(tmp_path / name / 'file'): 1}


def test_files_behind_links_are_listed(tmp_path):
    (tmp_path / 'real').mkdir()
    (tmp_path / 'real' / 'file').write_bytes(b'1')
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'linked').symlink_to(tmp_path / 'real')
    (tmp_path / 'a' / 'broken').symlink_to(tmp_path / 'none')
    listed = files.list_files(str(tmp_path / 'a'))
    assert listed == {str(tmp_path / 'a' / 'broken'): 0, str(tmp_path / 'a' / 'linked' / 'file'): 1}


def test_a_missing_folder_lists_nothing(tmp_path):
    assert files.list_files(str(tmp_path / 'none')) == {}
    assert files.list_folders(str(tmp_path / 'none')) == []


def test_folders_are_listed_by_name(tmp_path):
    for name in ('b', 'a '):
        (tmp_path / name / 'deeper').mkdir(parents=True)
    (tmp_path / 'file').touch()
    assert files.list_folders(str(tmp_path)) == ['a ', 'b']
    assert files.list_folders(str(tmp_path / 'file')) == []


def test_removing_takes_folders_files_and_nothing(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'x').touch()
    (tmp_path / 'y').touch()
    for name in ('a', 'y', 'none'):
        files.remove(str(tmp_path / name))
    assert os.listdir(tmp_path) == []


def test_a_local_file_is_its_own_local_copy(tmp_path):
    with files.local_copy(str(tmp_path / 'x')) as path:
        assert path == str(tmp_path / 'x')


def test_where_a_path_lies():
    assert files.is_local('/data/x')
    assert not files.is_local('gs://bucket/x')
