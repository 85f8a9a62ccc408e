"""The console commands, run as a user runs them."""

import os
import pathlib
import subprocess
import sys
import time


def run_command(name: str, *arguments: object, timeout_s: float = 300) -> subprocess.CompletedProcess:
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


def help_of(command: str) -> str:
    """Returns what ``--help`` of a console command shows, and fails the test if it takes 2 s or more.

    The best of three tries counts, because other tests may run beside this one.
    """
    seconds = []
    while not seconds or min(seconds) >= 2 and len(seconds) < 3:
        started = time.monotonic()
        result = run_command(command, '--help')
        seconds.append(time.monotonic() - started)
    assert result.returncode == 0
    assert min(seconds) < 2
    return result.stdout
