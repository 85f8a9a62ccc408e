"""Names of files after cells."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(r'(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)', re.IGNORECASE)


def name_files(cell_ids: Iterable[str], extension: str) -> list[str]:
    """Returns a file name for each cell, such as ``A140313#073.nwb``, that Linux, macOS and Windows accept.

    Characters that Windows forbids become ``_``, and ``_`` is put before a name that it reserves, such as ``NUL``. A
    second cell of the same name becomes ``CELL-2``. Names that differ only in case or in how accents are coded are the
    same: on Windows or macOS, one file would replace the other.

    Parameters
    ----------
    cell_ids : the cells, which need not differ.
    extension : with its dot.
    """
    names: dict[str, str] = {}
    for cell_id in cell_ids:
        stem = _FORBIDDEN.sub('_', cell_id)
        if _RESERVED.match(stem):
            stem = f'_{stem}'
        name, number = f'{stem}{extension}', 1
        while (same := unicodedata.normalize('NFC', name).casefold()) in names:
            number += 1
            name = f'{stem}-{number}{extension}'
        names[same] = name
    return list(names.values())
