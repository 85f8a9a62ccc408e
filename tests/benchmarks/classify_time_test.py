"""The benchmark times what it is asked for; how fast anything is, is not asserted."""

import json
import subprocess
import sys

import pytest

from tests.support.commands import error_line
from tests.support.places import ROOT


def _run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, '-m', 'benchmarks.classify_time', *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_both_ways_are_timed(synthetic_run):
    result = _run(f'--model={synthetic_run[0]}', '--recordings=4', '--seconds=5', '--repeats=1')
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout.splitlines()[-1])
    assert measured['recordings'] == 4
    for name in ('one', 'all'):
        for way in ('onnx', 'keras'):
            assert len(measured[name][way]['s']) == 1 and measured[name][way]['median_s'] > 0


def test_a_run_without_the_graph_is_one_line(tmp_path):
    result = _run(f'--model={tmp_path}')
    assert 'holds no consensus.onnx' in error_line(result)
