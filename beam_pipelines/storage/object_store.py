"""What goes wrong between here and an object store, as ``OSError`` with the path and one line."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator

_ERRNO_OF_STATUS = {401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT}
_REQUEST = re.compile(r'^[A-Z]+ https?://\S+: ')  # Google's errors begin with it


@contextlib.contextmanager
def store_errors(path: str) -> Iterator[None]:
    """Turns whatever a store's client raises in the block into an ``OSError`` about ``path``.

    The clients have no common class of errors: Google's are neither ``OSError`` nor, all of them, of one base.
    """
    try:
        yield
    except Exception as error:
        raise _as_os_error(error, path) from error


def _as_os_error(error: Exception, path: str) -> OSError:
    cause = _innermost(error)
    if isinstance(cause, OSError) and cause.strerror:
        return OSError(cause.errno, cause.strerror, cause.filename or path)
    status, text = _status_and_text(cause)
    number = _ERRNO_OF_STATUS.get(status, errno.EIO)
    text = _REQUEST.sub('', ' '.join(text.split()))
    return OSError(number, text or type(cause).__name__, path)


def _status_and_text(cause: object) -> tuple[int | None, str]:
    """Returns the HTTP status, if there was an answer, and what a client has made of it."""
    if isinstance(cause, int):  # Beam's batch requests give nothing else.
        return cause, f'HTTP status {cause}'
    if isinstance(getattr(cause, 'code', None), int):
        return cause.code, getattr(cause, 'message', None) or str(cause)
    answered = getattr(getattr(cause, 'response', None), 'status_code', None)
    return answered, f'HTTP status {answered}' if answered else str(cause)


def _innermost(error: object) -> object:
    """Returns what a ``BeamIOError`` or a ``RetryError`` is about."""
    details = getattr(error, 'exception_details', None)
    if details:
        return _innermost(next(iter(details.values())))
    return _innermost(error.cause) if getattr(error, 'cause', None) else error
