"""What the libraries that read recordings do besides reading: whatever they raise, and what they log."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from beam_pipelines.recordings.rejection import RecordingRejected


@contextlib.contextmanager
def library_errors(library: str) -> Iterator[None]:
    """Turns what a library raises about a file into a rejection; a damaged header can make it raise anything.

    Parameters
    ----------
    library : its name, for the detail.

    Raises
    ------
    RecordingRejected
        As raised within the context, or with the reason ``truncated`` or ``unreadable``.
    MemoryError
        As raised within the context.
    """
    try:
        yield
    except (RecordingRejected, MemoryError):
        raise
    except OSError as error:
        raise RecordingRejected('unreadable', error.strerror or str(error)) from error
    except Exception as error:
        if 'mmap length' in str(error):
            raise RecordingRejected('truncated', 'the header promises more samples than the file holds') from None
        raise RecordingRejected('unreadable', f'{library}: {type(error).__name__}: {error}') from error


@contextlib.contextmanager
def silenced(library: str) -> Iterator[None]:
    """Silences a library's loggers within the context: they name no file, and a rejection says what is wrong."""
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
