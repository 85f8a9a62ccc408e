"""What the clients of object stores raise, told apart: what passes, what does not, and what is no fault of a store."""

from __future__ import annotations

import asyncio
import errno
import sys

_ADVICE = {
    'gs': 'gcloud auth application-default login makes credentials',
    's3': 'aws configure makes credentials, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
}

# The base classes of the clients' errors, by module: those of a connection, and all others.
_CONNECTION_ERRORS = {
    'aiohttp': ('ClientError',),
    'botocore.exceptions': ('ConnectionError', 'HTTPClientError'),
    'google.auth.exceptions': ('TransportError',),
    'requests.exceptions': ('RequestException',),
    'urllib3.exceptions': ('HTTPError',),
}
_OTHER_ERRORS = {
    'botocore.exceptions': ('BotoCoreError', 'ClientError'),
    'gcsfs.retry': ('HttpError', 'ChecksumError'),
    'google.auth.exceptions': ('GoogleAuthError',),
}
# How s3fs reports that the store is too busy or has an error of its own.
_PASSING_NUMBERS = {errno.EBUSY, errno.ETIMEDOUT, getattr(errno, 'EREMOTEIO', errno.EBUSY)}
_PASSING_STATUSES = {408, 429}


def is_of_store(error: Exception) -> bool:
    """Whether a client of a store has raised an error, and not a bug."""
    return isinstance(error, (OSError, asyncio.TimeoutError, *_imported(_CONNECTION_ERRORS), *_imported(_OTHER_ERRORS)))


def is_passing(error: Exception) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return False
    status = _status(error)
    if status is not None:
        return status in _PASSING_STATUSES or status >= 500
    if isinstance(error, (ConnectionError, TimeoutError, asyncio.TimeoutError, *_imported(_CONNECTION_ERRORS))):
        return True
    return isinstance(error, OSError) and error.errno in _PASSING_NUMBERS


def words_of(error: Exception, scheme: str) -> str:
    """Returns what went wrong, in one line, with what to do where credentials are missing."""
    said = ' '.join(str(error).split()) or type(error).__name__
    lacks_credentials = _status(error) == 401 or type(error).__name__ in ('NoCredentialsError', 'RefreshError')
    return f'{said}; {_ADVICE[scheme]}' if lacks_credentials else said


def _status(error: BaseException) -> int | None:
    """Returns the HTTP status that a store has answered; None if there was no answer."""
    code = getattr(error, 'code', None)
    if code is not None and str(code).isdigit():
        return int(code)
    answer = getattr(error, 'response', None) or getattr(error.__cause__, 'response', None)
    return answer.get('ResponseMetadata', {}).get('HTTPStatusCode') if isinstance(answer, dict) else None


def _imported(names: dict[str, tuple[str, ...]]) -> tuple[type[Exception], ...]:
    """Returns the classes of imported modules; the other modules cannot have raised anything."""
    found = (getattr(sys.modules.get(module), name, None) for module, of_module in names.items() for name in of_module)
    return tuple(filter(None, found))
