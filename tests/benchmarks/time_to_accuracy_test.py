import json
import subprocess
import sys

import pytest

from tests.support.places import ROOT

# One member, and an epoch of one batch.
_CONFIG = """
from trainer.configs import default

def get_config():
    config = default.get_config()
    config.train_on = 'original'
    config.kernel_sizes = (20,)
    config.held_out_days = 0
    config.epochs = 1
    config.examples_per_epoch = 64
    return config
"""


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, '-m', 'benchmarks.time_to_accuracy', *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


@pytest.mark.slow
def test_a_config_is_trained_and_judged_on_other_days(recordings_root, tmp_path):
    (tmp_path / 'short.py').write_text(_CONFIG)
    result = run(f'--configs={tmp_path}/short.py', '--seeds=1', f'--recordings={recordings_root}', '--seconds=0')
    assert result.returncode == 0, result.stderr
    _, short, last = result.stdout.splitlines()
    assert short.startswith('short ')
    summary = json.loads(last)
    [measured] = summary['configs']['short']['runs']
    assert summary['configs']['short']['seconds'] == measured['build_s'] + measured['train_s']
    assert 0 <= measured['accuracy'] <= 1 and summary['target'] == 0.97
    assert summary['configs']['short']['reached'] == (measured['accuracy'] >= 0.97)
    assert summary['projected'] == {}


@pytest.mark.parametrize('configs', ['', 'nowhere.py', 'README.md', 'trainer/configs/fast.py,trainer/configs/fast.py'])
def test_what_is_no_config_is_one_line(configs):
    result = run(f'--configs={configs}')
    assert result.returncode == 2
    assert '--configs: ' in result.stderr and 'Traceback' not in result.stderr
