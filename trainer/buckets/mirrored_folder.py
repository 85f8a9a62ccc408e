"""A local folder that is kept in a bucket: a run, or results. All programs work on the local one.

The bucket's copy is the one that counts: what others have written there replaces the local one. But what this machine
has written and not yet uploaded, because the store was away, goes on from here.
"""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable

from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import staged
from trainer.buckets import store
from trainer.buckets.disk_errors import disk_errors, is_of_disk
from trainer.buckets.folder_index import (
    FolderIndex,
    UploadNote,
    new_upload,
    read_index,
    read_note,
    write_index,
    write_note,
)
from trainer.buckets.shard_cache import crc32c_of
from trainer.errors import StoreAway

_AT_A_TIME = 8

# Of a run. It goes on from its checkpoints, so old ones go when new ones are there. Whoever finds the manifest takes
# all else for one set. Event files grow while they are read, are of no other use, and each process has its own.
_CHECKPOINTS, _MANIFEST, _EVENTS = 'checkpoints/', 'manifest.json', 'tensorboard/'


class MirroredFolder:
    """A local folder and its copy in a bucket.

    Parameters
    ----------
    url : of the folder in the bucket.
    folder : the local one; made if missing.
    is_set : whether its files are of one making: then no two of different makings are seen together in the bucket.
    """

    def __init__(self, url: str, folder: str, is_set: bool = False):
        self.url, self.folder = url.rstrip('/'), folder
        self._is_set = is_set
        with disk_errors(folder):
            os.makedirs(folder, exist_ok=True)

    def bring(self) -> None:
        """Makes the local folder what the bucket has, unless the bucket has what was uploaded from here.

        Raises
        ------
        UserError
            If an object is missing or damaged, or the local folder cannot be written.
        """
        with disk_errors(self.folder):
            self._bring()

    def _bring(self) -> None:
        index, note = read_index(self.url), read_note(self.folder)
        if index is None:
            store.check_bucket(self.url)
            if note.ended:
                print(f'{self.url}: was removed from the bucket, so it starts anew', file=sys.stderr)
                self._keep_local(())
                write_note(self.folder, UploadNote())
            return
        if index.upload in (note.ended, note.begun):
            return
        if note.ended or note.begun:
            print(
                f'{self.url}: was continued elsewhere; the state there replaces that of this machine', file=sys.stderr
            )
        # What is coming for the first time is of an upload that was broken off: nothing needs it yet.
        names = [name for name in index.files if not name.startswith(_EVENTS)]
        self._keep_local(names)
        fetch_objects(self.url, self.folder, names, index)
        write_note(self.folder, UploadNote(ended=index.upload))

    def save(self) -> None:
        """Brings the bucket up to date with the local folder, so that it holds the old or the new state at any moment.

        Raises
        ------
        StoreAway
            If the store cannot be reached; the line says where the local folder is.
        UserError
            If the store refuses, another machine has written there meanwhile, or the local folder cannot be used.
        """
        try:
            with disk_errors(self.folder):
                self._upload(_checksums(self.folder))
        except StoreAway as error:
            advice = f'all is saved in {self.folder}, and the same command goes on from there'
            raise StoreAway(f'{error}; {advice}') from None

    def _upload(self, files: dict[str, str]) -> None:
        index, note = read_index(self.url), read_note(self.folder)
        if index is not None and not self._is_set and index.upload not in (note.ended, note.begun):
            raise UserError('another machine writes there; use another --workdir', file=self.url)
        before = index or FolderIndex('', {})
        kept = {name: crc32c for name, crc32c in before.files.items() if name in files or name.startswith(_EVENTS)}
        changed = {
            name: crc32c for name, crc32c in files.items() if before.files.get(name) != crc32c or name in before.coming
        }
        known = {*before.files, *before.coming}
        gone = {*known, *before.leaving} - {*files, *kept}
        if index and not changed and not gone:
            return
        # A run needs its old checkpoint until the new one is there; all else goes first.
        old = {name: before.files[name] for name in gone if name.startswith(_CHECKPOINTS) and name in before.files}
        leaving = tuple(sorted(gone - old.keys()))
        upload = new_upload()
        write_note(self.folder, UploadNote(note.ended, upload))
        write_index(self.url, FolderIndex(upload, kept | old, changed, leaving))
        self._remove({*leaving, *(name for name in changed if self._is_set and name in before.files)})
        last = [name for name in changed if name == _MANIFEST]
        _at_once(self._put, changed.keys() - last)
        _at_once(self._put, last)
        write_index(self.url, FolderIndex(upload, kept | files, leaving=tuple(sorted(old))))
        write_note(self.folder, UploadNote(upload))
        self._remove(old)

    def _put(self, name: str) -> None:
        store.upload(os.path.join(self.folder, name), f'{self.url}/{name}')

    def _remove(self, names: Iterable[str]) -> None:
        _at_once(lambda name: store.remove_object(f'{self.url}/{name}'), names)

    def _keep_local(self, names: Iterable[str]) -> None:
        """Removes all other files of the local folder."""
        for name in _checksums(self.folder).keys() - set(names):
            os.remove(os.path.join(self.folder, name))
        checkpoints = os.path.join(self.folder, _CHECKPOINTS)
        for entry in os.scandir(checkpoints) if os.path.isdir(checkpoints) else ():
            if not os.listdir(entry.path):
                shutil.rmtree(entry.path)


def fetch_objects(url: str, folder: str, names: Iterable[str], index: FolderIndex) -> None:
    """Downloads objects of a folder in a bucket that the local one lacks; UserError if one is missing or damaged."""

    def fetch(name: str) -> None:
        if name.startswith('/') or '..' in name.split('/'):
            raise UserError('the name of an object leads out of the folder', file=url, value=name)
        path, allowed = os.path.join(folder, name), index.allowed(name)
        if os.path.exists(path) and crc32c_of(path) in allowed:
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            with staged(path) as temporary:
                _fetch(f'{url}/{name}', temporary, allowed)
        except _Missing:
            if name not in index.coming:  # else it was taken away for the one that was to come
                raise UserError('is missing, the index of the folder names it', file=f'{url}/{name}') from None

    _at_once(fetch, names)


class _Missing(Exception):
    """There is no such object."""


def _fetch(url: str, path: str, allowed: Collection[str]) -> None:
    try:
        store.download(url, path)
    except FileNotFoundError as error:
        if is_of_disk(error):
            raise
        raise _Missing from None
    if (found := crc32c_of(path)) not in allowed and '' not in allowed:
        raise UserError(f'CRC-32C {found}, the index of the folder promises {" or ".join(sorted(allowed))}', file=url)


def _checksums(folder: str) -> dict[str, str]:
    """Returns the CRC-32C of each file below a local folder, by its name with ``/``; hidden ones are not of it."""
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith('.')]
        for path in (os.path.join(parent, name) for name in names if not name.startswith('.')):
            name = os.path.relpath(path, folder).replace(os.sep, '/')
            # TensorFlow writes an event file on while it is uploaded, so that its size tells no more than that.
            found[name] = str(os.path.getsize(path)) if name.startswith(_EVENTS) else crc32c_of(path)
    return found


def _at_once(act: Callable[[str], None], names: Iterable[str]) -> None:
    """Calls a function with each name, several at a time; raises the first error."""
    with concurrent.futures.ThreadPoolExecutor(_AT_A_TIME) as pool:
        for _ in pool.map(act, sorted(names)):
            pass
