"""Storage on an object store, where there are no folders: against a stand-in for Google Cloud Storage."""

import os
import tempfile

import pytest

from beam_pipelines.storage import files
from beam_pipelines.storage.object_store import check_access

pytestmark = pytest.mark.gcs

# All that is a pattern for Beam, or not itself in a URL.
_NAMES = ['A140313#073.abf', 'with space', '[1]', 'a*', 'a?b', '[x', '50%25']


@pytest.fixture
def folder(bucket):
    return f'{bucket}/rec [A]*?#1'


@pytest.mark.parametrize('name', _NAMES)
def test_bytes_come_back_whatever_the_name(folder, name):
    files.write_bytes(f'{folder}/{name}', b'\x1f\x8b not compressed')
    files.write_bytes(f'{folder}/{name}', b'again')
    assert files.read_bytes(f'{folder}/{name}') == b'again'
    assert files.list_files(folder) == {f'{folder}/{name}': 5}
    with files.local_copy(f'{folder}/{name}') as path, open(path, 'rb') as file:
        assert os.path.basename(path) == name and file.read() == b'again'


def test_a_file_in_a_bucket_is_mapped_from_a_copy_that_goes_with_the_map(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    files.write_bytes(f'{folder}/bank', b'spikes' * 1000)
    mapped = files.map_whole(f'{folder}/bank')
    files.remove(f'{folder}/bank')
    assert mapped[:] == b'spikes' * 1000
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match='none'):
        files.map_whole(f'{folder}/none')


def test_files_are_listed_at_any_depth_and_a_console_s_empty_folders_are_none(folder, bucket):
    files.write_bytes(f'{folder}/b/x', b'123')
    files.write_bytes(f'{folder}/a', b'')
    files.write_bytes(f'{folder}/empty/', b'')
    files.write_bytes(f'{bucket}/rec AAB#1/other', b'')
    assert files.list_files(folder) == {f'{folder}/a': 0, f'{folder}/b/x': 3}
    assert files.list_files(f'{folder}/none') == {}
    assert len(files.list_files(bucket)) == 3
    assert files.list_folders(folder) == files.list_folders(f'{folder}/') == ['b']
    assert files.list_folders(f'{folder}/none') == files.list_folders(f'{folder}/b') == []


def test_a_folder_is_there_as_long_as_a_file_is_in_it(folder):
    files.write_bytes(f'{folder}/a/b/x', b'')
    files.write_bytes(f'{folder}/ab', b'')
    assert files.exists(f'{folder}/a') and files.exists(f'{folder}/a/b/x') and files.exists(folder)
    assert not files.exists(f'{folder}/a/b/y') and not files.exists(f'{folder}/b')
    files.remove(f'{folder}/a')
    assert not files.exists(f'{folder}/a') and files.exists(f'{folder}/ab')


def test_removing_takes_what_is_named_and_not_what_matches(folder, bucket):
    kept = [f'{folder}/ab', f'{bucket}/rec AAB#1/a*', f'{folder}/axb']
    removed = [f'{folder}/a?b', f'{folder}/a*/x', f'{folder}/a*/y/z']
    for path in kept + removed:
        files.write_bytes(path, b'')
    for path in (f'{folder}/a?b', f'{folder}/a*', f'{folder}/none'):
        files.remove(path)
    assert set(files.list_files(bucket)) == set(kept)


def test_a_file_whose_writing_fails_leaves_the_old_one_and_nothing_else(bucket):
    files.write_bytes(f'{bucket}/file', b'old')
    for path in (f'{bucket}/file', f'{bucket}/new'):
        with pytest.raises(RuntimeError, match='disk on fire'):
            with files.create_atomically(path) as file:
                file.write(bytes(20 << 20))  # More than one request, so that a part has gone out.
                raise RuntimeError('disk on fire')
    assert files.list_files(bucket) == {f'{bucket}/file': 3}


@pytest.mark.parametrize(
    'act',
    [
        lambda bucket: files.read_bytes(f'{bucket}/none'),
        lambda bucket: files.write_bytes('gs://no-such-bucket/file', b''),
        lambda bucket: files.list_files('gs://no-such-bucket/x'),
        lambda bucket: check_access('gs://no-such-bucket'),
    ],
)
def test_what_the_store_refuses_is_an_os_error_with_the_path_and_one_line(bucket, act):
    with pytest.raises(FileNotFoundError) as raised:
        act(bucket)
    assert raised.value.filename.startswith('gs://') and '\n' not in raised.value.strerror


def test_access_is_there_or_refused_at_once(bucket, monkeypatch):
    check_access('/data')
    check_access(f'{bucket}/any/folder')
    monkeypatch.delenv('STORAGE_EMULATOR_HOST')
    monkeypatch.delenv('GOOGLE_APPLICATION_CREDENTIALS')
    monkeypatch.setenv('NO_GCE_CHECK', 'true')
    with pytest.raises(PermissionError, match='no Google Cloud credentials'):
        check_access(bucket)
    with pytest.raises(OSError, match='no such file system'):
        check_access('nowhere://bucket/x')
