"""Sees what a reader must never do: write or read outside of its folder, start a program, connect, unpickle."""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile

_NEVER = (
    *('pickle.find_class', 'subprocess.Popen', 'os.system', 'os.exec', 'os.posix_spawn', 'os.fork'),
    *('socket.connect', 'socket.getaddrinfo', 'socket.bind'),
)
_CHANGES = ('os.remove', 'os.rename', 'os.mkdir', 'os.rmdir', 'os.link', 'os.symlink', 'os.truncate', 'os.chmod')
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """Notes what happens while it is watching.

    Files of the operating system and of the libraries are read by imports at any time, so reading is noted only beside
    the folder and of devices without end. What compiled libraries open is not seen.

    Parameters
    ----------
    folder : the only one in which files may be written; its parent is for ``outside``.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder = os.path.realpath(folder)
        self._parent = os.path.dirname(self._folder)
        self.watching = False
        self.trespasses: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple) -> None:
        if not self.watching:
            return
        if event in _NEVER:
            self.trespasses.append(f'{event} {arguments!r:.200}')
        elif event == 'open' and isinstance(arguments[0], (str, bytes)):
            path, _, how = arguments
            is_beside = self._is_within(path, self._parent) or os.fsdecode(path) == '/dev/zero'
            writes = (how or 0) & _WRITES
            if (is_beside or writes) and not self._is_own(path):
                self.trespasses.append(f'open {path!r}')
        elif event in _CHANGES and isinstance(arguments[0], str) and not self._is_own(arguments[0]):
            self.trespasses.append(f'{event} {arguments[0]!r}')

    def _is_own(self, path: str | bytes) -> bool:
        """Whether a path is in the folder, or a temporary file of TensorFlow, which may have no name."""
        temporary, name = os.path.split(os.fsdecode(path))
        is_generated = temporary == tempfile.gettempdir() and name.startswith('__autograph_generated_file')
        return self._is_within(path, self._folder) or is_generated or os.fsdecode(path) == tempfile.gettempdir()

    def _is_within(self, path: str | bytes, folder: str) -> bool:
        real = os.path.normpath(os.path.join(self._folder, os.fsdecode(path)))
        return real == folder or real.startswith(folder + os.sep)
