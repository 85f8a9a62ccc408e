"""The program's temporary folder: only the user can look into it, and it goes when the program ends."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from beam_pipelines.errors import UserError
from beam_pipelines.storage.locks import LOCK_FILE, check_not_written, written_by_one

_PREFIX = 'sero-app-'


@contextlib.contextmanager
def private_folder() -> Iterator[pathlib.Path]:
    """Makes the folder, and removes those of killed programs."""
    _remove_left_behind(pathlib.Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder:
        with written_by_one(folder, 'start sero-app again'):
            yield pathlib.Path(folder)


def _remove_left_behind(parent: pathlib.Path) -> None:
    user = getattr(os, 'getuid', lambda: 0)()  # Windows has none, and gives each file the user 0.
    for folder in parent.glob(f'{_PREFIX}*'):
        with contextlib.suppress(OSError, UserError):  # It is another user's, or of a program that runs.
            is_own = folder.lstat().st_uid == user
            # A program that has just begun has no lock yet.
            if is_own and (folder / LOCK_FILE).is_file():
                check_not_written(folder, '')
                shutil.rmtree(folder)
