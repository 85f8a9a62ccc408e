"""The line that shows the progress of a command."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TextIO

from beam_pipelines.cli.words import printable

_SECONDS_BETWEEN_UPDATES = 0.5
_SECONDS_BETWEEN_LINES = 10.0  # in a file, where a line cannot rewrite itself


class ProgressLine:
    """A line that rewrites itself on a terminal and in a notebook; in a file, a new line now and then.

    Parameters
    ----------
    output : where to write; standard error by default.

    Attributes
    ----------
    rewrites : whether the line rewrites itself.
    """

    def __init__(self, output: TextIO | None = None):
        self._output = output or sys.stderr
        self.rewrites = self._output.isatty() or _is_of_notebook(self._output)
        self.seconds_between = _SECONDS_BETWEEN_UPDATES if self.rewrites else _SECONDS_BETWEEN_LINES
        self._shown_at = time.monotonic()
        self._shown = ''

    def is_due(self) -> bool:
        """Whether it is time for a new line; for callers whose text is expensive to make."""
        return time.monotonic() - self._shown_at >= self.seconds_between

    def show(self, text: str) -> None:
        """Shows a text in place of the previous one."""
        text = printable(text)
        self._shown_at = time.monotonic()
        if self.rewrites:
            # Spaces, because older consoles of Windows do not know the code that clears a line.
            self._write(f'\r{text.ljust(len(self._shown))}')
            self._shown = text
        else:
            self._write(f'{text}\n')

    def show_passing(self, text: str) -> None:
        """Shows what is being done, for who looks on; in a file it would be in nobody's interest."""
        if self.rewrites:
            self.show(text)

    @contextlib.contextmanager
    def passing(self, text: str) -> Iterator[None]:
        """Shows a passing text while the block runs."""
        self.show_passing(text)
        try:
            yield
        finally:  # an error has a line of its own
            self.clear()

    def keep(self, text: str) -> None:
        """Shows a text that stays; the next one starts on a new line."""
        self.show(text)
        if self.rewrites:
            self._write('\n')
            self._shown = ''

    def clear(self) -> None:
        """Leaves the terminal as if there had been no line."""
        if self.rewrites:
            self._write(f'\r{" " * len(self._shown)}\r')
            self._shown = ''

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # A log that is full or no longer read does not end the work.
            self._output.write(text)
            self._output.flush()


def _is_of_notebook(output: TextIO) -> bool:
    """Whether a kernel of Jupyter shows the output below a cell, where a carriage return works as on a terminal."""
    iostream = sys.modules.get('ipykernel.iostream')
    return iostream is not None and isinstance(output, iostream.OutStream)
