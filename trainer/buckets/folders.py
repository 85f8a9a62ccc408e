"""The folders that a command names: local ones as they are, those in buckets by way of local ones in the cache."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Protocol

import filelock
from absl import flags

from beam_pipelines.errors import UsageError, UserError
from beam_pipelines.recordings.folder_names import check_folder
from beam_pipelines.storage.locks import written_by_one
from trainer.buckets import store
from trainer.buckets.disk_errors import cache_error, disk_errors, is_of_disk
from trainer.buckets.folder_index import FolderIndex, read_index
from trainer.buckets.mirrored_folder import MirroredFolder, fetch_objects
from trainer.buckets.shard_cache import DEFAULT_GB, cached_in, current_folder

# The longest name that file systems take, less what is put before or after it.
_MOST_CHARACTERS = 200

# Folders of a run that its evaluation does not read.
_NOT_READ = ('checkpoints/', 'cross_validation/', 'evaluation/', 'tensorboard/')


class Folder(Protocol):
    """A folder that a command writes into.

    Attributes
    ----------
    folder : on this machine.
    save : brings what was written to where it belongs.
    """

    @property
    def folder(self) -> str: ...

    @property
    def save(self) -> Callable[[], None]: ...


@dataclasses.dataclass(frozen=True)
class _LocalFolder:
    folder: str
    save: Callable[[], None] = lambda: None


def define_cache_flags() -> None:
    """Defines ``--cache_dir`` and ``--cache_gb``."""
    flags.DEFINE_string(
        'cache_dir',
        None,
        "Folder for what comes from gs:// and s3://; by default sero-spikes in the user's cache folder.",
    )
    flags.DEFINE_float('cache_gb', DEFAULT_GB, 'How many GB of shards the cache holds at most.')


def cache_of_flags() -> contextlib.AbstractContextManager[None]:
    """Returns the context in which the cache is the one that the flags name.

    Raises
    ------
    UsageError
        If the flags cannot be meant.
    UserError
        If the folder that they name cannot be written.
    """
    if not flags.FLAGS.cache_gb > 0:
        raise UsageError(f'--cache_gb={flags.FLAGS.cache_gb}: must be more than 0')
    if store.is_url(flags.FLAGS.cache_dir or ''):
        raise UsageError(f'--cache_dir={flags.FLAGS.cache_dir}: must be a folder of this machine')
    if flags.FLAGS.cache_dir:
        with disk_errors(flags.FLAGS.cache_dir):
            os.makedirs(flags.FLAGS.cache_dir, exist_ok=True)
            tempfile.TemporaryFile(dir=flags.FLAGS.cache_dir).close()
    return cached_in(flags.FLAGS.cache_dir, flags.FLAGS.cache_gb)


def check_data_dir(path: str) -> None:
    """Raises UserError if a local data directory does not exist."""
    check_folder(path, 'sero-build or tfds build makes it')


def check_urls(*folders: str | None) -> None:
    """Raises UserError if one of the folders is a URL that names no bucket, or none of a store that there is."""
    for url in filter(store.is_url, filter(None, folders)):
        store.check_url(url)


@contextlib.contextmanager
def run_folder(workdir: str, writes: bool) -> Iterator[Folder]:
    """Yields the folder of a run that is trained; one in a bucket is brought here first.

    Parameters
    ----------
    workdir : a local folder or a URL.
    writes : whether this process is the one of several that writes.

    Raises
    ------
    UserError
        If the run cannot be brought, or a program on this machine writes into it. The errors of the block name the
        bucket and not the local folder.
    """
    if not store.is_url(workdir):
        yield _LocalFolder(workdir)
        return
    run = MirroredFolder(workdir, _local_folder(workdir))
    with _named(run.folder, run.url), contextlib.ExitStack() as stack:
        if writes:
            stack.enter_context(written_by_one(run.folder, 'wait for it, or use another --workdir'))
        with filelock.FileLock(f'{run.folder}.bring.lock'):  # of several workers on one machine
            run.bring()
        if writes:
            run.save()  # At once, rather than after the first epoch: the bucket may not be writable.
        yield run


@contextlib.contextmanager
def results_folder(folder: str) -> Iterator[Folder]:
    """Yields a folder for files of one making; those in a bucket are uploaded by ``save``. UserError as above."""
    if not store.is_url(folder):
        yield _LocalFolder(folder)
        return
    store.check_bucket(folder)
    results = MirroredFolder(folder, _local_folder(folder), is_set=True)
    with _named(results.folder, results.url):
        yield results


@contextlib.contextmanager
def part_of_folder(folder: str, name: str) -> Iterator[Folder]:
    """Yields a folder of which one folder in it goes on; that part of it is brought here first, as ``run_folder`` does.

    Parameters
    ----------
    folder : a local folder or a URL.
    name : of the folder in it, whose files of one making are replaced together.
    """
    if not store.is_url(folder):
        yield _LocalFolder(folder)
        return
    url, local = folder.rstrip('/'), _local_folder(folder)
    part = MirroredFolder(f'{url}/{name}', os.path.join(local, name), is_set=True)
    part.bring()
    with _named(local, url):
        yield _LocalFolder(local, part.save)


@contextlib.contextmanager
def folder_to_read(folder: str) -> Iterator[str]:
    """Yields a local folder with the files of one that is only read: itself, or a copy while the block runs.

    What only the training of a run needs is not copied.
    """
    if not store.is_url(folder):
        yield folder
        return
    url = folder.rstrip('/')
    with _copies_folder() as copy, _named(copy, url):
        # One that was copied there by other programs has no index.
        index = read_index(url) or FolderIndex('', dict.fromkeys(store.list_objects(url), ''))
        names = [name for name in index.files if not name.startswith(_NOT_READ)]
        if not index.coming.keys().isdisjoint(names):
            raise UserError('is being written, or that was broken off; wait, or give its command again', file=url)
        fetch_objects(url, copy, names, index)
        yield copy


def _copies_folder() -> tempfile.TemporaryDirectory:
    """Returns a new folder of the cache, which is removed when its block ends."""
    with disk_errors(current_folder()):
        os.makedirs(current_folder(), exist_ok=True)
        return tempfile.TemporaryDirectory(dir=current_folder(), prefix='read-')


def _local_folder(url: str) -> str:
    name = urllib.parse.quote(url.rstrip('/'), safe='')
    if len(name) > _MOST_CHARACTERS:
        name = hashlib.sha256(name.encode()).hexdigest()
    return os.path.join(current_folder(), 'folders', name)


@contextlib.contextmanager
def _named(folder: str, url: str) -> Iterator[None]:
    """Lets the errors of the block name a folder in a bucket, and not the local one in its place.

    Those of the local disk are errors of the cache.
    """
    try:
        yield
    except OSError as error:
        if is_of_disk(error) and str(error.filename).startswith(folder):
            raise cache_error(error, folder) from None
        raise
    except UserError as error:
        said = str(error)
        if said.startswith(folder):
            raise type(error)(url + said.removeprefix(folder)) from None
        raise
