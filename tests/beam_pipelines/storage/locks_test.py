"""Two builds in one data directory do not meet."""

import signal
import subprocess
import sys
import time

from beam_pipelines.storage.locks import locked

_HOLD = """
import sys
from beam_pipelines.storage.locks import locked
with locked(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.readline()
"""


def _hold(path) -> subprocess.Popen:
    """Starts a process that holds the lock until a line comes."""
    process = subprocess.Popen(
        [sys.executable, '-c', _HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process


def test_the_second_waits_for_the_first_and_says_so(tmp_path):
    first = _hold(tmp_path / '.lock')
    assert first.stdout.readline() == 'held\n'
    second = _hold(tmp_path / '.lock')
    assert second.stderr.readline().startswith('waiting for another build in')
    assert first.poll() is None
    first.communicate('\n')
    assert second.communicate('\n')[0] == 'held\n'
    assert first.returncode == 0 and second.returncode == 0
    assert not list(tmp_path.iterdir())


def test_a_killed_process_holds_no_lock(tmp_path):
    killed = _hold(tmp_path / '.lock')
    assert killed.stdout.readline() == 'held\n'
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    started = time.monotonic()
    with locked(str(tmp_path / '.lock')):
        assert time.monotonic() - started < 5
    assert not list(tmp_path.iterdir())
