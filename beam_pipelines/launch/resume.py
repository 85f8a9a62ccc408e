"""One build at a time in a data directory on this machine.

Nothing keeps two builds apart that go into the same bucket, or into the same folder from two machines: there is no lock
that both would see. They end in the same bytes if they are of the same recordings and options, and else in a mixture.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def only_build(path: str) -> Iterator[None]:
    """Holds a lock for as long as the block runs; waits, and says so, while another process holds it.

    The lock goes with its process, however that ends, and its file is removed at the end.

    Parameters
    ----------
    path : a local file that stands for the lock.
    """
    while True:
        file = os.open(path, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f'waiting for another build in {os.path.dirname(path)} to end', file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        # The one that was waited for has removed the file, so a third may hold a lock on another of its name.
        if os.path.exists(path) and os.path.samestat(os.fstat(file), os.stat(path)):
            break
        os.close(file)
    try:
        yield
    finally:
        os.remove(path)
        os.close(file)
