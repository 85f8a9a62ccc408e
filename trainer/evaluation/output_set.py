"""Files of a folder that belong together and are replaced together.

No file system replaces several files in one step. So the new files are first written aside, whole; then the earlier
ones are taken away, and only then the new ones are put there. Whoever finds two of the files at any moment, also after
a power cut, finds two of the same set. What a killed command has begun, the next one ends: files without content mark
how far it was. Folders are not renamed, because buckets that are mounted as folders do not allow it.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator

from beam_pipelines.cli.signals import interrupts_held_back
from beam_pipelines.storage.atomic_files import flush, flush_tree


class OutputSet:
    """The files that a command writes into a folder; one command at a time, see ``locks.written_by_one``.

    Parameters
    ----------
    folder : the folder, which exists.
    command : its name begins the names of the hidden folders.
    earlier : returns the files of the folder that an earlier set may have left, whether or not the new one has them;
        the files of the new one's names are replaced in any case.
    """

    def __init__(self, folder: pathlib.Path, command: str, earlier: Callable[[], Iterable[pathlib.Path]] = tuple):
        self._folder, self._earlier = folder, earlier
        self._partial, self._replaced = (folder / f'.{command}.{kind}' for kind in ('partial', 'replaced'))
        # The new set is complete, and is alone: the earlier one is away.
        self._complete, self._alone = (folder / f'.{command}.{mark}' for mark in ('is_complete', 'is_alone'))
        # Earlier versions of this package had the new set in these folders then, and no marks.
        self._folders_of_earlier = {
            folder / f'.{command}.complete': self._complete,
            folder / f'.{command}.placed': self._alone,
        }

    def prepare(self) -> None:
        """Ends what a killed command has begun; OSError if the folder cannot be written."""
        self._end_interrupted()
        self._partial.mkdir()
        self._partial.rmdir()

    @contextlib.contextmanager
    def replacing(self) -> Iterator[pathlib.Path]:
        """Yields an empty folder; the files that the block leaves there, at any depth, replace the earlier ones.

        If the block raises, or the files cannot be replaced, the folder stays as it was. If the disk does not allow
        even that, both sets stay hidden there, and the next command puts the new one in place.
        """
        self._end_interrupted()
        self._partial.mkdir()
        try:
            yield self._partial
            flush_tree(self._partial)
            with interrupts_held_back():
                self._complete.touch()
                flush(self._folder)
                self._replace()
        except OSError as error:
            # The user knows the file that was to be, and not where it was written first.
            path = pathlib.Path(os.fsdecode(error.filename or ''))
            if path.is_relative_to(self._partial):
                error.filename = str(self._folder / path.relative_to(self._partial))
            elif path in (self._complete, self._alone):
                error.filename = str(self._folder)
            raise
        finally:
            if not (self._complete.exists() or self._alone.exists()):
                self._remove_rest()

    def _end_interrupted(self) -> None:
        """Puts in place what a killed command had completed, and removes what it had not; OSError if that fails."""
        with interrupts_held_back():
            for folder, mark in self._folders_of_earlier.items():
                if folder.exists():
                    mark.touch()
                    shutil.rmtree(self._partial, ignore_errors=True)
                    os.replace(folder, self._partial)
            if self._alone.exists():
                self._put()
            elif self._complete.exists():
                self._replace()
            self._remove_rest()

    def _replace(self) -> None:
        new = [self._folder / path.relative_to(self._partial) for path in _files_in(self._partial)]
        try:
            for path in dict.fromkeys([*self._earlier(), *new]):
                if os.path.lexists(path):
                    self._take_away(path)
            os.replace(self._complete, self._alone)
            self._put()
        except OSError:
            self._put_back(new)
            raise

    def _take_away(self, path: pathlib.Path) -> None:
        target = self._replaced / path.relative_to(self._folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)

    def _put(self) -> None:
        changed = {self._folder}
        for path in _files_in(self._partial):
            target = self._folder / path.relative_to(self._partial)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
            changed.add(target.parent)
        for folder in changed:  # before the earlier outputs are removed
            flush(folder)
        self._remove_marks()

    def _put_back(self, new: Iterable[pathlib.Path]) -> None:
        """Undoes what has been done; if that fails too, the marks stay, by which the next command goes on."""
        with contextlib.suppress(OSError):
            if self._alone.exists():
                for path in new:
                    partial = self._partial / path.relative_to(self._folder)
                    if os.path.lexists(path) and not os.path.lexists(partial):
                        os.replace(path, partial)
                os.replace(self._alone, self._complete)
            for path in _files_in(self._replaced):
                os.replace(path, self._folder / path.relative_to(self._replaced))
            self._remove_marks()

    def _remove_marks(self) -> None:
        for mark in (self._complete, self._alone):
            if mark.exists():
                mark.unlink()
                flush(self._folder)

    def _remove_rest(self) -> None:
        """Removes what a set leaves that has no mark any more: nothing is to be made of what is half removed."""
        folders = {path.parent for path in _files_in(self._replaced)}
        for folder in (self._partial, self._replaced):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in folders - {self._replaced}:
            with contextlib.suppress(OSError):  # It is not empty, or a link to a folder.
                (self._folder / folder.relative_to(self._replaced)).rmdir()


def _files_in(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.rglob('*') if not path.is_dir()) if folder.exists() else []
