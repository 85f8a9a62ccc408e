"""A recordings root, written whole or not at all, with several recordings at the same time."""

from __future__ import annotations

import concurrent.futures
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from beam_pipelines.cli.progress_line import ProgressLine
from beam_pipelines.cli.words import counted
from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import flush, flush_tree
from beam_pipelines.storage.locks import LOCK_FILE, written_by_one

_Job = TypeVar('_Job')


def write_root(output_dir: str | os.PathLike, write: Callable[[Path], None]) -> Path:
    """Writes a folder, whole or not at all, and returns its absolute path.

    Parameters
    ----------
    output_dir : the folder to make; may exist if it is empty.
    write : fills the folder that it is given.

    Raises
    ------
    UserError
        If ``output_dir`` is not empty or cannot be written.
    """
    root = Path(output_dir).resolve()
    try:
        _check_free(root)
        root.parent.mkdir(parents=True, exist_ok=True)
        with written_by_one(root, 'choose another --output_dir', root.with_name(f'.{root.name}{LOCK_FILE}')):
            _check_free(root)  # Another command may have written it while the lock was waited for.
            _write_whole(root, write)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f'{root} cannot be written: what it should lie in is not a folder') from error
    except OSError as error:
        raise UserError(f'{root} cannot be written: {error.strerror}') from error
    return root


def _check_free(root: Path) -> None:
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(f'{root} exists and is not an empty folder; nothing was written')


def _write_whole(root: Path, write: Callable[[Path], None]) -> None:
    partial_root = root.with_name(f'.{root.name}.partial')
    # The name is always the same, so the next run removes the leftovers of a killed one.
    shutil.rmtree(partial_root, ignore_errors=True)
    try:
        partial_root.mkdir()
        write(partial_root)
        flush_tree(partial_root)
        partial_root.replace(root)
        flush(root.parent)
    finally:
        shutil.rmtree(partial_root, ignore_errors=True)


def write_recordings(jobs: Sequence[_Job], write: Callable[[_Job], dict], workers: int | None) -> list[dict]:
    """Writes recordings in threads and returns the truth about each, in the order of the jobs.

    Parameters
    ----------
    jobs : what to write, one recording each.
    write : writes one recording and returns the truth about it.
    workers : how many threads; None: one per core.
    """
    import joblib  # Imported here because it is slow to import and --help must be fast.

    progress = ProgressLine()
    # Threads are enough: NumPy does the work and releases the interpreter lock.
    with concurrent.futures.ThreadPoolExecutor(workers or joblib.cpu_count()) as pool:
        try:
            futures = [pool.submit(write, job) for job in jobs]
            for n_done, future in enumerate(concurrent.futures.as_completed(futures), start=1):
                future.result()  # The first that fails ends the work.
                if progress.is_due():
                    progress.show(f'wrote {n_done} of {counted(len(futures), "recording")}')
            progress.keep(f'wrote {len(futures)} of {counted(len(futures), "recording")}')
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
