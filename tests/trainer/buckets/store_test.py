"""Objects of buckets: against stand-ins for S3 and for Google Cloud Storage."""

import itertools
import subprocess
import sys

import pytest

from beam_pipelines.errors import UserError
from trainer.buckets import store
from trainer.errors import StoreAway

_STORES = [
    pytest.param('bucket', marks=[pytest.mark.gcs, pytest.mark.runs], id='gcs'),
    pytest.param('s3_bucket', id='s3'),
]


@pytest.fixture(params=_STORES)
def any_bucket(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def new_clients():
    """Clients keep the address and the credentials that they started with."""
    store._open_client.cache_clear()
    yield
    store._open_client.cache_clear()


def test_objects_come_back_whatever_their_names(any_bucket, tmp_path):
    folder = f'{any_bucket}/run [1]*?#'
    store.write_object(f'{folder}/a b#1', b'one')
    (tmp_path / 'two').write_bytes(b'two' * 1000)
    store.upload(str(tmp_path / 'two'), f'{folder}/deep/two')
    assert store.read_object(f'{folder}/a b#1') == b'one'
    assert store.list_objects(folder) == store.list_objects(f'{folder}/') == {'a b#1': 3, 'deep/two': 3000}
    assert store.list_objects(f'{folder}/de') == {}
    store.download(f'{folder}/deep/two', str(tmp_path / 'back'))
    assert (tmp_path / 'back').read_bytes() == b'two' * 1000
    assert store.exists(folder) and store.exists(f'{folder}/a b#1') and not store.exists(f'{folder}/a')
    store.remove_object(f'{folder}/a b#1')
    store.remove_object(f'{folder}/a b#1')
    with pytest.raises(FileNotFoundError):
        store.read_object(f'{folder}/a b#1')
    with pytest.raises(UserError, match='deep/two: is larger than 10 bytes'):
        store.read_object(f'{folder}/deep/two', most_bytes=10)


def test_a_bucket_that_does_not_exist_is_one_line(any_bucket):
    scheme = any_bucket.partition('://')[0]
    with pytest.raises(UserError, match=f'^{scheme}://no-such-bucket: no such bucket$'):
        store.exists(f'{scheme}://no-such-bucket/data')


def test_a_store_that_fails_for_a_while_is_waited_for_with_a_line(s3_stand_in, s3_bucket, monkeypatch, capsys):
    store.write_object(f'{s3_bucket}/a', b'1')
    failures = itertools.chain(['503 Slow Down'] * 3, itertools.repeat(None))
    monkeypatch.setattr(s3_stand_in, 'answer', lambda method, path: next(failures))
    assert store.read_object(f'{s3_bucket}/a') == b'1'
    assert f's  {s3_bucket}/a: ' in capsys.readouterr().err


def test_a_store_that_stays_away_is_given_up(s3_stand_in, s3_bucket, monkeypatch, capsys):
    monkeypatch.setattr(s3_stand_in, 'answer', lambda method, path: '503 Slow Down')
    monkeypatch.setattr(store, '_PATIENCE_S', 0.0)
    with pytest.raises(StoreAway, match=rf'^{s3_bucket}/a: .*; the store has failed for \d+ s$'):
        store.read_object(f'{s3_bucket}/a')
    assert 'waiting for the store' in capsys.readouterr().err


@pytest.mark.parametrize('status', ['403 Forbidden', '400 Bad Request'])
def test_a_store_that_refuses_is_not_waited_for(s3_stand_in, s3_bucket, monkeypatch, capsys, status):
    monkeypatch.setattr(s3_stand_in, 'answer', lambda method, path: status)
    with pytest.raises(UserError, match=f'^{s3_bucket}/a: ') as raised:
        store.write_object(f'{s3_bucket}/a', b'1')
    assert '\n' not in str(raised.value) and capsys.readouterr().err == ''


def test_missing_credentials_are_one_line_that_says_what_makes_them(s3_bucket, monkeypatch, tmp_path):
    monkeypatch.delenv('AWS_ACCESS_KEY_ID')
    monkeypatch.setenv('AWS_EC2_METADATA_DISABLED', 'true')
    monkeypatch.setenv('HOME', str(tmp_path))
    with pytest.raises(UserError, match=f'^{s3_bucket}/a: Unable to locate credentials; aws configure makes'):
        store.write_object(f'{s3_bucket}/a', b'1')


@pytest.mark.parametrize('scheme, module, extra', [('gs', 'gcsfs', 'gcs'), ('s3', 's3fs', 's3')])
def test_a_missing_client_is_one_line_that_says_how_to_install_it(monkeypatch, scheme, module, extra):
    for name in [name for name in sys.modules if name.partition('.')[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"^{scheme}:// needs {module}: pip install 'sero-spikes\[{extra}\]'$"):
        store.exists(f'{scheme}://bucket/x')


@pytest.mark.parametrize('url', ['ftp://host/file', 'S3://bucket/file', '://bucket/file'])
def test_an_unknown_store_is_one_line(url):
    scheme = url.partition('://')[0]
    with pytest.raises(UserError, match=f'^{url}: there is no store {scheme}://; there are gs://, s3://$'):
        store.read_object(url)


@pytest.mark.parametrize('url', ['gs://', 's3:///file', 's3://'])
def test_a_url_without_a_bucket_is_one_line(url):
    with pytest.raises(UserError, match=f'^{url}: names no bucket; expected {url[:2]}://BUCKET/FOLDER$'):
        store.read_object(url)


_WRITER = """
import logging, sys
logging.basicConfig(level=logging.INFO)
from trainer.buckets import store
store.write_object(sys.argv[1], b'1')
"""


def test_the_client_says_nothing_of_what_it_does(s3_bucket):
    ended = subprocess.run([sys.executable, '-c', _WRITER, f'{s3_bucket}/a'], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, '')
