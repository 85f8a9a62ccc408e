"""A model as one ``.zip``: packed, and unpacked after each of its members has been checked.

An archive may come from anywhere. Only files of the names that a model has are taken out of it, so no member can lie
outside of the folder, be a link, or be something that runs; none is larger than a file of a model is.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator

from beam_pipelines.storage.atomic_files import staged
from beam_pipelines.storage.walk import check_regular
from trainer.errors import ModelError
from trainer.models import manifest

CARD_FILE = 'README.md'
METRICS_FILE = 'metrics.json'

# Beside the members; where a model is downloaded, nothing else is.
FILES = (CARD_FILE, METRICS_FILE, manifest.FILE_NAME, *manifest.FILES_WITHOUT_MEMBERS)

_MEMBER = re.compile(r'members/k[1-9][0-9]{0,2}\.keras')
_FOLDER = 'members/'
# The folder that holds all, in an archive that another program has made of the folder of a model; and what macOS adds.
_TOP_FOLDER = re.compile(r'(?!members/|\.{1,2}/)[^/\\\0]+/')
_ADDED_BY_MACOS = re.compile(r'__MACOSX/.*|(.*/)?\.DS_Store', re.DOTALL)

# A model of eleven members has some 10 MB.
_MOST_BYTES_PACKED = 128 << 20
_MOST_BYTES_OF_FILE = 64 << 20
MOST_BYTES = 256 << 20
MOST_FILES = 256
_MOST_BYTES_OF_LIST = 1 << 18
_BLOCK = 1 << 20

# Others need far more memory to unpack, by as much as the archive asks for.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
# What ends an archive, with the size of the list of its members at an offset; and that of very large archives.
_END, _SIZE_IN_END, _LARGE_END = b'PK\x05\x06', slice(12, 16), b'PK\x06\x07'
_MOST_BYTES_OF_END = 1 << 17
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that an archive can state: the same files give the same bytes


def pack_model(folder: str, names: Iterable[str], path: str) -> None:
    """Writes files of a folder into a ``.zip``, atomically; the same files give the same bytes."""
    with staged(path) as temporary, zipfile.ZipFile(temporary, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(names):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            with open(os.path.join(folder, *name.split('/')), 'rb') as file:
                archive.writestr(entry, file.read())


def unpack_model(path: str, folder: str) -> None:
    """Unpacks a ``.zip`` of a model, or of the folder of a model, into an empty folder.

    Raises
    ------
    ModelError
        If it is no whole archive, or holds anything else than the files of a model, or more than these can be: before
        anything of it is written, but for a file that is damaged.
    OSError
        If it cannot be read, or the folder cannot be written.
    """
    check_regular(path)
    if (size := os.path.getsize(path)) > _MOST_BYTES_PACKED:
        raise ModelError(f'{path}: {size:,} bytes are more than {_MOST_BYTES_PACKED:,}')
    _check_list(path)
    try:
        with zipfile.ZipFile(path) as archive:
            files = _files_of_model(archive.infolist())
            for problem in (*_problems_of_all(archive.infolist()), *_problems(files)):
                raise ModelError(f'{path}: {problem}')
            for name, entry in files:
                if name != _FOLDER:
                    _unpack(archive, entry, os.path.join(folder, *name.split('/')))
    # NotImplementedError, a RuntimeError: a feature of archives that zipfile does not know.
    except (EOFError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        reason = ' '.join(str(error).split())
        raise ModelError(f'{path}: is not a whole .zip of sero-export-model, nor a folder: {reason}') from None


def _check_list(path: str) -> None:
    """Raises ModelError for a list of millions of members, which zipfile would read first: a minute and a gigabyte."""
    with open(path, 'rb') as file:
        file.seek(max(0, os.path.getsize(path) - _MOST_BYTES_OF_END))
        tail = file.read()
    sizes = [int.from_bytes(tail[end.start() :][_SIZE_IN_END], 'little') for end in re.finditer(_END, tail)]
    if max(sizes, default=0) > _MOST_BYTES_OF_LIST or _LARGE_END in tail:
        raise ModelError(f'{path}: lists more files than a model has')


def _files_of_model(entries: list[zipfile.ZipInfo]) -> list[tuple[str, zipfile.ZipInfo]]:
    """Returns the members by their names in the folder of the model, whatever these are."""
    # The name as it is stored: zipfile ends it at a zero byte.
    named = [(entry.orig_filename, entry) for entry in entries if not _ADDED_BY_MACOS.fullmatch(entry.orig_filename)]
    match = _TOP_FOLDER.match(named[0][0]) if named else None
    top = match[0] if match and all(name.startswith(match[0]) for name, _ in named) else ''
    return [(name.removeprefix(top), entry) for name, entry in named if name != top]


def _problems(files: list[tuple[str, zipfile.ZipInfo]]) -> Iterator[str]:
    """Yields what keeps members from being unpacked, by the list of members alone."""
    seen = set()
    for name, entry in files:
        if name not in (*FILES, _FOLDER) and not _MEMBER.fullmatch(name):
            yield (
                f'holds {entry.orig_filename!r}, which is no file of a model: give the .zip of sero-export-model, or'
                ' one of its folder alone'
            )
        if name in seen:
            yield f'holds {name} twice'
        seen.add(name)
        yield from (f'{name}: {problem}' for problem in _problems_of(entry))


def _problems_of_all(entries: list[zipfile.ZipInfo]) -> Iterator[str]:
    if len(entries) > MOST_FILES:
        yield f'holds {len(entries):,} files, more than {MOST_FILES}'
    if (total := sum(map(_size, entries))) > MOST_BYTES:
        yield f'{total:,} bytes unpacked are more than {MOST_BYTES:,}'


def _problems_of(entry: zipfile.ZipInfo) -> Iterator[str]:
    # Archives that no POSIX system has made state no kind.
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        yield 'is a link, or another kind of file that no model has'
    if entry.flag_bits & _ENCRYPTED:
        yield 'is encrypted'
    if entry.compress_type not in _COMPRESSIONS:
        yield f'is compressed in a way (number {entry.compress_type}) that sero-export-model does not use'
    if (size := _size(entry)) > _MOST_BYTES_OF_FILE:
        yield f'{size:,} bytes are more than {_MOST_BYTES_OF_FILE:,}'


def _size(entry: zipfile.ZipInfo) -> int:
    """Returns how many bytes a member says it has; zipfile reserves memory for what is packed too."""
    return max(entry.file_size, entry.compress_size)


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    written = 0
    with archive.open(entry) as packed, open(path, 'xb') as file:
        while block := packed.read(_BLOCK):
            written += len(block)
            if written > entry.file_size:
                break
            file.write(block)
    if written != entry.file_size:
        raise zipfile.BadZipFile(f'{entry.filename} is not of the {entry.file_size:,} bytes that it should have')
