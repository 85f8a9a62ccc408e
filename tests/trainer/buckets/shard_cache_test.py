"""The cache of shards: checked, bounded, shared, and never without what is in use."""

import concurrent.futures
import errno
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from beam_pipelines.datasets.checksums import checksum
from beam_pipelines.errors import UserError
from tests.support.full_disk import full_disk
from trainer.buckets import store
from trainer.buckets.disk_errors import is_of_disk
from trainer.buckets.shard_cache import CachedObject, ShardCache


@pytest.fixture
def put(s3_bucket):
    """Returns a function that puts so many bytes into the bucket, and returns the object."""
    store._open_client.cache_clear()

    def put(name: str, size: int = 1000) -> CachedObject:
        content = np.random.default_rng(len(name) + size).bytes(size - 1) + name[-1:].encode()
        store.write_object(f'{s3_bucket}/{name}', content)
        return CachedObject(f'{s3_bucket}/{name}', size, checksum(content))

    return put


def _shards_in(folder) -> set[str]:
    return {name.rpartition('-')[2] for name in os.listdir(folder) if not name.startswith('.')}


def _content(cache: ShardCache, wanted: CachedObject) -> bytes:
    with cache.held(wanted) as path, open(path, 'rb') as file:
        return file.read()


def test_a_shard_comes_once_and_is_read_from_the_cache_without_the_store(put, tmp_path):
    cache, shard = ShardCache(str(tmp_path), 10_000), put('a')
    content = _content(cache, shard)
    assert checksum(content) == shard.crc32c
    store.remove_object(shard.url)
    assert _content(cache, shard) == content
    assert _content(ShardCache(str(tmp_path), 10_000), shard) == content
    cache.close()


def test_what_was_used_longest_ago_goes_and_what_is_in_use_stays(put, tmp_path):
    cache = ShardCache(str(tmp_path), 3500)
    a, b, c, d, e = (put(name) for name in 'abcde')
    with cache.held(a) as path:
        for moment, shard in enumerate((b, c, d)):
            with cache.held(shard) as held:
                os.utime(held, (moment, moment))
        assert _shards_in(tmp_path) == {'a', 'c', 'd'}
        os.utime(path, (0, 0))
        with cache.held(e), cache.held(d):
            assert _shards_in(tmp_path) == {'a', 'd', 'e'}
            with pytest.raises(UserError, match=r'^--cache_gb 3\.5e-06: .*/b does not fit beside the shards in use'):
                cache.fetch(b)
        assert os.path.getsize(path) == 1000
    cache.fetch(b)
    assert _shards_in(tmp_path) == {'b', 'd', 'e'}


def _close(cache: ShardCache) -> None:
    cache.close()


def _remove_use(cache: ShardCache) -> None:
    shutil.rmtree(os.path.dirname(cache._session))


@pytest.mark.parametrize('end', [_close, _remove_use])
def test_a_reader_that_outlives_the_cache_meets_an_error_and_does_not_wait_for_ever(put, tmp_path, end):
    cache, shard = ShardCache(str(tmp_path), 10_000), put('a')
    _content(cache, shard)
    link = os.link

    def end_before_link(path: str, name: str) -> None:
        end(cache)
        link(path, name)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(UserError, match=f'^{tmp_path}: it was closed, or '):
        patch.setattr(os, 'link', end_before_link)
        _content(cache, shard)


def test_threads_that_begin_together_are_one_use_which_ends_when_any_of_them_closes(put, tmp_path):
    shard, switching = put('a'), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(20):
            folder = tmp_path / str(number)
            cache = ShardCache(str(folder), 10_000)
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda _, cache=cache: _content(cache, shard), range(8)))
                assert len([path for path in (folder / '.use').iterdir() if path.is_dir()]) == 1
                pool.submit(cache.close).result()
            assert os.listdir(folder / '.use') == []
    finally:
        sys.setswitchinterval(switching)


def test_a_closed_cache_leaves_nothing_in_use_even_when_it_is_asked_again(put, tmp_path):
    cache, shard = ShardCache(str(tmp_path), 10_000), put('a')
    _content(cache, shard)
    cache.close()
    with pytest.raises(UserError, match='it was closed'):
        _content(cache, shard)
    with pytest.raises(UserError, match='it was closed'):
        cache.fetch(put('b'))
    assert os.listdir(tmp_path / '.use') == []


def test_a_reader_whose_shard_goes_while_it_reads_is_told_so(put, tmp_path):
    cache, shard = ShardCache(str(tmp_path), 10_000), put('a')
    with pytest.raises(UserError, match=f'^{tmp_path}: it was closed, or '), cache.held(shard) as path:
        cache.close()
        open(path, 'rb')


def test_another_process_may_end_while_this_one_looks_what_it_downloads(put, tmp_path, monkeypatch):
    cache, other = (ShardCache(str(tmp_path), 10_000) for _ in range(2))
    _content(other, put('a'))
    listdir, ending = os.listdir, other._session

    def list_after_its_end(path: str) -> list[str]:
        if path == ending:
            other.close()
        return listdir(path)

    monkeypatch.setattr(os, 'listdir', list_after_its_end)
    cache.fetch(put('b'))
    assert _shards_in(tmp_path) == {'a', 'b'}


def test_a_file_of_somebody_else_among_the_sessions_is_left_alone(put, tmp_path):
    (tmp_path / '.use').mkdir()
    (tmp_path / '.use' / '.nfs0001').touch()
    ShardCache(str(tmp_path), 10_000).fetch(put('a'))
    assert _shards_in(tmp_path) == {'a'} and (tmp_path / '.use' / '.nfs0001').exists()


@pytest.mark.parametrize(
    ('number', 'is_disk'),
    [(errno.ENOSPC, True), (errno.EACCES, True), (errno.ENETUNREACH, False), (errno.ECONNRESET, False)],
)
def test_the_disk_is_told_from_the_network(number, is_disk):
    assert is_of_disk(OSError(number, os.strerror(number))) == is_disk
    assert not is_of_disk(OSError(number, 'the bucket says so'))


def test_a_disk_that_is_full_is_no_fault_of_the_store(put, tmp_path):
    cache, shard = ShardCache(str(tmp_path), 10_000), put('a')
    line = f'^{tmp_path}: the cache cannot be used: File too large; make room there, or name another .* --cache_dir$'
    with full_disk(500), pytest.raises(UserError, match=line):
        _content(cache, shard)
    assert _shards_in(tmp_path) == set()
    _content(cache, shard)


def test_a_cache_that_cannot_be_made_is_no_fault_of_the_store(put, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=f'^{tmp_path}/file/shards: the cache cannot be used: Not a directory; '):
        ShardCache(f'{tmp_path}/file/shards', 10_000).fetch(put('a'))


@pytest.mark.parametrize(
    'damage, line',
    [
        (lambda url: store.remove_object(url), 'no such object; it was there when the dataset was built'),
        (lambda url: store.write_object(url, bytes(999)), '999 bytes, promised are 1,000'),
        (lambda url: store.write_object(url, bytes(1000)), 'CRC-32C .{8}, promised is .{8}'),
    ],
)
def test_an_object_that_is_deleted_cut_or_changed_is_one_line_and_does_not_stay(put, tmp_path, damage, line):
    cache, shard = ShardCache(str(tmp_path), 10_000), put('a')
    damage(shard.url)
    with pytest.raises(UserError, match=f'^{shard.url}: {line}$'):
        _content(cache, shard)
    assert _shards_in(tmp_path) == set() and os.listdir(cache._session) == []


_HOLDER = """
import sys, time
from trainer.buckets.shard_cache import CachedObject, ShardCache
cache = ShardCache(sys.argv[1], 10_000)
with cache.held(CachedObject(sys.argv[2], 1000, sys.argv[3])) as path:
    print(path, flush=True)
    time.sleep(600)
"""


def test_what_another_process_uses_stays_until_that_has_ended_however_it_ends(put, tmp_path):
    a, b = put('a'), put('b')
    holder = subprocess.Popen(
        [sys.executable, '-c', _HOLDER, str(tmp_path), a.url, a.crc32c], stdout=subprocess.PIPE, text=True
    )
    try:
        path = holder.stdout.readline().strip()
        cache = ShardCache(str(tmp_path), 1500)
        with pytest.raises(UserError, match='does not fit'):
            cache.fetch(b)
        assert os.path.getsize(path) == 1000
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        cache.fetch(b)
        assert _shards_in(tmp_path) == {'b'} and not os.path.exists(path)
        own = os.path.basename(cache._session)
        assert set(os.listdir(tmp_path / '.use')) == {own, f'{own}.lock'}
    finally:
        holder.kill()
        holder.wait()
