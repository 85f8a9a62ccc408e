"""Reads JSON files, and checks what they hold against the types that describe them."""

from __future__ import annotations

import json
import os
import re
from typing import Any, TypeVar

import msgspec

from beam_pipelines.errors import UserError
from beam_pipelines.storage.bounds import read_bounded

_Described = TypeVar('_Described')

# The largest that we write names some ten thousand cells. In memory a file may take twenty times its size.
_MOST_BYTES = 16 << 20
_MOST_DIGITS = 20
# The escape of one half of a character: right only beside the other half.
_HALF_CHARACTER = re.compile(r'\\u[dD][89a-fA-F]')


def parse_json(path: str | os.PathLike) -> object:
    """Returns what a local JSON file holds, of any kind.

    Raises
    ------
    OSError
        If it is missing or cannot be read.
    UserError
        If it is no regular file, no JSON in UTF-8, nested too deeply, or far larger than what we write; names the file.
    """
    return decode_json(read_bounded(path, _MOST_BYTES), path)


def decode_json(content: str | bytes, file: str | os.PathLike) -> Any:
    """Returns what a file's content says as JSON.

    Whole numbers have at most 64 bits, and text holds whole characters: arrays and file names can hold no others.

    Raises
    ------
    UserError
        If it is not JSON in UTF-8, is nested too deeply, or holds such a number or text; names the file.
    """
    try:
        text = content.decode() if isinstance(content, bytes) else content
        decoded = json.loads(text, parse_int=_whole_number)
        if _HALF_CHARACTER.search(text):
            json.dumps(decoded, ensure_ascii=False).encode()
        return decoded
    except ValueError as error:
        raise UserError(str(error), file=file) from None
    except RecursionError:
        raise UserError('is nested too deeply', file=file) from None


def _whole_number(digits: str) -> int:
    number = int(digits) if len(digits) <= _MOST_DIGITS else None
    if number is None or not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f'{digits[:_MOST_DIGITS]} is a number of more than 64 bits')
    return number


def read_typed(path: str | os.PathLike, kind: type[_Described]) -> _Described:
    """Returns a local JSON file as the struct or dataclass that describes it; the errors are those of both steps."""
    return check_content(parse_json(path), kind, path)


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
