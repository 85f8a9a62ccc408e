"""Publishing on an object store: a stand-in for Google Cloud Storage on this machine."""

import concurrent.futures

import pytest

from beam_pipelines.storage import files, publishing
from tests.support import gcs_stand_in

pytestmark = pytest.mark.gcs


def _publish(source: str, target: str, last: str) -> None:
    publishing.withdraw(target, last)
    publishing.copy_files(source, target, [name for name in publishing.names_of(source) if name != last])
    publishing.complete(source, target, last)


def test_a_folder_takes_the_place_of_another_and_what_makes_it_whole_comes_last(bucket):
    source, target = f'{bucket}/source', f'{bucket}/target'
    names = ['info', *(f'shard {number}' for number in range(101)), 'z/deep']
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: files.write_bytes(f'{source}/{name}', name.encode()), names))
    files.write_bytes(f'{target}/of the old one', b'')
    assert not publishing.is_published(target, 'info')
    _publish(source, target, 'info')
    assert publishing.is_published(target, 'info')
    assert set(files.list_files(target)) == {f'{target}/{name}' for name in names}
    assert files.read_bytes(f'{target}/z/deep') == b'z/deep'
    others = max(files.modification_time(f'{target}/{name}') for name in names if name != 'info')
    assert files.modification_time(f'{target}/info') > others
    files.remove(source)
    assert len(files.list_files(bucket)) == len(names)


def test_a_move_that_is_broken_off_leaves_nothing_that_counts_and_can_be_done_again(bucket):
    source, target = f'{bucket}/source', f'{bucket}/target'
    for name in ('info', 'a', 'z', gcs_stand_in.NOT_COPIED):
        files.write_bytes(f'{source}/{name}', b'new')
    files.write_bytes(f'{target}/info', b'old')
    with pytest.raises(PermissionError):
        _publish(source, target, 'info')
    assert not publishing.is_published(target, 'info')
    assert len(files.list_files(source)) == 4
    files.remove(f'{source}/{gcs_stand_in.NOT_COPIED}')
    _publish(source, target, 'info')
    assert {files.read_bytes(path) for path in files.list_files(target)} == {b'new'}


def test_a_folder_that_lacks_a_part_of_a_file_is_not_completed(bucket):
    source, target = f'{bucket}/source', f'{bucket}/target'
    for name in ('info', 'a', 'b'):
        files.write_bytes(f'{source}/{name}', b'new')
    files.write_bytes(f'{target}/a', b'new')
    files.write_bytes(f'{target}/b', b'ne')
    with pytest.raises(OSError, match='was not copied whole: 2 of 3 bytes'):
        publishing.complete(source, target, 'info')
    assert not publishing.is_published(target, 'info')
