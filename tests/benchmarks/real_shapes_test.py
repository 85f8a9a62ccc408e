import json
import subprocess
import sys

import numpy as np

from benchmarks.real_shapes import nearest_centroid_left_out
from tests.support.places import ROOT

HEADER = 'cell,verdict,p_ser,p_ser_low,p_ser_high,n_spikes,udi_ms,label,warnings'
CELLS = {
    'R1#E001': ('SER', 'E', [-1.0, 0.2], 'SER', 0.9),
    'R1#E002': ('SER', 'E', [-1.0, 0.3], 'undecided', 0.4),
    'R2#FS003': ('NSER', 'FS', [-1.0, 0.8], 'NSER', 0.1),
    'R2#SOM004': ('NSER', 'SOM', [-1.0, 0.7], 'SER', 0.8),
    'R2#SOM005': ('NSER', 'SOM', [-1.0, 0.1], 'NSER', 0.2),
}


def run(tmp_path, truth: list[dict]) -> subprocess.CompletedProcess:
    content = {'types_of_label': {'SER': ['E'], 'NSER': ['FS', 'SOM']}, 'recordings': truth}
    (tmp_path / 'REAL_SHAPES.json').write_text(json.dumps(content))
    folder = tmp_path / 'run' / 'cross_validation' / 'day'
    folder.mkdir(parents=True)
    rows = [f'{name},{verdict},{p_ser},,,9,,{label},' for name, (label, _, _, verdict, p_ser) in CELLS.items()]
    (folder / 'cells.csv').write_text('\n'.join([HEADER, *rows]) + '\n')
    names = ('ece', 'ece_low', 'ece_high', 'accuracy_low', 'accuracy_high')
    metrics = {'original/cross_validation_day': {'cell': dict.fromkeys(names, 0.25)}}
    (folder / 'metrics.json').write_text(json.dumps(metrics))
    command = [sys.executable, '-m', 'benchmarks.real_shapes', '--recordings', tmp_path, '--workdir', tmp_path / 'run']
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)


def truth_of(names) -> list[dict]:
    return [
        {'cell': name, 'label': CELLS[name][0], 'type': CELLS[name][1], 'waveform': CELLS[name][2]} for name in names
    ]


def test_cells_are_counted_by_type_beside_the_nearest_centroid(tmp_path):
    result = run(tmp_path, truth_of(CELLS))
    assert result.returncode == 0, result.stderr
    assert 'E in place of SER, FS and SOM in place of NSER. They are not raphe neurons.' in result.stdout
    figures = json.loads(result.stdout.splitlines()[-1])
    keys = ('cells', 'right', 'decided', 'decided_right', 'nearest_centroid_right')
    assert {name: tuple(count[key] for key in keys) for name, count in figures['types'].items()} == {
        'all': (5, 3, 4, 3, 4),
        'E': (2, 1, 1, 1, 2),
        'FS': (1, 1, 1, 1, 1),
        'SOM': (2, 1, 2, 1, 1),
    }
    assert '| SOM | 2 | 0.500 | 1.000 | 0.500 | 0.500 |' in result.stdout
    assert figures['ece'] == 0.25


def test_verdicts_on_other_recordings_are_an_error(tmp_path):
    result = run(tmp_path, truth_of(list(CELLS)[1:]))
    assert result.returncode == 1
    assert result.stderr.endswith('REAL_SHAPES.json: the cross-validation is of other recordings\n')


def test_a_centroid_does_not_know_the_cell_that_it_judges():
    # The first cell is closer to its own class only if it is part of that class's mean.
    waveform = np.array([[6.0], [0.0], [10.1], [10.3]])
    assert nearest_centroid_left_out(waveform, np.array([0, 0, 1, 1])).tolist() == [1, 0, 1, 1]
