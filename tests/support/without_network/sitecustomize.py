"""Refuses a Python process all connections but those to this machine; Python runs it if its folder is on the path.

What was refused is added to the file that ``SERO_CONNECTIONS`` names. Processes that the process starts are without a
network too.
"""

import os
import socket
import sys

_LOCAL = {'localhost', '127.0.0.1', '::1', '0.0.0.0', '::', '', None, socket.gethostname()}


def _refuse_connections(event: str, arguments: tuple) -> None:
    if event in ('socket.connect', 'socket.sendto'):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in ('socket.getaddrinfo', 'socket.gethostbyname'):
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in _LOCAL:
        with open(os.environ['SERO_CONNECTIONS'], 'a') as file:
            print(event, host, file=file)
        raise ConnectionRefusedError(111, f'this test has no network, not even to {host}')


sys.addaudithook(_refuse_connections)
