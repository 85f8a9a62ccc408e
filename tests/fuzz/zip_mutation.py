"""Changes archives: an entry behind a right checksum, which entries there are, or the bytes of the archive."""

from __future__ import annotations

import io
import random
import warnings
import zipfile
from collections.abc import Callable

from tests.fuzz.mutation import mutate

_END_BYTES = 400

ChangeEntry = Callable[[str, bytes, random.Random], bytes]


def mutate_zip(content: bytes, change_entry: ChangeEntry, chance: random.Random) -> bytes:
    """Returns an archive's content with a change; in two of three, an entry of it is changed by a function."""
    kind = chance.randrange(9)
    if kind == 0:
        return mutate(content, chance)
    if kind == 1:  # its list of entries
        return content[:-_END_BYTES] + mutate(content[-_END_BYTES:], chance)
    entries = read_zip(content)
    name = chance.choice(list(entries))
    if kind == 2:
        del entries[name]
        if chance.random() < 1 / 2:
            entries[chance.choice(('../outside', '/outside', 'x', name.upper(), 'a/b'))] = b'x'
    else:
        entries[name] = change_entry(name, entries[name], chance)
    return write_zip(entries)


def read_zip(content: bytes) -> dict[str, bytes]:
    """Returns the entries of an archive by their names."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(entries: dict[str, bytes]) -> bytes:
    """Returns the content of an archive of some entries."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, 'w') as archive:
        warnings.simplefilter('ignore')  # of names that are there twice
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()
