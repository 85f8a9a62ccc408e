"""The recordings on the page: those that wait, the one that is being classified, and what became of the others."""

from __future__ import annotations

import collections
import dataclasses
import os
import threading
from collections.abc import Iterable
from typing import Literal

from beam_pipelines.recordings.reading_options import ReadingOptions
from trainer.classify.watched_outcomes import Outcome

Status = Literal['waiting', 'reading', 'done']


@dataclasses.dataclass(frozen=True)
class SessionFile:
    """A recording on the page.

    Attributes
    ----------
    number : its own for as long as the program runs.
    path, name : where it is, and what it is called.
    options : how it is read, or will be when its turn comes.
    found_with : how it was read when the outcomes were found; before the first time, the same as ``options``.
    is_uploaded : whether it is the program's own copy.
    status : how far it is.
    outcomes : what became of each cell in it when it was last read.
    is_missing : whether it was no longer there when it should have been read again.
    changed : the version of the session in which it last changed.
    """

    number: int
    path: str
    name: str
    options: ReadingOptions
    found_with: ReadingOptions
    is_uploaded: bool
    status: Status = 'waiting'
    outcomes: tuple[Outcome, ...] = ()
    is_missing: bool = False
    changed: int = 0


@dataclasses.dataclass(frozen=True)
class SessionChanges:
    """What has changed since a version of the session.

    Attributes
    ----------
    version : the present one.
    files : those that were added or have changed, in the order in which they came.
    removed : numbers of files that are gone.
    waiting, done : how many files wait, and how many are done, since the queue was last empty.
    reading : the name of the file that is being classified; None: there is none.
    unwatched : what cannot be read in the watched folder, a line each.
    """

    version: int
    files: tuple[SessionFile, ...]
    removed: tuple[int, ...]
    waiting: int
    done: int
    reading: str | None
    unwatched: tuple[str, ...]


class Session:
    """The files and their queue; may be used from several threads.

    Web requests add, change and remove files. One worker takes them, one after the other.

    Attributes
    ----------
    next_options : how the form at the top of the page says that the next recordings are read.
    """

    def __init__(self, next_options: ReadingOptions):
        self.next_options = next_options
        self._changed = threading.Condition()
        self._files: dict[int, SessionFile] = {}
        self._waiting: collections.deque[int] = collections.deque()
        self._removed: dict[int, int] = {}  # number -> version
        self._gone: list[str] = []
        self._unwatched: tuple[str, ...] = ()
        self._reading: int | None = None
        self._version = self._last_number = self._done = 0

    def add(self, path: str, options: ReadingOptions, name: str | None = None) -> int:
        """Adds a file to the queue, or an added one again; returns its number.

        Parameters
        ----------
        path : of the file.
        options : how it is read.
        name : of an uploaded file; None: the file is the user's own.
        """
        with self._changed:
            for file in self._files.values():
                if file.path == path:
                    self._enqueue(file)
                    return file.number
            self._last_number += 1
            shown = path if name is None else name
            self._enqueue(SessionFile(self._last_number, path, shown, options, options, name is not None))
            return self._last_number

    def read_again(self, numbers: Iterable[int], options: ReadingOptions) -> None:
        """Puts those files into the queue that are still there, to be read with other options."""
        with self._changed:
            for number in numbers:
                if number in self._files:
                    self._enqueue(dataclasses.replace(self._files[number], options=options))

    def remove(self, number: int) -> SessionFile:
        """Removes a file and returns it; KeyError if it is gone."""
        with self._changed:
            file = self._files.pop(number)
            if number in self._waiting:
                self._waiting.remove(number)
            self._removed[number] = self._next_version()
            self._gone.append(file.path)
            self._changed.notify()
            return file

    def __getitem__(self, number: int) -> SessionFile:
        with self._changed:
            return self._files[number]

    def files(self) -> list[SessionFile]:
        """Returns all files in the order in which they came."""
        with self._changed:
            return list(self._files.values())

    @property
    def version(self) -> int:
        """Grows with each change."""
        with self._changed:
            return self._version

    def changes(self, since: int) -> SessionChanges:
        """Returns what has changed since a version; 0: everything."""
        with self._changed:
            return SessionChanges(
                self._version,
                tuple(file for file in self._files.values() if file.changed > since),
                tuple(number for number, version in self._removed.items() if version > since),
                len(self._waiting),
                self._done,
                self._files[self._reading].name if self._reading in self._files else None,
                self._unwatched,
            )

    def take(self, timeout_s: float) -> SessionFile | None:
        """Takes the next file from the queue, which is then being read; None if none comes and none goes in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._gone, timeout_s)
            if not self._waiting:
                return None
            file = dataclasses.replace(self._files[self._waiting.popleft()], status='reading')
            self._reading = file.number
            self._put(file)
            return file

    def take_gone(self) -> list[str]:
        """Returns the paths of files that were removed since the last call."""
        with self._changed:
            gone, self._gone = self._gone, []
            return gone

    def finish(self, file: SessionFile, outcomes: tuple[Outcome, ...]) -> None:
        """Records what became of the file that was taken; not if it was removed or put into the queue again.

        Without outcomes the file was gone: those that were found before stay, with the options that led to them.
        """
        with self._changed:
            self._reading = None
            self._done += 1
            present = self._files.get(file.number)
            if present is not None and present.status == 'reading':
                if outcomes:
                    present = dataclasses.replace(present, outcomes=outcomes, found_with=present.options)
                else:
                    present = dataclasses.replace(present, options=present.found_with)
                self._put(dataclasses.replace(present, status='done', is_missing=not outcomes))
            if not self._waiting:
                self._done = 0

    def replace_outcomes(self, path: str, outcomes: tuple[Outcome, ...]) -> None:
        """Keeps those outcomes of a file that are still true, where another file now holds one of its cells."""
        with self._changed:
            for file in list(self._files.values()):
                if file.path == path and file.outcomes != outcomes:
                    self._put(dataclasses.replace(file, outcomes=outcomes))

    def options_of(self, path: str) -> ReadingOptions:
        """Returns how a file that has appeared is read: as before if it was moved, else as the next ones are."""
        with self._changed:
            name = os.path.basename(path)
            watched = [file for file in self._files.values() if not file.is_uploaded]
            gone = [file for file in watched if os.path.basename(file.path) == name and not os.path.exists(file.path)]
            return gone[-1].found_with if gone else self.next_options

    def set_unwatched(self, problems: tuple[str, ...]) -> None:
        """Takes what cannot be read in the watched folder, a line each, for the page."""
        with self._changed:
            if problems != self._unwatched:
                self._unwatched = problems
                self._next_version()

    def repeat_or_remove(self, path: str) -> bool:
        """Reads a file again whose outcome is no longer true, as it was read before; removes it if it is gone.

        Returns
        -------
        Whether it will be read again.
        """
        with self._changed:
            for file in list(self._files.values()):
                if file.path == path and os.path.exists(path):
                    self._enqueue(file)
                    return True
                if file.path == path:
                    self.remove(file.number)
            return False

    def _enqueue(self, file: SessionFile) -> None:
        if file.number not in self._waiting:
            self._waiting.append(file.number)
        self._put(dataclasses.replace(file, status='waiting'))
        self._changed.notify()

    def _put(self, file: SessionFile) -> None:
        self._files[file.number] = dataclasses.replace(file, changed=self._next_version())

    def _next_version(self) -> int:
        self._version += 1
        return self._version
