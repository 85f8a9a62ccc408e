"""Holds back what libraries and worker processes write to standard error, so that a one-line error stands alone."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO, TextIO


@contextlib.contextmanager
def redirected(target: BinaryIO) -> Iterator[TextIO]:
    """Sends standard error of this process and of those that it starts to a file for as long as the block runs.

    Yields
    ------
    What standard error was, for what the user should see all the same.
    """
    sys.stderr.flush()
    with open(os.dup(2), 'w', encoding='utf-8', errors='backslashreplace') as original:
        os.dup2(target.fileno(), 2)
        try:
            yield original
        finally:
            sys.stderr.flush()
            os.dup2(original.fileno(), 2)
