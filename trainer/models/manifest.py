"""``manifest.json``: checksums of the files of a finished run, so that files of other runs among them are found.

Written last, when a run has ended, and removed before anything of the run changes again. Runs of early versions, and
runs that are not finished, have none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping

import msgspec

from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import file_named, write_json
from beam_pipelines.storage.typed_json import read_typed
from trainer.errors import ModelError

FILE_NAME = 'manifest.json'

# What a verdict rests on. ``firing.json`` is only in some runs.
_FILES = ('model_info.json', 'calibration.json', 'training_range.npz', 'firing.json')
_MEMBERS = 'members'
# For ONNX Runtime, and for programs that do not have this package; whoever needs the space may remove them.
_CONSENSUS = ('consensus.onnx', 'consensus.keras')
_SAVED_MODEL = 'saved_model'
_NOT_NEEDED = (*_CONSENSUS, _SAVED_MODEL)

# Of the files that are enough to pass a model on: those that are in the folder itself.
FILES_WITHOUT_MEMBERS = (*_FILES, *_CONSENSUS)
NEEDED_TO_PASS_ON = (FILE_NAME, *_CONSENSUS)


class Manifest(msgspec.Struct, frozen=True):
    """The content of ``manifest.json``: name of each file, with ``/`` -> its SHA-256 in hexadecimal digits."""

    sha256: Mapping[str, str]


def _sha256(path: str) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits; OSError if it cannot be read."""
    with file_named(path), open(path, 'rb') as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write(workdir: str) -> None:
    """Writes the manifest of a run that has ended."""
    of_files = {name: _sha256(os.path.join(workdir, name)) for name in _files_of_run(workdir)}
    write_json(os.path.join(workdir, FILE_NAME), {'sha256': of_files})


def remove(workdir: str) -> None:
    """Removes the manifest, if there is one: before a run goes on."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(workdir, FILE_NAME))


def is_written(workdir: str) -> bool:
    """Whether a run's folder holds a manifest."""
    return os.path.exists(os.path.join(workdir, FILE_NAME))


def files_to_pass_on(workdir: str) -> list[str]:
    """Returns the names of the manifest and of the files that it covers, with ``/``, but for the SavedModel."""
    names = [name for name in _files_of_run(workdir) if not name.startswith(f'{_SAVED_MODEL}/')]
    return [*names, FILE_NAME]


def check_files(workdir: str) -> None:
    """Compares the files of a run with its manifest, if it has one.

    Raises
    ------
    ModelError
        If a file is missing, is one too many, or is not the one that was written when the run ended; names it.
    """
    path = os.path.join(workdir, FILE_NAME)
    if not is_written(workdir):
        return
    try:
        promised = read_typed(path, Manifest).sha256
    except UserError as error:
        raise ModelError(str(error)) from None
    # Only names that we write are read, whatever the manifest lists; a name with / before it is in the folder too.
    found = list(_files_of_run(workdir))
    for name in sorted({*promised, *found}):
        file = os.path.join(workdir, *name.split('/'))
        if name not in found and not name.startswith(_NOT_NEEDED):
            raise ModelError(f'{file}: is missing, {FILE_NAME} names it; copy the whole folder of the run')
        if name in found and promised.get(name) != _sha256(file):
            raise ModelError(
                f'{file}: is not the file that this run ended with, by {FILE_NAME}; copy the whole folder of the run'
            )


def _files_of_run(workdir: str) -> Iterator[str]:
    """Yields the names of the files in the folder that a manifest covers, with ``/``."""
    for name in (*_FILES, *_NOT_NEEDED):
        if os.path.isfile(os.path.join(workdir, name)):
            yield name
    members = os.path.join(workdir, _MEMBERS)
    if os.path.isdir(members):
        yield from (f'{_MEMBERS}/{name}' for name in sorted(os.listdir(members)) if name.endswith('.keras'))
    for folder, _, names in os.walk(os.path.join(workdir, _SAVED_MODEL)):
        for path in sorted(os.path.join(folder, name) for name in names):
            if os.path.isfile(path):  # and no device, which would be read without end
                yield os.path.relpath(path, workdir).replace(os.sep, '/')
