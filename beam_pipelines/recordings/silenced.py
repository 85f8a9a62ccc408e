"""Keeps the log of a library from a user's screen: it names no file, and a rejection says what is wrong."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def silenced(library: str) -> Iterator[None]:
    """Silences the loggers of a library within the context."""
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
