"""``checksums.json``: checksums of the files of a dataset that ``metadata.json`` gives none of, itself among them.

``metadata.json`` has those of the shards and of what a synthetic dataset was made from. So each file of a dataset has
one, but for ``checksums.json``: of that every byte is compared with something.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping

import google_crc32c
import msgspec

from beam_pipelines import domain
from beam_pipelines.datasets.configs import CELL_NAMES_FILE, CHECKSUMS_FILE, LABEL_NAMES_FILE, METADATA_FILE
from beam_pipelines.datasets.file_names import Crc32c, FileName
from beam_pipelines.datasets.metadata import DatasetMetadata
from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import file_named, write_text
from beam_pipelines.storage.typed_json import check_content, decode_json


class Checksums(msgspec.Struct, frozen=True):
    """The content of ``checksums.json``: name of each file -> its CRC-32C, eight hexadecimal digits."""

    crc32c: Mapping[FileName, Crc32c]


def checksum(content: bytes) -> str:
    """Returns a file's CRC-32C as the metadata state it."""
    return f'{google_crc32c.value(content):08x}'


def encode_checksums(contents: Mapping[str, bytes]) -> bytes:
    """Returns the content of ``checksums.json`` for files, by name."""
    return _as_json({name: checksum(content) for name, content in contents.items()}).encode()


def cover(folder: str, names: Iterable[str]) -> None:
    """Changes the checksums of files that a program has just written into a local dataset; adds none if it has none."""
    path = os.path.join(folder, CHECKSUMS_FILE)
    if not os.path.exists(path):
        return
    with file_named(path), open(path, 'rb') as file:
        of_files = dict(check_content(decode_json(file.read(), path), Checksums, path).crc32c)
    for name in names:
        with file_named(written := os.path.join(folder, name)), open(written, 'rb') as file:
            of_files[name] = checksum(file.read())
    write_text(path, _as_json(of_files))


def has_checksums(metadata: DatasetMetadata, exists: Callable[[str], bool]) -> bool:
    """Whether a dataset has checksums of all files, or should have; datasets of early versions have neither."""
    return metadata.checksums or exists(CHECKSUMS_FILE)


def find_changed_files(
    folder: str, metadata: DatasetMetadata, read: Callable[[str], bytes], exists: Callable[[str], bool]
) -> Iterator[str]:
    """Yields what is wrong with a dataset's files beside its shards, one line each.

    In a dataset of an early version, without checksums, only the names of cells and labels are compared.

    Parameters
    ----------
    folder : of the dataset, for the lines.
    metadata : the dataset's.
    read : returns the content of a file of the folder by its name, or raises UserError.
    exists : tells whether there is a file of a name.
    """
    if has_checksums(metadata, exists):
        try:
            path = f'{folder}/{CHECKSUMS_FILE}'
            checksums = check_content(decode_json(read(CHECKSUMS_FILE), path), Checksums, path)
        except UserError as error:
            yield str(error)
            return
        if METADATA_FILE not in checksums.crc32c:
            yield f'{folder}/{CHECKSUMS_FILE}: has no checksum of {METADATA_FILE}; build the dataset anew'
    else:
        checksums = Checksums({})
    names = {CELL_NAMES_FILE: [cell.cell_id for cell in metadata.cells], LABEL_NAMES_FILE: list(domain.LABEL_NAMES)}
    for name in sorted({*checksums.crc32c, *names}):
        try:
            content = read(name)
        except UserError as error:
            yield str(error)
            continue
        found, promised = checksum(content), checksums.crc32c.get(name)
        if promised is not None and found != promised:
            yield f'{folder}/{name}: CRC-32C {found}, {CHECKSUMS_FILE} promises {promised}'
        elif name in names and _names_in(content) != [name.strip() for name in names[name]]:
            yield f'{folder}/{name}: not the names that {METADATA_FILE} has, in their order'


def _as_json(of_files: Mapping[str, str]) -> str:
    return json.dumps({'crc32c': of_files}, indent=2, sort_keys=True) + '\n'


def _names_in(content: bytes) -> list[str]:
    """Returns the names in a file as TFDS reads them."""
    lines = content.decode(errors='replace').split('\n')
    return [line.strip() for line in lines if line.strip()]
