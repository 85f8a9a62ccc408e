"""A bounded cache of shards on this machine, named by their checksums; several processes may share its folder.

CACHE/CRC32C-SIZE-NAME      a whole shard, checked when it came
CACHE/.use/PROCESS/         of a process that lives: second names of the shards that it uses, and what it downloads

A second name (a hard link) keeps the content as long as it is used, and tells the others that it is. The operating
system ends a process's lock, CACHE/.use/PROCESS.lock, however the process ends; the next that makes room removes what a
dead one has left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import secrets
import shutil
import threading
from collections.abc import Iterator

import filelock
import google_crc32c
import platformdirs

from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import file_named
from beam_pipelines.storage.locks import release_and_remove
from trainer.buckets import store
from trainer.buckets.disk_errors import disk_errors, is_of_disk

_USE, _LOCK = '.use', '.lock'
_GB = 1_000_000_000
_READ_BYTES = 1 << 20
DEFAULT_GB = 20.0


@dataclasses.dataclass(frozen=True)
class CachedObject:
    """An object that the cache may hold.

    Attributes
    ----------
    url : where it is.
    size : in bytes.
    crc32c : of its content, eight hexadecimal digits; None if that is not known.
    """

    url: str
    size: int
    crc32c: str | None

    @property
    def key(self) -> str:
        """Its name in the cache: the same for copies in several buckets, another for other content."""
        return f'{self.crc32c or "unknown"}-{self.size}-{os.path.basename(self.url)}'


class ShardCache:
    """The cache in a folder.

    Parameters
    ----------
    folder : made when the first shard comes.
    most_bytes : how much it holds; what is in use counts.
    """

    def __init__(self, folder: str, most_bytes: int):
        self.most_bytes = most_bytes
        self._folder = folder
        self._session_folder: str | None = None
        self._closed = False
        self._session_lock = threading.Lock()
        self._numbers = itertools.count()
        self._downloads: dict[str, threading.Lock] = {}

    @contextlib.contextmanager
    def held(self, wanted: CachedObject) -> Iterator[str]:
        """Yields the local path of an object, which stays there while the block reads it; fetches it if need be.

        Raises
        ------
        UserError
            If it is missing, has another size or checksum than promised, or does not fit beside what is in use; if the
            cache cannot be written, was closed, or this process's folder in it was removed.
        """
        with disk_errors(self._folder), self._in_use(wanted) as name:
            yield name

    @contextlib.contextmanager
    def _in_use(self, wanted: CachedObject) -> Iterator[str]:
        name = os.path.join(self._session, f'{next(self._numbers)}-{wanted.key}')
        path = self._path(wanted)
        while True:
            try:
                os.link(path, name)
                break
            except FileNotFoundError:
                # The shard is not there yet, or the folder of the second name is gone: then no download would help.
                if not os.path.isdir(os.path.dirname(name)):
                    raise self._not_usable() from None
                self.fetch(wanted)
        try:
            os.utime(name)  # what was used last goes last
            yield name
        except FileNotFoundError:  # the block reads nothing else
            raise self._not_usable() from None
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(name)

    def fetch(self, wanted: CachedObject) -> None:
        """Downloads an object unless it is there; UserError as of ``held``."""
        with disk_errors(self._folder), self._downloads.setdefault(wanted.key, threading.Lock()):
            if os.path.exists(self._path(wanted)):
                return
            partial = os.path.join(self._session, f'{next(self._numbers)}-{wanted.key}')
            try:
                # Its name says to all how much room it will take.
                with file_named(partial), open(partial, 'wb'):
                    self._make_room(wanted)
                self._download(wanted, partial)
                os.replace(partial, self._path(wanted))
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(partial)

    def close(self) -> None:
        """Ends the use of all shards; a pipeline that still reads meets an error."""
        with self._session_lock:
            self._closed = True
            if self._session_folder is not None:
                shutil.rmtree(self._session_folder, ignore_errors=True)
                release_and_remove(self._lock)
                self._session_folder = None

    def _download(self, wanted: CachedObject, path: str) -> None:
        try:
            size = store.object_size(wanted.url)
            if size == wanted.size:
                store.download(wanted.url, path)
        except FileNotFoundError as error:
            if is_of_disk(error):
                raise
            raise UserError('no such object; it was there when the dataset was built', file=wanted.url) from None
        if size != wanted.size or os.path.getsize(path) != wanted.size:
            raise UserError(f'{size:,} bytes, promised are {wanted.size:,}', file=wanted.url)
        if wanted.crc32c is not None and (found := crc32c_of(path)) != wanted.crc32c:
            raise UserError(f'CRC-32C {found}, promised is {wanted.crc32c}', file=wanted.url)

    def _make_room(self, wanted: CachedObject) -> None:
        """Removes what was used longest ago until all that is there fits; a download counts already."""
        with filelock.FileLock(os.path.join(self._folder, _LOCK)):
            self._remove_dead()
            whole = [entry for entry in os.scandir(self._folder) if not entry.name.startswith('.')]
            states = {entry.path: os.stat(entry.path) for entry in whole}
            taken = sum(state.st_size for state in states.values()) + self._bytes_coming()
            for path, state in sorted(states.items(), key=lambda item: item[1].st_mtime):
                if taken <= self.most_bytes:
                    break
                if state.st_nlink == 1:  # nobody uses it
                    os.remove(path)
                    taken -= state.st_size
        if taken > self.most_bytes:
            problem = f'{wanted.url} does not fit beside the shards in use; give more, or another --cache_dir'
            raise UserError(problem, field='--cache_gb', value=self.most_bytes / _GB)

    def _bytes_coming(self) -> int:
        """Returns the size of all downloads; what has two names is whole, and counted elsewhere."""
        total = 0
        for session in self._sessions():
            names = []
            # At any moment its process may end, and each download come.
            with contextlib.suppress(FileNotFoundError):
                names = os.listdir(session)
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    if os.stat(os.path.join(session, name)).st_nlink == 1:
                        total += int(name.split('-')[2])
        return total

    def _remove_dead(self) -> None:
        """Removes what processes have left that were killed."""
        for session in self._sessions() - {self._session}:
            lock = filelock.FileLock(f'{session}{_LOCK}')
            try:
                lock.acquire(blocking=False)
            except filelock.Timeout:
                continue
            shutil.rmtree(session, ignore_errors=True)
            release_and_remove(lock)

    def _sessions(self) -> set[str]:
        """Returns the folders of all processes; one that begins or ends may have a lock and no folder."""
        # Others put files there, such as NFS for a lock that is removed while it is open.
        entries = [
            entry
            for entry in os.scandir(os.path.join(self._folder, _USE))
            if entry.name.endswith(_LOCK) or entry.is_dir()
        ]
        return {entry.path.removesuffix(_LOCK) for entry in entries}

    @property
    def _session(self) -> str:
        """The folder of this process, whose lock it holds as long as it lives; one for all threads."""
        with self._session_lock:
            if self._closed:
                raise self._not_usable()
            if self._session_folder is None:
                self._session_folder = self._make_session()
            return self._session_folder

    def _make_session(self) -> str:
        use = os.path.join(self._folder, _USE)
        os.makedirs(use, exist_ok=True)
        session = os.path.join(use, f'{os.getpid()}-{secrets.token_hex(4)}')
        # The thread that closes the cache may not be the one that opened the session.
        self._lock = filelock.FileLock(f'{session}{_LOCK}', thread_local=False)
        self._lock.acquire()
        os.mkdir(session)
        return session

    def _not_usable(self) -> UserError:
        return UserError('it was closed, or its folder .use was removed, while it was in use', file=self._folder)

    def _path(self, wanted: CachedObject) -> str:
        return os.path.join(self._folder, wanted.key)


def crc32c_of(path: str) -> str:
    """Returns the CRC-32C of a local file, eight hexadecimal digits."""
    checksum = google_crc32c.Checksum()
    with file_named(path), open(path, 'rb') as file:
        while block := file.read(_READ_BYTES):
            checksum.update(block)
    return checksum.hexdigest().decode()


class _Current:
    """Where this process keeps what comes from buckets."""

    folder = platformdirs.user_cache_dir('sero-spikes', appauthor=False)
    shards: ShardCache | None = None


@contextlib.contextmanager
def cached_in(folder: str | None, gigabytes: float) -> Iterator[None]:
    """Keeps what comes from buckets in a folder, by default the user's cache folder, while the block runs."""
    before = _Current.folder, _Current.shards
    _Current.folder = os.path.abspath(folder) if folder else _Current.folder
    _Current.shards = ShardCache(os.path.join(_Current.folder, 'shards'), int(gigabytes * _GB))
    try:
        yield
    finally:
        _Current.shards.close()
        _Current.folder, _Current.shards = before


def current_folder() -> str:
    """Returns the folder that ``cached_in`` has named, or the user's."""
    return _Current.folder


def current_shards() -> ShardCache:
    """Returns the cache of this process."""
    if _Current.shards is None:
        _Current.shards = ShardCache(os.path.join(_Current.folder, 'shards'), int(DEFAULT_GB * _GB))
    return _Current.shards
