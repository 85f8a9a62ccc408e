"""Finds out before the work begins whether an object store can be reached: in seconds, where Beam would try minutes."""

from __future__ import annotations

import errno
import os

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.storage.object_store import store_errors

_SECONDS = 15.0  # for all tries together


def check_access(path: str, pipeline_options: PipelineOptions | None = None) -> None:
    """Does nothing if a path is local, or lies in a bucket whose objects can be listed.

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
    # Here, because only the extra gcp brings them.
    import google.auth
    from apache_beam.io.gcp.gcsio import create_storage_client, parse_gcs_path
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud.storage.retry import DEFAULT_RETRY

    bucket, _ = parse_gcs_path(f'{path.rstrip("/")}/', object_optional=True)
    if 'STORAGE_EMULATOR_HOST' not in os.environ:
        try:
            google.auth.default()
        except DefaultCredentialsError as error:
            # Beam would try again for half a minute and then go on without any.
            hint = 'no Google Cloud credentials; gcloud auth application-default login makes them'
            raise OSError(errno.EACCES, hint, path) from error
    client = create_storage_client(pipeline_options)
    next(
        iter(client.list_blobs(bucket, max_results=1, timeout=_SECONDS, retry=DEFAULT_RETRY.with_timeout(_SECONDS))), 0
    )
