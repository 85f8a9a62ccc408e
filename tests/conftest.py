"""Shared by all tests: tiny simulated recordings and a dataset built of them, made once a session; paths of shared/."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SHARED = ROOT.parent / 'shared'

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason='../shared is not here')


def run_command(name: str, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess:
    """Runs one of the console commands as a user would, in a process of its own."""
    command = pathlib.Path(sys.executable).parent / name
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    return subprocess.run(
        [command, *map(str, arguments)], capture_output=True, text=True, timeout=timeout_s, env=environment
    )


def error_line(result: subprocess.CompletedProcess) -> str:
    """Returns the one line that a failed command has written, and fails the test if it is not one line."""
    assert result.returncode in (1, 2), (result.returncode, result.stdout, result.stderr)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]
