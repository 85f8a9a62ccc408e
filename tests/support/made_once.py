"""What is expensive to make, made once for all workers of pytest-xdist."""

import pathlib
import shutil
from collections.abc import Callable

import filelock
import pytest


def made_once(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str, name: str, make: Callable[[pathlib.Path], None]
) -> pathlib.Path:
    """Returns a folder that ``make(folder)`` fills, unless another worker has done so. Read only.

    Parameters
    ----------
    tmp_path_factory, worker_id : pytest's and pytest-xdist's fixtures.
    name : of the folder.
    make : fills the folder, which exists and is empty.
    """
    base = tmp_path_factory.getbasetemp()
    if worker_id != 'master':
        base = base.parent  # that of all workers
    folder, done = base / name, base / f'{name}.done'
    with filelock.FileLock(base / f'{name}.lock'):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
