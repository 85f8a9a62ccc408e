"""The words of rejections in Python: readers name the flags of the command, and Python has arguments."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from beam_pipelines.recordings.rejection import RecordingRejected

_WORDS = {
    '--resample takes': 'resample=True takes',
    'name one with --channel': 'name one with channel=...',
    'name it with --sampling_rate_hz': 'give the current and its rate to classify',
    '--scale=': 'multiplying the current with ',
}


def with_arguments(detail: str) -> str:
    """Returns the detail of a rejection with the arguments of Python in place of flags."""
    for flag, argument in _WORDS.items():
        detail = detail.replace(flag, argument)
    return detail


@contextlib.contextmanager
def naming_arguments() -> Iterator[None]:
    """Names the arguments of ``Classifier.classify`` and ``classify_recording`` in a rejection of the block."""
    try:
        yield
    except RecordingRejected as error:
        raise RecordingRejected(error.reason, with_arguments(error.detail)) from error.__cause__
