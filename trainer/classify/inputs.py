"""Finds recordings in the files and folders that a user names."""

from __future__ import annotations

import os
from collections.abc import Sequence

from beam_pipelines.errors import UserError
from beam_pipelines.recordings.cell_files import RecordingFiles, group_files, is_ignored
from beam_pipelines.recordings.folder_names import did_you_mean
from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.recordings.verdict_files import WRITTEN
from beam_pipelines.storage.walk import walk_files


def find_recordings(paths: Sequence[str], output_dir: str) -> tuple[list[RecordingFiles], list[RejectedFile]]:
    """Finds the recordings, one per cell, in files and in folders at any depth.

    Hidden files and folders are ignored, and so are the files that ``sero-classify`` wrote, to this output folder
    or to another.

    Parameters
    ----------
    paths : files and folders.
    output_dir : where the verdicts are written; may be inside a folder of recordings.

    Returns
    -------
    The recordings (their set and label are meaningless here), and the files that belong to none.

    Raises
    ------
    UserError
        If a path does not exist or a folder cannot be read, or there are no files.
    """
    output_dir = os.path.realpath(output_dir)
    files: dict[str, None] = {}
    for path in paths:
        if not os.path.exists(path):
            raise UserError(f'{path}: no such file or folder{did_you_mean(path)}')
        found = _walk(path, output_dir) if os.path.isdir(path) else [path]
        # The cell of a spike CSV is its folder, even if the given path does not name it.
        files.update(dict.fromkeys(map(os.path.abspath, found)))
    usable, rejected = [], []
    for path in files:
        if is_ignored(path):
            continue
        if _is_text(path):
            usable.append(('original', 0, path))
        else:
            rejected.append(RejectedFile(path, 'bad_name', 'the path is not UTF-8'))
    if not usable and not rejected:
        raise UserError(f'{", ".join(paths)}: no file in there')
    recordings, of_no_cell = group_files(usable)
    return recordings, rejected + [file for _, file in of_no_cell]


def count_files(recordings: Sequence[RecordingFiles]) -> int:
    """Returns how many files the recordings have."""
    return sum(len(files.paths) for recording in recordings for files in (recording, *recording.spares))


def _walk(folder: str, output_dir: str) -> list[str]:
    def is_foreign(parent: str, name: str) -> bool:
        return name not in WRITTEN or os.path.realpath(parent) != output_dir

    def enters(parent: str, name: str) -> bool:
        return not name.startswith('.') and is_foreign(parent, name)

    try:
        return [path for path in walk_files(folder, enters) if is_foreign(*os.path.split(path))]
    except OSError as error:
        raise UserError(f'{error.filename}: {error.strerror}') from None


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
