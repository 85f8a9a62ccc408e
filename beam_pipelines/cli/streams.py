"""Standard output and standard error, whatever the caller has made of them: closed, full, in another encoding."""

from __future__ import annotations

import contextlib
import io
import os
import sys

STANDARD_OUTPUT = 'standard output'


def own_standard_streams() -> None:
    """Opens the standard streams that are closed, and lets no character end a command.

    A closed one would be taken by the first file that is opened, and what is printed would go into that file. Consoles
    and files of Windows seldom take all of Unicode: an escape such as ``\\u2014`` keeps names apart, a ``?`` would not.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, this one
    if sys.stdout is None:
        sys.stdout = open(1, 'w', encoding='utf-8', closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, 'w', encoding='utf-8', closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    # Notebooks and tests put streams of their own here.
    if type(sys.stdout) is io.TextIOWrapper and sys.stdout.fileno() == 1:
        sys.stdout.flush()
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_StandardOutput(1, 'w', closefd=False)),
            sys.stdout.encoding,
            'backslashreplace',
            line_buffering=sys.stdout.line_buffering,
            write_through=sys.stdout.write_through,
        )


def discard_standard_output() -> None:
    """Sends what is still to be printed nowhere: Python would try again when it exits, and say that it failed."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    with contextlib.suppress(OSError):
        sys.stdout.flush()


class _StandardOutput(io.FileIO):
    """Standard output; an error that it raises says so, as that of any other file does."""

    def write(self, data):  # type: ignore[no-untyped-def]
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from None
