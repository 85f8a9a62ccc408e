"""A disk that takes nothing more."""

import contextlib
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def full_disk(most_bytes: int = 0) -> Iterator[None]:
    """Lets no file grow, or none beyond a size, by the operating system itself."""
    resource = pytest.importorskip('resource')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
