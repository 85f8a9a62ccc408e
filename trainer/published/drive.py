"""The authors' public Google Drive folders; downloads their files with gdown.

Untried on Drive itself, which could not be reached from where this was written.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

from beam_pipelines.cli.words import counted
from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import file_named, flush

# Source: the README of the authors' repository DLAtypicalSerotoninergicCells. Their synthetic spikes are not here:
# sero-build makes its own from the recordings.
RECORDINGS = {
    'original/SER': '1OH8HZlfHk17qekf3vjGcXjaARikYGg2E',
    'original/NSER': '1SzHVo5lmmJy1U2PvwYhHpvdnFpe9lCyP',
    'non_homogeneous/SER': '1XyLrbP1sxxOk67H8gqVojcj1wM53QXkn',
    'non_homogeneous/NSER': '1-4eZgkowcaDTr8z4ylcT5YxMkn3OPStD',
}
MODELS = '1zjwc-_P6zjsmc77BdwgBhxrEhBGw8Igz'

_TIMEOUT_S = 60
_RETRIES = 3

# For one file: itself, pages that ask for confirmation, and retries. gdown confirms without end.
_MOST_REQUESTS = 8

# A page starts with a tag or a comment, after whitespace and a byte order mark. No CSV, ABF file or Keras archive does.
_START_OF_PAGE = b'<'
_BEFORE_A_PAGE = b' \t\r\n\v\f\x00\xef\xbb\xbf\xff\xfe'
_BYTES_LOOKED_AT = 512

# Drive refuses all further files to anyone who has downloaded too much.
_MOST_CONSECUTIVE_FAILURES = 5


def check_can_download() -> None:
    """Raises UserError if gdown is not installed."""
    try:
        import gdown  # noqa: F401
    except ImportError:
        raise UserError("downloads need gdown, which is not installed: pip install '.[drive]'") from None


def fetch_folder(name: str, drive_id: str, folder: pathlib.Path) -> tuple[int, int]:
    """Fetches the files of a Drive folder, at any depth, that do not exist yet.

    A file appears when it is complete; an interrupted download is resumed.

    Parameters
    ----------
    name : of the folder, for messages.
    drive_id : its id on Google Drive.
    folder : where its files belong; made if it does not exist.

    Returns
    -------
    How many files the Drive folder holds, and how many of them this call has fetched.

    Raises
    ------
    UserError
        If gdown is not installed, Drive cannot be reached, the folder is empty, or files could not be fetched. All
        other files were then fetched, unless Drive refused several in a row.
    OSError
        If a file cannot be written.
    """
    check_can_download()
    import gdown
    import tqdm

    where = f'{name} (Drive folder {drive_id})'
    try:
        listed = _ask(gdown.download_folder, id=drive_id, output=str(folder), skip_download=True)
    except UserError as error:
        raise UserError(f'{where}: {error}') from None
    if not listed:
        raise UserError(f'{where}: Google Drive lists no files; the folder may not be public any more')
    missing = [file for file in listed if not os.path.exists(file.local_path)]
    failures: list[str] = []
    in_a_row = 0
    for file in tqdm.tqdm(missing, desc=name, unit='file'):
        os.makedirs(os.path.dirname(file.local_path), exist_ok=True)
        try:
            _fetch_file(file.id, pathlib.Path(file.local_path))
            in_a_row = 0
        except UserError as error:
            failures.append(f'{file.path}: {error}')
            in_a_row += 1
            if in_a_row == _MOST_CONSECUTIVE_FAILURES:
                raise UserError(
                    f'{where}: stopped after {in_a_row} failures in a row, the last: {failures[-1]}; the same command'
                    ' goes on'
                ) from None
    if failures:
        raise UserError(
            f'{where}: {len(failures)} of {counted(len(listed), "file")} could not be fetched, the first:'
            f' {failures[0]}; the same command fetches what is missing'
        )
    return len(listed), len(missing)


def _fetch_file(drive_id: str, path: pathlib.Path) -> None:
    """Fetches one file; UserError if Drive refuses it, or answers with a page or nothing in its place."""
    import gdown

    # Hidden until it has been looked at, so that it is never taken for a recording. It keeps an interrupted download.
    staged = path.with_name(f'.{path.name}.download')
    with _requests_limited(), file_named(path):
        _ask(gdown.download, id=drive_id, output=str(staged), resume=True, retries=_RETRIES)
    with file_named(path), open(staged, 'rb') as file:
        start = file.read(_BYTES_LOOKED_AT).lstrip(_BEFORE_A_PAGE)
    if not start or start.startswith(_START_OF_PAGE):
        staged.unlink()
        what = 'a web page' if start else 'nothing'
        raise UserError(f'Google Drive sent {what} in place of the file, perhaps because its quota is used up')
    flush(staged)
    os.replace(staged, path)
    flush(path.parent)


@contextlib.contextmanager
def _requests_limited() -> Iterator[None]:
    """Raises UserError in the block if gdown asks more often than any file takes."""
    import requests

    get = requests.Session.get
    asked = 0

    def limited_get(session: requests.Session, *arguments: Any, **options: Any) -> requests.Response:
        nonlocal asked
        asked += 1
        if asked > _MOST_REQUESTS:
            raise UserError(f'Google Drive sent no file in {_MOST_REQUESTS} tries, but asked again for confirmation')
        return get(session, *arguments, **options)

    # gdown makes its sessions itself and takes no limit.
    requests.Session.get = limited_get  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        requests.Session.get = get  # type: ignore[method-assign]


def _ask(function: Callable[..., Any], **arguments: object) -> Any:
    """Calls a function of gdown; UserError if Drive cannot be reached, refuses, or answers with something unknown."""
    import requests

    try:
        return function(quiet=True, timeout=_TIMEOUT_S, **arguments)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise UserError(f'Google Drive cannot be reached ({type(error).__name__})') from None
    except UserError:
        raise
    except Exception as error:  # gdown fails with arbitrary errors on an unknown page
        is_of_files = isinstance(error, OSError) and not isinstance(error, requests.RequestException)
        if is_of_files or _is_raised_by_this_call(error):
            raise
        raise UserError(f'gdown: {" ".join(f"{type(error).__name__}: {error}".split())}') from None


def _is_raised_by_this_call(error: Exception) -> bool:
    """Whether gdown rejected our arguments before it began: that is a bug of ours."""
    return error.__traceback__ is not None and error.__traceback__.tb_next is None
