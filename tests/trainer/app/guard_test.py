"""What the running program lets in, and what it answers."""

import http.client
import socket
import time
import urllib.parse
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.slow

FOREIGN = 'http://evil.example'


def ask(url: str, path: str = '', method: str = 'GET', **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    names = {name.replace('_', '-'): value for name, value in headers.items()}
    connection.request(method, urllib.parse.urljoin(parts.path, path), headers=names)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def wait_until(is_so: Callable[[], object]) -> None:
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.1)
    raise AssertionError('it never became so')


def host_of(url: str) -> str:
    return urllib.parse.urlsplit(url).netloc


def test_the_printed_address_opens_the_page(app):
    status, page, headers = ask(app.url)
    assert status == 200 and 'Serotonergic or not' in page
    assert "default-src 'none'" in headers['Content-Security-Policy'] and headers['Cache-Control'] == 'no-store'
    assert headers['Cross-Origin-Opener-Policy'] == 'same-origin'
    status, _, headers = ask(app.url, urllib.parse.urlsplit(app.url).path.rstrip('/'))
    assert (status, headers['Location']) == (307, urllib.parse.urlsplit(app.url).path)


@pytest.mark.parametrize('path', ['/', '/state?since=0', '/wrong/', '/wrong/files', '/app.js'])
def test_without_the_token_nothing_is_shown(app, path):
    status, words, _ = ask(app.url, path)
    assert (status, 'use the address that sero-app has printed' in words) == (403, True)


@pytest.mark.parametrize('host', ['evil.example', 'evil.example:80', '127.0.0.1', '127.0.0.1.evil.example', ''])
def test_a_name_that_another_site_points_here_is_refused(app, host):
    assert ask(app.url, Host=host)[0] == 403


@pytest.mark.parametrize('name', ['localhost', '127.0.0.1'])
def test_names_of_this_machine_are_let_in(app, name):
    host = f'{name}:{host_of(app.url).rpartition(":")[2]}'
    assert ask(app.url, Host=host, Origin=f'http://{host}')[0] == 200


@pytest.mark.parametrize(
    'headers',
    [{'Origin': FOREIGN}, {'Origin': 'null'}, {'Sec_Fetch_Site': 'cross-site'}, {'Sec_Fetch_Site': 'same-site'}],
    ids=str,
)
def test_what_another_site_sends_is_refused_even_with_the_token(app, headers):
    assert ask(app.url, 'files?name=A.npy', 'POST', **headers)[0] == 403
    assert app.uploaded() == []


FOLLOWED = {'Sec_Fetch_Site': 'cross-site', 'Sec_Fetch_Mode': 'navigate', 'Sec_Fetch_Dest': 'document'}


@pytest.mark.parametrize('site', ['cross-site', 'same-site'])
def test_the_printed_address_may_be_a_link_on_another_page(app, site):
    assert ask(app.url, **FOLLOWED | {'Sec_Fetch_Site': site})[0] == 200
    assert ask(app.url, urllib.parse.urlsplit(app.url).path.rstrip('/'), **FOLLOWED)[0] == 307


@pytest.mark.parametrize(
    ('path', 'method', 'changed'),
    [
        ('/wrong/', 'GET', {}),
        ('state?since=0', 'GET', {}),
        ('download/cells.csv', 'GET', {}),
        ('', 'POST', {}),
        ('', 'GET', {'Sec_Fetch_Dest': 'iframe'}),
        ('', 'GET', {'Sec_Fetch_Mode': 'no-cors', 'Sec_Fetch_Dest': 'script'}),
        ('', 'GET', {'Host': 'evil.example'}),
    ],
)
def test_a_link_on_another_page_leads_to_nothing_else(app, path, method, changed):
    assert ask(app.url, path, method, **FOLLOWED | changed)[0] == 403


@pytest.mark.parametrize('number', ['nan', 'inf', '-inf', '1e999', 'many', ''])
def test_a_version_that_is_no_number_is_refused(app, number):
    status, words, _ = ask(app.url, f'state?since={number}')
    assert (status, words) == (400, 'since is missing or no number')


def test_it_listens_on_this_machine_alone(app):
    port = int(host_of(app.url).rpartition(':')[2])
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {'127.0.0.1', '127.0.1.1'}:
        with pytest.raises(OSError):
            socket.create_connection((address, port), timeout=2)


def test_an_upload_that_breaks_off_leaves_nothing(app):
    host, _, port = host_of(app.url).rpartition(':')
    path = urllib.parse.urlsplit(app.url).path
    with socket.create_connection((host, int(port))) as connection:
        head = f'POST {path}files?name=half.npy HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000000\r\n\r\n'
        connection.sendall(head.encode() + bytes(100_000))
        wait_until(app.uploaded)
    wait_until(lambda: not app.uploaded())
    assert ask(app.url, 'state?since=0')[1].count('half.npy') == 0


@pytest.mark.parametrize('path', ['files/99', 'cells/99-0', 'cells/99-0/nwb', 'download/config.json'])
def test_what_is_not_there_is_not_found(app, path):
    assert ask(app.url, path, 'DELETE' if path == 'files/99' else 'GET')[0] == 404


def test_a_download_before_any_verdict_says_so(app):
    status, words, _ = ask(app.url, 'download/cells.csv')
    assert (status, 'There is no verdict yet.' in words) == (422, True)
