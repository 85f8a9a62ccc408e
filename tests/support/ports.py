"""Network ports."""

import contextlib
import socket


def free_ports(count: int) -> list[int]:
    """Returns ports of this machine that nobody listens at."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(('', 0))
        return [one.getsockname()[1] for one in sockets]
