import json
import subprocess
import sys

from tests.support.places import ROOT


def test_arrays_are_made_and_read():
    command = [sys.executable, '-m', 'benchmarks.reading_throughput', '--array_rows=2000', '--repeats=1']
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)['spikes_per_s'] > 0
