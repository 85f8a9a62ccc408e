"""Guesses which folder or file was meant by a name that does not exist."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Collection, Iterable

from beam_pipelines import domain
from beam_pipelines.errors import UserError

ListFolders = Callable[[str], Collection[str]]

_LEAST_LIKENESS = 0.7
_MOST_ROOTS = 3


def closest_name(name: str, names: Iterable[str]) -> str | None:
    """Returns that of other names which is most like a name, such as ``SER`` for ``ser``; None if none is like it."""
    by_key = {_key(candidate): candidate for candidate in sorted(names) if candidate != name}
    matches = difflib.get_close_matches(_key(name), by_key, 1, _LEAST_LIKENESS)
    return by_key[matches[0]] if matches else None


def did_you_mean(path: str) -> str:
    """Returns ``; did you mean ...?`` with the local file or folder that is most like a path that does not exist."""
    parent, name = os.path.split(os.path.normpath(path))
    try:
        closest = closest_name(name, os.listdir(parent or os.curdir))
    except OSError:
        return ''
    return f'; did you mean {os.path.join(parent, closest)}?' if closest else ''


def check_folder(path: str, advice: str = '') -> None:
    """Raises UserError if a local path is not a folder; a URL is not looked up.

    It imports nothing, so a command can call it before it waits for TensorFlow or Beam.

    Parameters
    ----------
    path : the folder, as the user gave it.
    advice : what to expect there or how to make it, for the end of the line.
    """
    if '://' in path or os.path.isdir(path):
        return
    problem = 'a file; expected a folder' if os.path.exists(path) else f'no such folder{did_you_mean(path)}'
    raise UserError('; '.join(filter(None, [problem, advice])), file=path)


def check_recordings_root(root: str) -> None:
    """Raises UserError if a local recordings root is not a folder."""
    check_folder(root, f'expected recordings in {root}/original/SER, {root}/original/NSER, ...')


def explain_missing_recordings(root: str, recording_set: str, label_name: str, list_folders: ListFolders) -> str:
    """Says which folder may have been meant where ``ROOT/SET/CLASS`` has no recordings.

    Parameters
    ----------
    root : the recordings root, a path or URL.
    recording_set, label_name : the folders that were looked for.
    list_folders : gives the names of the folders in a folder; none for a folder that does not exist.

    Returns
    -------
    One line that names what was found; empty if nothing like it was found.
    """
    in_root = list_folders(root)
    misnamed = _misnamed(root, recording_set, in_root, domain.RECORDING_SETS)
    if misnamed:
        return misnamed
    if recording_set in in_root:
        folder = _join(root, recording_set)
        return _misnamed(folder, label_name, list_folders(folder), domain.LABEL_NAMES)
    if any(name in in_root for name in domain.RECORDING_SETS):
        return ''
    return _too_deep(root, in_root) or _too_high(root, in_root, list_folders)


def _misnamed(folder: str, wanted: str, found: Collection[str], known: Collection[str]) -> str:
    if wanted in found:
        return ''
    # SER and NSER are like each other.
    alike = [name for name in sorted(found) if name not in known and closest_name(name, known) == wanted]
    return f'{folder}: its folder {alike[0]!r} must be named {wanted!r}' if alike else ''


def _too_deep(root: str, in_root: Collection[str]) -> str:
    parent, name = _split(root)
    if _is_one_of(name, domain.LABEL_NAMES) and _is_one_of(_split(parent)[1], domain.RECORDING_SETS):
        return f'{root}: this is the folder of one class; did you mean {_split(parent)[0]}?'
    classes = [found for found in sorted(in_root) if _is_one_of(found, domain.LABEL_NAMES)]
    if classes and _is_one_of(name, domain.RECORDING_SETS):
        return f'{root}: this is the folder of one recording set; did you mean {parent}?'
    if classes:
        sets = ' or '.join(_join(root, recording_set) for recording_set in domain.RECORDING_SETS)
        return f'{root}: its folders {", ".join(classes)} must be in {sets}'
    return ''


def _too_high(root: str, in_root: Collection[str], list_folders: ListFolders) -> str:
    roots = [
        _join(root, name)
        for name in sorted(in_root)
        if any(_is_one_of(found, domain.RECORDING_SETS) for found in list_folders(_join(root, name)))
    ]
    if not roots:
        return ''
    more = len(roots) - _MOST_ROOTS
    named = ' or '.join(roots[:_MOST_ROOTS]) + (f' or one of {more} more' if more > 0 else '')
    return f'{root}: has no folder {" or ".join(domain.RECORDING_SETS)}; did you mean {named}?'


def _is_one_of(name: str, known: Collection[str]) -> bool:
    return _key(name) in map(_key, known)


def _key(name: str) -> str:
    return name.strip().casefold().replace('-', '_').replace(' ', '_')


def _join(folder: str, name: str) -> str:
    return f'{folder.rstrip("/")}/{name}'


def _split(path: str) -> tuple[str, str]:
    """Splits a path or URL into the folder that it is in, and its name."""
    return os.path.split(path.rstrip('/') if '://' in path else os.path.abspath(path))
