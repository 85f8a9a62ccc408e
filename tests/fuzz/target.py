"""What a target of the fuzzer is: one kind of file that is read from outside, and what must hold whatever it says."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import random
from collections.abc import Callable, Iterator, Mapping

from beam_pipelines.errors import UserError

# What one execution returns: a right result, or one line for the user.
USED, REFUSED = 'used', 'refused'
# A line that nobody would read to its end.
_LONGEST_LINE = 2_000

Execute = Callable[[random.Random], str]
Make = Callable[[pathlib.Path], None]
Change = Callable[[bytes, random.Random], bytes]


@dataclasses.dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes
    ----------
    name : such as ``calibration.json``.
    prepare : from an empty folder to what reads a changed file there. An execution depends on the random numbers that
        it gets alone; it returns ``used``, or why the file was refused, and raises anything else for a finding.
    """

    name: str
    prepare: Callable[[pathlib.Path], Execute]


def outcome_of(read: Callable[[], object], folder: pathlib.Path) -> str:
    """Returns ``used``, or ``refused`` if reading ends in one line for the user that names a file of the folder.

    Raises
    ------
    AssertionError
        If the line is none, is too long, or names no file.
    """
    try:
        read()
    except UserError as error:
        check_line(str(error), folder)
        return REFUSED
    return USED


def check_line(line: str, folder: pathlib.Path) -> None:
    """Raises AssertionError if an error is not one line, is too long, or names no file of the folder."""
    assert len(line.splitlines()) == 1, f'several lines: {line[:_LONGEST_LINE]!r}'
    assert len(line) <= _LONGEST_LINE, f'{len(line)} characters: {line[:200]}'
    assert str(folder) in line, f'names no file: {line}'
    # Or a limit of memory was met, and not that of the reader.
    assert 'allocate' not in line, line


def target_of_file(name: str, make: Make, change: Change, read: Callable[[pathlib.Path], object]) -> Target:
    """Returns the target of one file of a folder, whose other files do not change.

    Parameters
    ----------
    name : of the file that changes.
    make : writes the files into an empty folder.
    change : changes the content of the file.
    read : reads the folder.
    """

    def prepare(folder: pathlib.Path) -> Execute:
        make(folder)
        original = (folder / name).read_bytes()

        def execute(chance: random.Random) -> str:
            (folder / name).write_bytes(change(original, chance))
            return outcome_of(lambda: read(folder), folder)

        return execute

    return Target(name, prepare)


def target_of_content(name: str, content: bytes, change: Change, read: Callable[[pathlib.Path], object]) -> Target:
    """Returns the target of a file that is alone in its folder; see ``target_of_file``."""
    return target_of_file(name, lambda folder: write_files(folder, {name: content}), change, read)


def write_files(folder: pathlib.Path, contents: Mapping[str, bytes]) -> None:
    """Writes files by their paths in a folder."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def files_in(folder: pathlib.Path) -> dict[str, bytes]:
    """Returns the content of each file below a folder, by its path in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in _paths(folder)}


def _paths(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    for parent, _, names in os.walk(folder):
        yield from (pathlib.Path(parent, name) for name in sorted(names))
