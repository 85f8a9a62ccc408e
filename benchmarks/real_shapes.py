r"""How well real spike shapes of known types are told apart, beside a nearest centroid on the shapes without noise.

    make real PAIR=E,FS+SOM REAL=juxtacellular

ends with

    python -m benchmarks.real_shapes --recordings real/E-FS+SOM/recordings --workdir real/E-FS+SOM/run

The recordings are those of ``sero-simulate --waveforms``, and the workdir holds ``sero-evaluate --cross_validate=day``
on them: every cell is judged by an ensemble that has seen neither the cell nor its day. The nearest centroid has the
easier task: it sees each cell's mean spike without noise, and is fitted on all other cells. The last line is one JSON
object.
"""

from __future__ import annotations

import csv
import json
import os

import numpy as np
from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.domain import LABEL_NAMES
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.sources import REAL_SHAPES

_DIVISION = 'original/cross_validation_day'


def define_flags() -> None:
    flags.DEFINE_string('recordings', None, 'Recordings root of sero-simulate --waveforms.', required=True)
    flags.DEFINE_string('workdir', None, 'Folder of sero-evaluate --cross_validate=day.', required=True)


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    truth_path = os.path.join(flags.FLAGS.recordings, REAL_SHAPES.root_file)
    folder = os.path.join(flags.FLAGS.workdir, 'cross_validation', 'day')
    truth = json.loads(_read(truth_path))
    verdicts = {row['cell']: row for row in csv.DictReader(_read(os.path.join(folder, 'cells.csv')).splitlines())}
    cell_metrics = json.loads(_read(os.path.join(folder, 'metrics.json')))[_DIVISION]['cell']
    cells = [cell for cell in truth['recordings'] if cell['cell'] in verdicts]
    if len(cells) < len(verdicts):
        raise UserError('the cross-validation is of other recordings', file=truth_path)
    result = _compare(cells, verdicts) | {
        'ece': cell_metrics['ece'],
        'ece_interval': [cell_metrics['ece_low'], cell_metrics['ece_high']],
        'accuracy_interval': [cell_metrics['accuracy_low'], cell_metrics['accuracy_high']],
        'not_evaluated': len(truth['recordings']) - len(cells),
    }
    print(_table(result, truth['types_of_label']))
    print(json.dumps(result))
    return 0


def _compare(cells: list[dict], verdicts: dict[str, dict]) -> dict:
    """Counts cells by type: how many there are, are right, are decided, and of these are right."""
    waveform = np.array([cell['waveform'] for cell in cells])
    label = np.array([LABEL_NAMES.index(cell['label']) for cell in cells])
    by_centroid = nearest_centroid_left_out(waveform, label) == label
    counts: dict[str, dict[str, int]] = {}
    for cell, is_centroid_right in zip(cells, by_centroid, strict=True):
        row = verdicts[cell['cell']]
        called = LABEL_NAMES[0] if float(row['p_ser']) >= 0.5 else LABEL_NAMES[1]
        of_cell = {
            'cells': 1,
            'right': int(called == cell['label']),
            'decided': int(row['verdict'] in LABEL_NAMES),
            'decided_right': int(row['verdict'] == cell['label']),
            'nearest_centroid_right': int(is_centroid_right),
        }
        for name in ('all', cell['type']):
            before = counts.setdefault(name, dict.fromkeys(of_cell, 0))
            counts[name] = {key: before[key] + value for key, value in of_cell.items()}
    return {'types': counts}


def nearest_centroid_left_out(waveform: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Returns the class of the nearest mean waveform for each cell, from the means of all other cells.

    Parameters
    ----------
    waveform : (n, m) float, one per cell.
    label : (n,) int, 0 or 1.

    Returns
    -------
    (n,) int
    """
    called = np.empty_like(label)
    for cell in range(len(label)):
        others = np.arange(len(label)) != cell
        centroids = [waveform[others & (label == of)].mean(axis=0) for of in (0, 1)]
        called[cell] = np.argmin([np.sum((waveform[cell] - centroid) ** 2) for centroid in centroids])
    return called


def _table(result: dict, types_of_label: dict[str, list[str]]) -> str:
    played = ', '.join(f'{" and ".join(types)} in place of {name}' for name, types in types_of_label.items())
    header = ('type', 'cells', 'right', 'decided', 'right of these', 'nearest centroid, no noise')
    lines = ['| ' + ' | '.join(header) + ' |', '| --- ' * len(header) + '|']
    for name in ('all', *(name for types in types_of_label.values() for name in types)):
        count = result['types'][name]
        shares = (
            count['right'] / count['cells'],
            count['decided'] / count['cells'],
            count['decided_right'] / count['decided'] if count['decided'] else None,
            count['nearest_centroid_right'] / count['cells'],
        )
        texts = ['-' if share is None else f'{share:.3f}' for share in shares]
        lines.append('| ' + ' | '.join([name, str(count['cells']), *texts]) + ' |')
    accuracy, ece = ('{:.3f} to {:.3f}'.format(*result[name]) for name in ('accuracy_interval', 'ece_interval'))
    return '\n'.join(
        [
            f'These are {REAL_SHAPES.recordings}: {played}. They are not raphe neurons.',
            *lines,
            f'all cells right: 95 % interval {accuracy}; ECE {result["ece"]:.3f} ({ece})',
        ]
    )


def _read(path: str) -> str:
    try:
        with open(path, encoding='utf-8', newline='') as file:
            return file.read()
    except OSError as error:
        raise UserError(f'cannot be read: {error.strerror}', file=path) from None


def run() -> None:
    define_flags()
    run_command('python -m benchmarks.real_shapes', __name__)


if __name__ == '__main__':
    run()
