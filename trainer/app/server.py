"""Serves the page in a thread beside the worker."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from beam_pipelines.errors import UserError

_SECONDS_TO_END = 5


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens; port 0 takes a free one. UserError if that is not possible."""
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        words = getattr(error, 'strerror', None) or error
        raise UserError(f'--host={host} --port={port}: {words}; choose others') from None


def addresses(host: str, port: int) -> list[str]:
    """Returns what a browser may call this server, the first to be shown: host and port of a URL."""
    shown = f'[{host}]' if ':' in host else host
    if is_loopback(host):
        return list(dict.fromkeys(f'{name}:{port}' for name in (shown, '127.0.0.1', 'localhost', '[::1]')))
    is_any = ipaddress.ip_address(host).is_unspecified if host[0].isdigit() or ':' in host else False
    return [f'{socket.gethostname() if is_any else shown}:{port}']


@contextlib.contextmanager
def serving(app: ASGIApp, listening: socket.socket) -> Iterator[None]:
    """Serves an application while the block runs."""
    config = uvicorn.Config(
        app,
        loop='asyncio',
        http='h11',
        ws='none',
        lifespan='off',
        log_config=None,
        log_level='error',
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_SECONDS_TO_END,
    )
    server = uvicorn.Server(config)
    # Outside the main thread it leaves the signals alone.
    thread = threading.Thread(target=server.run, args=([listening],), name='web server', daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(2 * _SECONDS_TO_END)
