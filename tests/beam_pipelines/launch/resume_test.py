"""Two builds in one data directory do not meet."""

import signal
import subprocess
import sys
import time

from beam_pipelines.launch.resume import only_build

_HOLD = """
import sys, time
from beam_pipelines.launch.resume import only_build
with only_build(sys.argv[1]):
    print('held', flush=True)
    time.sleep(float(sys.argv[2]))
"""


def _hold(path, seconds: float) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, '-c', _HOLD, str(path), str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process


def test_the_second_waits_for_the_first_and_says_so(tmp_path):
    first = _hold(tmp_path / '.lock', 1.0)
    assert first.stdout.readline() == 'held\n'
    second = _hold(tmp_path / '.lock', 0)
    assert second.stderr.readline().startswith('waiting for another build in')
    assert first.poll() is None
    assert second.communicate()[0] == 'held\n'
    assert first.wait() == 0 and second.returncode == 0
    assert not list(tmp_path.iterdir())


def test_a_killed_process_holds_no_lock(tmp_path):
    killed = _hold(tmp_path / '.lock', 60)
    assert killed.stdout.readline() == 'held\n'
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    started = time.monotonic()
    with only_build(str(tmp_path / '.lock')):
        assert time.monotonic() - started < 5
    assert not list(tmp_path.iterdir())
