"""What the libraries that read recordings do besides reading: whatever they raise, and what they log."""

from __future__ import annotations

import contextlib
import logging
import pathlib
import traceback
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
        As raised within the context; ``rejecting_faults`` rejects the file.
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
def rejecting_faults() -> Iterator[None]:
    """Turns whatever goes wrong with one file into its rejection, so that the other files are read all the same.

    What the readers and their libraries are known to raise is a rejection already. The rest is a fault of this project:
    the detail names the error and where it arose.

    Raises
    ------
    RecordingRejected
        As raised within the context, or with the reason ``unreadable`` or ``failed``.
    """
    try:
        yield
    except RecordingRejected:
        raise
    except MemoryError:
        raise RecordingRejected('unreadable', 'it takes more memory than there is') from None
    except OSError as error:
        raise RecordingRejected('unreadable', error.strerror or str(error)) from error
    except Exception as error:
        raise RecordingRejected('failed', f'{type(error).__name__}: {error} (in {_place(error)})') from error


def _place(error: BaseException) -> str:
    """Returns the file and line of this project where an error arose, or where it called what raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if 'beam_pipelines' in pathlib.PurePath(frame.filename).parts]
    frame = (own or frames)[-1]
    return f'{pathlib.PurePath(frame.filename).name}, line {frame.lineno}'


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
