"""A stand-in for the Hugging Face Hub on this machine, with one model, for the real huggingface_hub of version 2.

Whether the real Hub still answers so it cannot tell.
"""

import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator

from tests.support.quiet_server import QuietServer

_COMMIT = hashlib.sha1(b'the only commit').hexdigest()


class Hub:
    """What the stand-in holds and what it was asked for.

    Attributes
    ----------
    repository : OWNER/NAME of the model.
    files : its files by name.
    sizes : of files of which it says, until they are downloaded, that they are of another size.
    served : names of the files that it has handed out.
    address : of the server.
    """

    def __init__(self, repository: str, files: dict[str, bytes], address: str):
        self.repository, self.files, self.address = repository, files, address
        self.sizes: dict[str, int] = {}
        self.served: list[str] = []

    def listing(self) -> list[dict]:
        return [
            {'type': 'file', 'path': name, 'size': self.sizes.get(name, len(content)), 'oid': _etag(content)}
            for name, content in self.files.items()
        ]


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def _answer(self, with_content: bool) -> None:
        hub: Hub = self.server.hub
        path = self.path.partition('?')[0]
        api, files_at = f'/api/models/{hub.repository}', f'/{hub.repository}/resolve/{_COMMIT}/'
        name = path.removeprefix(files_at)
        if path == f'{api}/revision/main':
            self._send(json.dumps({'id': hub.repository, 'sha': _COMMIT, 'siblings': []}).encode(), True)
        elif path == f'{api}/tree/{_COMMIT}':
            self._send(json.dumps(hub.listing()).encode(), True)
        elif name in hub.files:
            content = hub.files[name]
            length = str(len(content) if with_content else hub.sizes.get(name, len(content)))
            headers = {'X-Repo-Commit': _COMMIT, 'ETag': f'"{_etag(content)}"', 'Content-Length': length}
            hub.served += [name] if with_content else []
            self._send(content, with_content, headers)
        else:
            self._send(b'', True, {'X-Error-Code': 'RepoNotFound'}, status=404)

    def _send(self, content: bytes, with_content: bool, headers: dict | None = None, status: int = 200) -> None:
        self.send_response(status)
        for field, value in ({'Content-Length': str(len(content))} | (headers or {})).items():
            self.send_header(field, value)
        self.end_headers()
        if with_content:
            self.wfile.write(content)


@contextlib.contextmanager
def hub_stand_in(repository: str, files: dict[str, bytes]) -> Iterator[Hub]:
    """Yields a server with one model; HF_ENDPOINT is to name its address."""
    server = QuietServer(('127.0.0.1', 0), _Handler)
    server.hub = hub = Hub(repository, files, f'http://127.0.0.1:{server.server_port}')
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
