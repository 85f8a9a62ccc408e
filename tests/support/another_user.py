"""A user who may not do everything, for tests that root runs."""

import contextlib
import os
from collections.abc import Iterator

import pytest

NOBODY = 65_534
IS_ROOT = hasattr(os, 'setresuid') and os.geteuid() == 0


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Runs the block as an ordinary user: root becomes nobody, and root again afterwards."""
    if not hasattr(os, 'setresuid'):
        pytest.skip('this system has no such users')
    if IS_ROOT:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        if IS_ROOT:
            os.setresuid(0, 0, 0)
