import json
import subprocess
import sys

import pytest

from tests.support.places import ROOT


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, '-m', 'benchmarks.rig_filter', *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


@pytest.mark.slow
def test_each_run_is_a_row_that_accounts_for_every_cell(synthetic_run, recordings_root):
    workdir = synthetic_run[0]
    result = run(f'--recordings={recordings_root}', f'--workdir=one={workdir}', f'--workdir=two={workdir}', '--cells=4')
    assert result.returncode == 0, result.stderr
    _, _, *rows, last = result.stdout.splitlines()
    assert [row.split(' | ')[0] for row in rows] == ['| one', '| two']
    summary = json.loads(last)
    assert summary['runs']['one'] == summary['runs']['two']
    of_run, cells = summary['runs']['one'], summary['cells']['one']
    assert of_run['cells'] == len(cells) == 4
    assert of_run['rejected'] + sum('right' in cell for cell in cells) == 4
    assert {cell['label'] for cell in cells if 'label' in cell} == {'SER', 'NSER'}


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        ('--workdir=run', "--workdir 'run': expected NAME=FOLDER, each name once"),
        ('--cutoffs_hz=6000,2500', '--cutoffs_hz 6000,2500: expected two frequencies in Hz below 20000'),
    ],
)
def test_mistake_in_a_flag_is_one_line(tmp_path, argument, message):
    result = run(f'--recordings={tmp_path}', '--workdir=one=nowhere', argument)
    assert result.returncode == 2
    assert message in result.stderr
    assert 'Traceback' not in result.stderr
