import errno
import http.client
import sys
import types

import pytest
from apache_beam.io.filesystem import BeamIOError

from beam_pipelines.storage.object_store import store_errors


def _raise(error: BaseException) -> None:
    with store_errors('gs://bucket/x'):
        raise error


def _os_error(error: Exception) -> OSError:
    with pytest.raises(OSError) as raised:
        _raise(error)
    assert raised.value.filename and '\n' not in raised.value.strerror
    return raised.value


@pytest.mark.parametrize('error', [TypeError('bug'), AttributeError('bug'), KeyError('bug'), ValueError('bug')])
def test_a_bug_of_ours_passes_as_it_is(error):
    with pytest.raises(type(error)) as raised:
        _raise(error)
    assert raised.value is error


@pytest.mark.parametrize(
    ('error', 'number', 'filename'),
    [
        (PermissionError(errno.EACCES, 'Permission denied', '/tmp/y'), errno.EACCES, '/tmp/y'),
        (ConnectionResetError(errno.ECONNRESET, 'Connection reset'), errno.ECONNRESET, 'gs://bucket/x'),
        (TimeoutError('timed out'), errno.EIO, 'gs://bucket/x'),
        (http.client.IncompleteRead(b'half'), errno.EIO, 'gs://bucket/x'),
        (BeamIOError('Copy failed', {'gs://bucket/x': 404}), errno.ENOENT, 'gs://bucket/x'),
        (BeamIOError('Copy failed', {'gs://bucket/x': 503}), errno.EIO, 'gs://bucket/x'),
    ],
)
def test_an_error_of_the_system_or_of_beam_is_about_the_path(error, number, filename):
    found = _os_error(error)
    assert (found.errno, found.filename, found.__cause__) == (number, filename, error)


@pytest.mark.parametrize(
    ('module', 'error', 'number'),
    [
        ('google.api_core.exceptions', lambda of: of.NotFound('GET https://x/y: no object'), errno.ENOENT),
        ('google.api_core.exceptions', lambda of: of.Forbidden('not for you'), errno.EACCES),
        ('google.api_core.exceptions', lambda of: of.RetryError('late', of.ServiceUnavailable('busy')), errno.EIO),
        ('google.auth.exceptions', lambda of: of.RefreshError('expired'), errno.EIO),
        ('requests.exceptions', lambda of: of.ConnectionError('refused'), errno.EIO),
        ('urllib3.exceptions', lambda of: of.ProtocolError('broken\noff'), errno.EIO),
        ('apache_beam.io.aws.clients.s3.messages', lambda of: of.S3ClientError('no bucket', 404), errno.ENOENT),
    ],
)
def test_an_error_of_a_client_is_about_the_path(module, error, number):
    found = _os_error(error(pytest.importorskip(module)))
    assert (found.errno, found.filename) == (number, 'gs://bucket/x')
    assert 'https://' not in found.strerror


def test_a_client_that_is_not_installed_is_not_imported(monkeypatch):
    for name in [name for name in sys.modules if name.partition('.')[0] == 'botocore']:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(KeyError):
        _raise(KeyError('bug'))
    assert 'botocore.exceptions' not in sys.modules


def test_a_client_whose_error_has_another_name_is_passed_over(monkeypatch):
    monkeypatch.setitem(sys.modules, 'hdfs.util', types.ModuleType('hdfs.util'))
    with pytest.raises(KeyError):
        _raise(KeyError('bug'))
