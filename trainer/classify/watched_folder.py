"""Watches a folder for recordings that an acquisition program has finished writing."""

from __future__ import annotations

import os
import time

from beam_pipelines.recordings.abf_header import check_abf_header
from beam_pipelines.recordings.cell_files import is_ignored
from beam_pipelines.recordings.rejection import RecordingRejected

# Acquisition programs write every second or so while they record.
_STABLE_S = 3.0
# A file whose header promises more than it holds may be of a program that was told to pause. After so long without
# a change it is looked at as it is; if it grows again, so is it again.
_BROKEN_S = 60.0


class WatchedFolder:
    """The ``.abf`` files below a folder, each given out once it is whole, and again when it has changed since.

    Parameters
    ----------
    folder : is looked through at any depth.
    """

    def __init__(self, folder: str):
        self._folder = os.path.abspath(folder)
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}
        self._given: dict[str, tuple[int, int]] = {}

    def poll(self) -> list[str]:
        """Returns the paths of files that are whole and have not been given out as they are now."""
        now = time.monotonic()
        ready = []
        for path, state in self._states().items():
            if self._given.get(path) == state:
                continue
            if path not in self._seen or self._seen[path][0] != state:
                self._seen[path] = (state, now)
                continue
            unchanged_s = now - self._seen[path][1]
            if unchanged_s >= _BROKEN_S or (unchanged_s >= _STABLE_S and _keeps_its_promise(path)):
                self._given[path] = state
                ready.append(path)
        return ready

    def unfinished(self) -> list[str]:
        """Returns the paths of files that are there and have not been given out as they are now."""
        return [path for path, state in self._states().items() if self._given.get(path) != state]

    def _states(self) -> dict[str, tuple[int, int]]:
        """Returns size in bytes and time of the last change, in ns, of each file."""
        states = {}
        for parent, folders, names in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if not name.startswith('.'))
            for name in sorted(names):
                path = os.path.join(parent, name)
                if not name.lower().endswith('.abf') or is_ignored(path):
                    continue
                try:
                    status = os.stat(path)
                except OSError:
                    continue  # it went away while the folder was looked through
                states[path] = (status.st_size, status.st_mtime_ns)
        return states


def _keeps_its_promise(path: str) -> bool:
    """Whether the file holds all that its header promises; a recording in progress has a header that is not final."""
    try:
        check_abf_header(path)
    except (RecordingRejected, OSError):
        return False
    return True
