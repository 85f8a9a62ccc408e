"""Where a model is: in a folder, in a ``.zip``, or on the Hugging Face Hub."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from beam_pipelines.errors import UsageError, UserError
from beam_pipelines.storage.locks import check_not_written
from trainer.errors import ModelError
from trainer.models.archive import unpack_model

ON_HUB = 'hf://'


@contextlib.contextmanager
def model_folder(place: str) -> Iterator[str]:
    """Yields the folder of a model; what was unpacked for it is removed when the block ends.

    Parameters
    ----------
    place : the folder, the ``.zip`` that ``sero-export-model`` has written, or ``hf://OWNER/NAME``.

    Raises
    ------
    UsageError
        If it is another kind of address.
    UserError
        If the archive cannot be used, or the model cannot be downloaded. An error of the block that names a file of the
        unpacked folder names it in the archive.
    """
    if place.startswith(ON_HUB):
        from trainer.models.hub import download_model  # Its library is in an extra.

        yield download_model(place)
    elif '://' in place:
        raise UsageError(f'{place}: expected a folder, a .zip of sero-export-model, or {ON_HUB}OWNER/NAME')
    elif os.path.exists(place) and not os.path.isdir(place):
        with tempfile.TemporaryDirectory(prefix='sero-model-') as folder, _named_in(place, folder):
            unpack_model(place, folder)
            yield folder
    else:
        yield place


def check_not_trained(*folders: str) -> None:
    """Raises UserError if a run is being trained: before it is read, and after, when it may be of two states."""
    for folder in folders:
        check_not_written(folder, 'wait until the training has ended')


@contextlib.contextmanager
def _named_in(archive: str, folder: str) -> Iterator[None]:
    """Names files of a folder, in errors of the block, as those of the archive that they came from."""
    try:
        yield
    except UserError as error:
        if folder not in str(error):
            raise
        raise ModelError(str(error).replace(folder, archive)) from None
