"""The check of --watch, which sero-classify and sero-app share."""

from __future__ import annotations

import os

from beam_pipelines.errors import UsageError, UserError
from beam_pipelines.recordings.folder_names import check_folder


def check_watched(folder: str | None) -> None:
    """Raises UserError if ``--watch`` names no folder that can be read; nothing else would say why no verdict comes.

    Parameters
    ----------
    folder : the value of the flag; None: it is not given.
    """
    if folder is None:
        return
    if not folder:
        raise UsageError('--watch=: names no folder')
    check_folder(folder)
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError('this user may not read it; --watch needs a folder that can be listed and entered', file=folder)
