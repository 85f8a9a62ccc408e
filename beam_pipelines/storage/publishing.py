"""Publishes folders: for readers, a folder is there whole or not at all.

A local folder is moved in one step. An object store has no such step: the files are copied one by one, by as many
workers as there are, and the file that completes the folder comes last. Each step can be repeated, and an interrupted
publication can be started again.
"""

from __future__ import annotations

import concurrent.futures
import errno
import os
from collections.abc import Callable, Iterable

from beam_pipelines.storage import files
from beam_pipelines.storage.atomic_files import flush

# Requests wait for the store, not for a core.
_REQUESTS_AT_A_TIME = 16


def replace_folder(source: str, target: str, aside: str) -> None:
    """Moves a local folder, whose files are on the disk, to ``target`` in one step.

    Parameters
    ----------
    source, target : folders.
    aside : where a folder that was at ``target`` is kept for a moment.
    """
    files.remove(aside)
    if files.exists(target):
        os.replace(target, aside)
    os.replace(source, target)
    flush(os.path.dirname(target) or '.')
    files.remove(aside)


def is_published(folder: str, last: str) -> bool:
    """Whether a folder was published completely: on an object store, whether it holds the file ``last``."""
    return files.exists(folder if files.is_local(folder) else f'{folder}/{last}')


def withdraw(folder: str, last: str) -> None:
    """Makes what was published in a folder of an object store incomplete, before other files take its place."""
    files.remove(f'{folder}/{last}')


def copy_files(source: str, target: str, names: Iterable[str]) -> None:
    """Copies files from one folder of an object store to another."""
    _for_each(lambda name: files.copy(f'{source}/{name}', f'{target}/{name}'), names)


def remove_files(folder: str, names: Iterable[str]) -> None:
    """Removes files of a folder of an object store; a missing one is no error."""
    _for_each(lambda name: files.remove(f'{folder}/{name}'), names)


def complete(source: str, target: str, last: str) -> None:
    """Completes a folder of an object store into which all files but ``last`` were copied.

    What else is there, as of a dataset that is replaced, is removed first.

    Raises
    ------
    OSError
        If a file is missing, or has not the size of its source.
    """
    expected, found = names_of(source), names_of(target)
    for name, size in expected.items():
        if name != last and found.get(name) != size:
            raise OSError(errno.EIO, f'was not copied whole: {found.get(name)} of {size} bytes', f'{target}/{name}')
    remove_files(target, found.keys() - expected.keys())
    copy_files(source, target, [last])


def names_of(folder: str) -> dict[str, int]:
    """Lists the files below a folder: name -> size in bytes."""
    return {path[len(folder) :].lstrip('/'): size for path, size in files.list_files(folder).items()}


def _for_each(act: Callable[[str], None], names: Iterable[str]) -> None:
    with concurrent.futures.ThreadPoolExecutor(_REQUESTS_AT_A_TIME) as pool:
        acting = [pool.submit(act, name) for name in names]
        try:
            for one in acting:
                one.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
