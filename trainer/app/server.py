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
_PORT_OF_HTTP = 80  # Browsers leave it out.


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
    except (OSError, TypeError) as error:  # A name that cannot be a host's, such as ä..lab, has no right type.
        words = getattr(error, 'strerror', None) or error
        raise UserError(f'--host={host} --port={port}: {words}; choose others') from None


def addresses(host: str, bound: tuple[str, int]) -> list[str]:
    """Returns what a browser may call this server, the first to be shown: host and port of a URL.

    Parameters
    ----------
    host : as the user named it: an address or a name.
    bound : the address and port that it stands for, as the socket knows them.
    """
    address, port = bound
    shown = f'[{host}]' if ':' in host else host
    if is_loopback(host):
        names = list(dict.fromkeys([shown, '127.0.0.1', 'localhost', '[::1]']))
    else:
        names = [socket.gethostname() if ipaddress.ip_address(address).is_unspecified else shown]
    with_port = [f'{name}:{port}' for name in names]
    return names + with_port if port == _PORT_OF_HTTP else with_port


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
