"""The index of a folder in a bucket: the object that is written last, and says which objects belong together.

An upload writes the index twice: first with the checksums of what it is about to write, then, when all is there, with
them alone. So whoever finds the index of an upload that was broken off knows the contents that each object may have.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping

import msgspec

from beam_pipelines.storage.atomic_files import write_json
from beam_pipelines.storage.typed_json import check_content, decode_json, read_typed
from trainer.buckets import store

INDEX_FILE = '.sero-index.json'
_NOTE_FILE = '.sero-upload.json'


class FolderIndex(msgspec.Struct, frozen=True):
    """The content of the index.

    Attributes
    ----------
    upload : of the upload that has written it, a random name.
    files : name of each object -> its CRC-32C; empty where that is not known.
    coming : the objects that the upload is about to write or replace, likewise; none when it is complete.
    leaving : the objects that are about to be removed.
    """

    upload: str
    files: Mapping[str, str]
    coming: Mapping[str, str] = {}
    leaving: tuple[str, ...] = ()

    def allowed(self, name: str) -> set[str]:
        """Returns the checksums that an object may have; an empty one allows all."""
        return {of_files[name] for of_files in (self.files, self.coming) if name in of_files}


class UploadNote(msgspec.Struct, frozen=True):
    """What a local folder notes of its copy in the bucket: the last upload that ended, and one that has begun."""

    ended: str = ''
    begun: str = ''


def new_upload() -> str:
    """Returns a name for an upload."""
    return secrets.token_hex(8)


def read_index(url: str) -> FolderIndex | None:
    """Returns the index of a folder in a bucket; None if it has none. UserError if it is damaged."""
    path = f'{url}/{INDEX_FILE}'
    try:
        content = store.read_object(path)
    except FileNotFoundError:
        return None
    return check_content(decode_json(content, path), FolderIndex, path)


def write_index(url: str, index: FolderIndex) -> None:
    """Writes the index of a folder in a bucket."""
    store.write_object(f'{url}/{INDEX_FILE}', msgspec.json.encode(index))


def read_note(folder: str) -> UploadNote:
    """Returns what a local folder notes; nothing if it has no note."""
    path = os.path.join(folder, _NOTE_FILE)
    return read_typed(path, UploadNote) if os.path.exists(path) else UploadNote()


def write_note(folder: str, note: UploadNote) -> None:
    """Writes what a local folder notes."""
    write_json(os.path.join(folder, _NOTE_FILE), msgspec.to_builtins(note))
