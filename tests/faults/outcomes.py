"""What commands have left in a folder, in a form that is equal for equal results."""

from __future__ import annotations

import hashlib
import io
import json
import pathlib
import re
import zipfile

# Curves and profiles name the process and the times; a run that goes on adds to them.
_OF_ONE_PROCESS = re.compile(r'(.*/)?tensorboard(/.*)?')
_LOCK = re.compile(r'(.*/)?(\.[^/]*\.sero\.lock|\.sero\.lock|\.lock)')
# TensorFlow and Keras write these in another order each time.
_EXPORTED = re.compile(r'(.*/)?saved_model/.*')


def outcome(folder: pathlib.Path) -> dict[str, str]:
    """Returns the files and empty folders below a folder: path -> digest of what must be equal.

    Left out are TensorBoard's files, times of saving, and what is in a SavedModel; of Keras's files the weights count.
    """
    paths = sorted(path for path in folder.rglob('*') if not path.is_dir() or not any(path.iterdir()))
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: _digest(name, path) for name, path in names.items() if not _OF_ONE_PROCESS.fullmatch(name)}


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """Returns what distinguishes two outcomes, one line each."""
    lines = [f'{name}: is missing' for name in sorted(expected.keys() - found.keys())]
    lines += [f'{name}: left behind' for name in sorted(found.keys() - expected.keys())]
    return lines + [f'{name}: differs' for name in sorted(found.keys() & expected) if found[name] != expected[name]]


def without_locks(found: dict[str, str]) -> dict[str, str]:
    """Returns an outcome without the empty lock files that killed commands may leave."""
    return {name: digest for name, digest in found.items() if not _LOCK.fullmatch(name)}


def without_unfinished_run(found: dict[str, str]) -> dict[str, str]:
    """Returns an outcome without a run that a training has begun and was not allowed to end: it has no manifest."""
    if 'run/manifest.json' in found:
        return found
    return {name: digest for name, digest in found.items() if not name.startswith('run/')}


def _digest(name: str, path: pathlib.Path) -> str:
    if path.is_dir():
        return 'an empty folder'
    if _EXPORTED.fullmatch(name):
        return 'exported'
    if path.suffix == '.keras' and zipfile.is_zipfile(path):
        return _digest_of_weights(path)
    content = path.read_bytes()
    if path.name == 'model_info.json':
        content = json.dumps(json.loads(content) | {'created': None}).encode()
    if path.name == 'manifest.json':
        content = '\n'.join(json.loads(content)['sha256']).encode()
    if path.name == 'state.json':
        # A run that goes on writes no fields that are null.
        state = {name: value for name, value in json.loads(content).items() if value is not None}
        content = json.dumps(state, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def _digest_of_weights(path: pathlib.Path) -> str:
    import h5py  # Late, because most outcomes have no weights.

    digest = hashlib.sha256()

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            digest.update(name.encode() + item[()].tobytes())

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read('model.weights.h5'))) as weights:
        weights.visititems(add)
    return digest.hexdigest()
