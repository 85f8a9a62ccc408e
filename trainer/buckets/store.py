"""Objects of ``gs://`` and ``s3://`` buckets, by URL. A store that fails for a while is waited for, with a line."""

from __future__ import annotations

import functools
import importlib
import itertools
import logging
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from beam_pipelines.cli.environment import environment_with
from beam_pipelines.cli.progress_line import ProgressLine
from beam_pipelines.errors import UserError
from beam_pipelines.storage.bounds import MOST_BYTES_OF_SMALL_FILE
from trainer.buckets import store_errors
from trainer.buckets.disk_errors import is_of_disk
from trainer.errors import StoreAway

_Result = TypeVar('_Result')

# By scheme: module, class, the extra that installs them, and arguments. The clients' own attempts are few: they would
# wait for minutes without a word. Of gcsfs the plain class: the other asks Google for each bucket's kind, for which a
# stand-in has no answer.
_CLIENTS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    'gs': ('gcsfs.core', 'GCSFileSystem', 'gcs', {}),
    's3': ('s3fs', 'S3FileSystem', 's3', {'config_kwargs': {'retries': {'max_attempts': 1}}}),
}
_CLIENTS_ATTEMPTS = 2
# They would log with a traceback what becomes one line here, and where they have found credentials.
_LOGGERS = ('gcsfs', 's3fs', 'aiobotocore', 'botocore')

# The longest that a store is waited for, and the longest between two attempts.
_PATIENCE_S = 600.0
_MOST_SECONDS_BETWEEN = 20.0


def is_url(path: str | os.PathLike) -> bool:
    """Whether a path is a URL, and not on this machine."""
    return '://' in os.fspath(path)


def check_url(url: str) -> None:
    """Raises UserError if a URL names no bucket, or none of a store that there is."""
    scheme, _, path = url.partition('://')
    if scheme not in _CLIENTS:
        stores = ', '.join(f'{name}://' for name in _CLIENTS)
        raise UserError(f'there is no store {scheme}://; there are {stores}', file=url)
    if not path.partition('/')[0]:
        raise UserError(f'names no bucket; expected {scheme}://BUCKET/FOLDER', file=url)


def read_object(url: str, most_bytes: int = MOST_BYTES_OF_SMALL_FILE) -> bytes:
    """Returns the content of a small object; FileNotFoundError if there is none, UserError if it is too large."""
    if object_size(url) > most_bytes:
        raise UserError(f'is larger than {most_bytes:,} bytes', file=url)
    return _try(url, lambda client, path: client.cat_file(path))


def object_size(url: str) -> int:
    """Returns an object's size in bytes; FileNotFoundError if there is none."""
    found = _try(url, lambda client, path: client.info(path))
    if found['type'] != 'file':
        raise FileNotFoundError(url)
    return found['size']


def exists(url: str) -> bool:
    """Tells whether there is an object, or one below a folder; UserError if there is no such bucket."""
    try:
        found = _try(url, lambda client, path: client.exists(path))
    except FileNotFoundError:
        found = False
    if not found:
        check_bucket(url)
    return found


def list_objects(folder: str) -> dict[str, int]:
    """Returns the size of each object below a folder, at any depth, by its name there; UserError without a bucket."""
    try:
        found = _try(folder, lambda client, path: client.find(path, detail=True))
    except FileNotFoundError:
        check_bucket(folder)
        return {}
    root = folder.partition('://')[2].rstrip('/') + '/'
    return {
        name.removeprefix(root): status['size']
        for name, status in sorted(found.items())
        if name.startswith(root) and not name.endswith('/')  # how a store's web console shows an empty folder
    }


def download(url: str, path: str) -> None:
    """Copies an object into a local file; FileNotFoundError if there is none."""
    _try(url, lambda client, remote: client.get_file(remote, path))


def upload(path: str, url: str) -> None:
    """Copies a local file into a bucket, where it appears whole or not at all."""
    _try(url, lambda client, remote: client.put_file(path, remote))


def write_object(url: str, content: bytes) -> None:
    """Writes an object, which appears whole or not at all."""
    _try(url, lambda client, path: client.pipe_file(path, content))


def remove_object(url: str) -> None:
    """Removes an object; one that is missing is no error."""
    try:
        _try(url, lambda client, path: client.rm_file(path))
    except FileNotFoundError:
        return


def check_bucket(url: str) -> None:
    """Raises UserError if there is no such bucket, or if it cannot be listed."""
    scheme, _, path = url.partition('://')
    bucket = f'{scheme}://{path.partition("/")[0]}'
    try:
        _try(bucket, lambda client, name: client.ls(name))
    except FileNotFoundError:
        raise UserError('no such bucket', file=bucket) from None


def _try(url: str, act: Callable[[Any, str], _Result]) -> _Result:
    """Calls ``act(client, path)``, again and again while the store fails in a way that may pass.

    Raises
    ------
    FileNotFoundError
        If there is no such object, folder or bucket.
    StoreAway
        If the store has failed for too long.
    UserError
        If the URL is none, the store refuses, or its client is not installed.
    OSError
        If a local file cannot be read or written, see ``disk_errors``.
    """
    check_url(url)
    scheme, _, path = url.partition('://')
    client = _open_client(scheme)
    began, line = time.monotonic(), ProgressLine()
    for attempt in itertools.count():
        try:
            result = act(client, path)
        except FileNotFoundError:
            raise
        except Exception as error:
            if is_of_disk(error) or not store_errors.is_of_store(error):
                raise
            words, waited = store_errors.words_of(error, scheme), time.monotonic() - began
            if not store_errors.is_passing(error):
                raise UserError(words, file=url) from None
            if attempt and waited > _PATIENCE_S:
                line.clear()
                raise StoreAway(f'{words}; the store has failed for {waited:.0f} s', file=url) from None
            line.show(f'{waited:4.0f} s  {url}: {words}; waiting for the store')
            time.sleep(min(2.0**attempt, _MOST_SECONDS_BETWEEN))
        else:
            if attempt:
                line.clear()
            return result
    raise AssertionError('itertools.count has no end')


@functools.cache
def _open_client(scheme: str) -> Any:
    """Returns fsspec's client of a store; UserError if it is not installed."""
    module, name, extra, arguments = _CLIENTS[scheme]
    for logger in _LOGGERS:
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    try:
        with environment_with({'GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT': 'false'}):  # else it imports seconds more
            kind = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition('.')[0]
        raise UserError(f"{scheme}:// needs {missing}: pip install 'sero-spikes[{extra}]'") from None
    client = kind(use_listings_cache=False, skip_instance_cache=True, **arguments)
    client.retries = _CLIENTS_ATTEMPTS
    return client
