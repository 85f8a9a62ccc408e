"""A bucket that is mounted as a folder: it renames files, and refuses to rename folders as gcsfuse does by default."""

import errno
import os

import pytest


def refuse_folder_renames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets this process rename no folder."""
    move = os.replace

    def replace(source: str | os.PathLike, target: str | os.PathLike) -> None:
        if os.path.isdir(source):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), os.fspath(source))
        move(source, target)

    monkeypatch.setattr(os, 'replace', replace)
