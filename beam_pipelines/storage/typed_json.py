"""Checks what a JSON file holds against the type that describes it."""

from __future__ import annotations

import os
from typing import TypeVar

import msgspec

from beam_pipelines.errors import UserError

_Described = TypeVar('_Described')


def check_content(content: object, kind: type[_Described], file: str | os.PathLike) -> _Described:
    """Returns a file's content as the struct or dataclass that describes it; unknown fields are ignored.

    Parameters
    ----------
    content : what the file holds, as ``json.load`` returns it.
    kind : the struct or dataclass.
    file : its path, for errors.

    Raises
    ------
    UserError
        If a field is missing or of another type; names file, field and what is wrong.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        problem = str(error).replace(' - at `$.', ' at `')
        raise UserError(f'{problem}; make the file anew', file=file) from None
