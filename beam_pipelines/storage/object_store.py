"""Object stores: checks access, and turns their errors into an ``OSError`` with the path and one line."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import re
import sys
from collections.abc import Iterator

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

_ERRNO_OF_STATUS = {401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT}
_REQUEST = re.compile(r'^[A-Z]+ https?://\S+: ')  # Google's errors start with it

# The base classes of the clients' errors, besides OSError, which those of Beam and requests derive from.
_CLIENT_ERRORS = {
    'google.api_core.exceptions': ('GoogleAPIError',),
    'google.auth.exceptions': ('GoogleAuthError',),
    'google.resumable_media.common': ('InvalidResponse', 'DataCorruption'),
    'google.cloud.storage.exceptions': ('InvalidResponse', 'DataCorruption'),
    'urllib3.exceptions': ('HTTPError',),
    'httplib2.error': ('HttpLib2Error',),
    'apache_beam.io.aws.clients.s3.messages': ('S3ClientError',),
    'botocore.exceptions': ('BotoCoreError', 'ClientError'),
    'azure.core.exceptions': ('AzureError',),
    'hdfs.util': ('HdfsError',),
}

_SECONDS_TO_ANSWER = 15.0  # for all attempts together


@contextlib.contextmanager
def store_errors(path: str) -> Iterator[None]:
    """Turns what a store's client raises in the block into an ``OSError`` about ``path``.

    The clients share no error class. Any other exception is a bug and passes unchanged.
    """
    try:
        yield
    except _client_errors() as error:  # evaluated only if something is raised
        raise _as_os_error(error, path) from error


def check_access(path: str, pipeline_options: PipelineOptions | None = None) -> None:
    """Checks in seconds whether an object store can be reached; Beam would retry for minutes.

    Does nothing if the path is local, or in a bucket whose objects can be listed.

    Parameters
    ----------
    path : any path.
    pipeline_options : Beam's own options, which may name whose credentials to use.

    Raises
    ------
    OSError
        If its file system is not installed or unknown, there are no credentials, or the bucket does not answer.
    """
    scheme = FileSystems.get_scheme(path)
    if scheme is None:
        return
    try:
        FileSystems.get_filesystem(path)
    except ValueError:
        missing = "needs pip install 'sero-spikes[gcp]'" if scheme == 'gs' else 'Beam knows no such file system here'
        raise OSError(errno.EPROTONOSUPPORT, f'{scheme}:// {missing}', path) from None
    if scheme == 'gs':
        with store_errors(path):
            _list_one(path, pipeline_options or PipelineOptions([]))


def _list_one(path: str, pipeline_options: PipelineOptions) -> None:
    # Imported here because only the extra gcp installs them.
    import google.auth
    from apache_beam.io.gcp.gcsio import create_storage_client, parse_gcs_path
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud.storage.retry import DEFAULT_RETRY

    try:
        bucket, _ = parse_gcs_path(f'{path.rstrip("/")}/', object_optional=True)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), path) from None
    if 'STORAGE_EMULATOR_HOST' not in os.environ:
        try:
            google.auth.default()
        except DefaultCredentialsError as error:
            # Beam would retry for half a minute and then continue without credentials.
            hint = 'no Google Cloud credentials; gcloud auth application-default login makes them'
            raise OSError(errno.EACCES, hint, path) from error
    client = create_storage_client(pipeline_options)
    retry = DEFAULT_RETRY.with_timeout(_SECONDS_TO_ANSWER)
    blobs = client.list_blobs(bucket, max_results=1, timeout=_SECONDS_TO_ANSWER, retry=retry)
    next(iter(blobs), None)


def _client_errors() -> tuple[type[Exception], ...]:
    """Returns the error classes of the imported clients; the others cannot have raised anything."""
    of_clients = (
        getattr(sys.modules[module], name, None)
        for module, names in _CLIENT_ERRORS.items()
        if module in sys.modules
        for name in names
    )
    return (OSError, http.client.HTTPException, *filter(None, of_clients))


def _as_os_error(error: Exception, path: str) -> OSError:
    cause = _innermost(error)
    if isinstance(cause, OSError) and cause.strerror:
        return OSError(cause.errno, cause.strerror, cause.filename or path)
    status, text = _status_and_text(cause)
    number = errno.EIO if status is None else _ERRNO_OF_STATUS.get(status, errno.EIO)
    text = _REQUEST.sub('', ' '.join(text.split()))
    return OSError(number, text or type(cause).__name__, path)


def _status_and_text(cause: object) -> tuple[int | None, str]:
    """Returns the HTTP status, if there was a response, and the client's text about it."""
    if isinstance(cause, int):  # All that Beam's batch requests give.
        return cause, f'HTTP status {cause}'
    code = getattr(cause, 'code', None)
    if isinstance(code, int):
        return code, getattr(cause, 'message', None) or str(cause)
    answered = getattr(getattr(cause, 'response', None), 'status_code', None)
    return answered, f'HTTP status {answered}' if answered else str(cause)


def _innermost(error: object) -> object:
    """Returns the error that a ``BeamIOError`` or a ``RetryError`` wraps."""
    details = getattr(error, 'exception_details', None)
    if details:
        return _innermost(next(iter(details.values())))
    cause = getattr(error, 'cause', None)
    return _innermost(cause) if cause else error
