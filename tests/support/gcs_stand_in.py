"""A stand-in for Google Cloud Storage on this machine: fake-gcs-server, behind a proxy that adds what it lacks.

The server in front gives out tokens, and gives the parts of batch requests the Content-ID that fake-gcs-server needs
and Google's Python client does not send.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.quiet_server import QuietServer

_TOKEN = {'access_token': 'none', 'expires_in': 3600, 'token_type': 'Bearer'}
_TOKEN_PATH = '/token'

NOT_COPIED = 'not-copied'  # Copying an object of this name fails, except in batches.
_NOT_FORWARDED = {'connection', 'transfer-encoding', 'content-length'}


def find_server() -> str | None:
    """Returns the program, from the path or from where ``.ci/run`` puts it."""
    tools = pathlib.Path(__file__).parents[2] / '.tools' / 'bin'
    return shutil.which('fake-gcs-server') or shutil.which('fake-gcs-server', path=str(tools))


@contextlib.contextmanager
def running(program: str, folder: pathlib.Path) -> Iterator[dict[str, str]]:
    """Runs the stand-in, with no bucket in it; gives the environment with which clients find it.

    Parameters
    ----------
    program : see ``find_server``.
    folder : for a file of credentials, which are worth nothing anywhere else.
    """
    port = _free_port()
    front = QuietServer(('127.0.0.1', 0), _Front)
    front.daemon_threads = True
    front.behind = port
    address = f'127.0.0.1:{front.server_port}'
    command = [program, '-scheme=http', '-backend=memory', '-host=127.0.0.1', f'-port={port}', '-log-level=error']
    server = subprocess.Popen([*command, f'-public-host={address}', f'-external-url=http://{address}'])
    threading.Thread(target=front.serve_forever, daemon=True).start()
    try:
        _wait_for(port)
        folder.mkdir(parents=True, exist_ok=True)
        credentials = folder / 'credentials.json'
        credentials.write_text(json.dumps(_service_account(f'http://{address}{_TOKEN_PATH}')))
        yield {'STORAGE_EMULATOR_HOST': f'http://{address}', 'GOOGLE_APPLICATION_CREDENTIALS': str(credentials)}
    finally:
        front.shutdown()
        front.server_close()
        server.kill()
        server.wait()


def make_bucket(environment: dict[str, str]) -> str:
    """Makes a bucket with a new name and returns its URL."""
    name = f'bucket-{uuid.uuid4().hex}'
    url = f'{environment["STORAGE_EMULATOR_HOST"]}/storage/v1/b?project=stand-in'
    body = json.dumps({'name': name}).encode()
    urllib.request.urlopen(urllib.request.Request(url, body, {'Content-Type': 'application/json'})).close()
    return f'gs://{name}'


def _service_account(token_uri: str) -> dict:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    email = 'nobody@stand-in.invalid'
    return {
        'type': 'service_account', 'project_id': 'stand-in', 'private_key': pem, 'client_email': email,
        'token_uri': token_uri,
    }  # fmt: skip


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def _wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(('127.0.0.1', port)):
            return
        time.sleep(0.05)
    raise TimeoutError('fake-gcs-server does not answer')


class _Front(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        if self.path == _TOKEN_PATH:
            self.rfile.read(int(self.headers.get('Content-Length', 0)))
            self._answer(json.dumps(_TOKEN).encode())
        else:
            self._forward()

    def _forward(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if self.path.startswith('/batch/'):
            body = re.sub(rb'(?m)^Content-Type: application/http\r?$', rb'Content-ID: <part>\n\g<0>', body)
        if f'/{NOT_COPIED}/copyTo/' in urllib.parse.unquote(self.path):
            self._answer(b'{"error": {"message": "not copied"}}', 403)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_FORWARDED}
        behind = http.client.HTTPConnection('127.0.0.1', self.server.behind)
        with contextlib.closing(behind):
            behind.request(self.command, self.path, body, headers)
            response = behind.getresponse()
            content = response.read()
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in _NOT_FORWARDED:
                self.send_header(name, value)
        length = response.getheader('Content-Length') if self.command == 'HEAD' else str(len(content))
        self.send_header('Content-Length', length or '0')
        self.end_headers()
        self.wfile.write(content)

    def _answer(self, body: bytes, status: int = 200):
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_DELETE = do_PATCH = do_HEAD = _forward

    def log_message(self, *_):
        pass
