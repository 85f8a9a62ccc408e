"""Finds the recordings below a recordings root, on any file system that Beam knows."""

from __future__ import annotations

import os
from collections.abc import Collection

from apache_beam.io.filesystems import FileSystems

from beam_pipelines import domain
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.cell_files import SIMULATED_FILE, RecordingFiles, group_files, is_ignored
from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.storage import files as storage


def find_recordings(
    root: str, recording_sets: Collection[str]
) -> tuple[list[RecordingFiles], list[tuple[str, RejectedFile]]]:
    """Finds the recordings of some recording sets, and the files among them that cannot be any.

    All sets are looked at in any case: a cell of ``original`` must not come into ``non_homogeneous`` because the two
    are built one after the other.

    Parameters
    ----------
    root : the recordings root.
    recording_sets : of ``domain.RECORDING_SETS``, those that are needed.

    Returns
    -------
    As ``recordings.group_files``.

    Raises
    ------
    UserError
        If a folder that is needed has no recordings, or one cannot be read.
    """
    if storage.is_local(root) and not os.path.isdir(root):
        raise UserError(
            f'{root}: no such folder; expected recordings in {root}/original/SER, {root}/original/NSER, ...'
        )
    files = []
    for recording_set in domain.RECORDING_SETS:
        for label, name in enumerate(domain.LABEL_NAMES):
            folder = FileSystems.join(root, recording_set, name)
            try:
                paths = [path for path in storage.list_files(folder) if not is_ignored(path)]
            except OSError as error:
                raise UserError(f'{error.filename or folder}: {error.strerror or error}') from error
            if not paths and recording_set in recording_sets:
                raise UserError(
                    f'{folder}: no recordings; expected .abf files or CELL/CELL_trigger_N.csv, or other --configs'
                )
            files.extend((recording_set, label, path) for path in paths)
    recordings, rejected = group_files(files)
    return (
        [recording for recording in recordings if recording.recording_set in recording_sets],
        [(recording_set, file) for recording_set, file in rejected if recording_set in recording_sets],
    )


def are_simulated(root: str) -> bool:
    """Whether ``sero-simulate`` wrote the recordings below a root."""
    return storage.exists(FileSystems.join(root, SIMULATED_FILE))
