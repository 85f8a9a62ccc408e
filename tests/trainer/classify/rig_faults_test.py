import json
import subprocess
import sys

import pytest

from benchmarks.rigs.faults import FAULTS


@pytest.mark.slow
def test_each_fault_is_a_row_that_accounts_for_every_cell(synthetic_run):
    result = subprocess.run(
        [sys.executable, '-m', 'benchmarks.rig_faults', f'--model={synthetic_run[0]}', '--cells=2', '--seconds=20'],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    header, _, *rows, last = result.stdout.splitlines()
    names = [name.strip() for name in header.strip('|').split('|')]
    cells = [dict(zip(names, map(str.strip, row.strip('|').split('|')), strict=True)) for row in rows]
    assert [row['fault'] for row in cells] == [fault.name for fault in FAULTS]
    outcomes = names[1:-2]
    assert all(sum(int(row[outcome] or 0) for outcome in outcomes) == 2 for row in cells)
    rejected = {row['fault'] for row in cells if row['rejected'] == '2'}
    assert {'nA labelled pA', 'fA labelled pA', 'a voltage, in mV', 'no cell'} <= rejected
    summary = json.loads(last)
    assert summary['least_spikes_found'] >= 0.98
    assert summary['most_spikes_false'] <= 0.02
