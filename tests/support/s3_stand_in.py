"""A stand-in for S3 on this machine: moto's server in this process, which can be told to fail."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

_CREDENTIALS = {'AWS_ACCESS_KEY_ID': 'nobody', 'AWS_SECRET_ACCESS_KEY': 'nothing', 'AWS_DEFAULT_REGION': 'us-east-1'}


class StandIn:
    """The server.

    Attributes
    ----------
    environment : with which clients find it.
    answer : called before each request with its method and path; what it returns is answered in place of the store, as
        a status such as ``503 Slow Down``.
    """

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}
        self.answer: Callable[[str, str], str | None] = lambda method, path: None
        self._store = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict, start_response: Callable) -> object:
        if status := self.answer(environ['REQUEST_METHOD'], environ['PATH_INFO']):
            start_response(status, [('Content-Length', '0')])
            return [b'']
        return self._store(environ, start_response)


class _QuietHandler(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def running() -> Iterator[StandIn]:
    """Runs the stand-in, with no bucket in it."""
    stand_in = StandIn()
    server = make_server('127.0.0.1', 0, stand_in, threaded=True, request_handler=_QuietHandler)
    stand_in.environment = {'AWS_ENDPOINT_URL': f'http://127.0.0.1:{server.port}', **_CREDENTIALS}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()


def make_bucket(environment: dict[str, str]) -> str:
    """Makes a bucket with a new name and returns its URL."""
    from botocore.session import Session

    name = f'bucket-{uuid.uuid4().hex}'
    client = Session().create_client(
        's3',
        region_name=environment['AWS_DEFAULT_REGION'],
        endpoint_url=environment['AWS_ENDPOINT_URL'],
        aws_access_key_id=environment['AWS_ACCESS_KEY_ID'],
        aws_secret_access_key=environment['AWS_SECRET_ACCESS_KEY'],
    )
    client.create_bucket(Bucket=name)
    return f's3://{name}'
