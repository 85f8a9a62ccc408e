"""The benchmark runs and says what it measured; how fast anything is, is not asserted."""

import json
import subprocess
import sys

import pytest

from tests.support.places import ROOT


@pytest.mark.slow
def test_every_way_is_measured_and_the_last_line_is_json(tmp_path):
    result = subprocess.run(
        [
            sys.executable, '-m', 'benchmarks.build_throughput', '--examples=2000', '--larger=3000',
            '--repeats=1',
            f'--folder={tmp_path}', f'--figure={tmp_path / "rates.png"}',
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout.splitlines()[-1])
    ways = {'sero', 'tfds_beam', 'beam_tfrecord', 'tf_writer', 'bare_write'}
    assert summary['examples'] == 2000
    assert set(summary['rates']) == {*ways, 'sero at 3,000', 'bare_write at 3,000'}
    assert min(summary['rates'].values()) > 0
    peers = ways - {'sero'}
    assert set(summary['ratios']) == peers | {f'{way} at 3,000' for way in peers}
    assert (tmp_path / 'rates.png').read_bytes().startswith(b'\x89PNG')
    assert [path.name for path in tmp_path.iterdir()] == ['rates.png']
