r"""How many cells are called right on days whose amplifier had a slower filter: one row for each trained run.

    python -m benchmarks.rig_filter --recordings R --workdir none=W_none --workdir all=W_all
    python -m benchmarks.rig_filter --recordings R --workdir all=W_all --noise_pa=3 --cutoffs_hz=2500,6000

The cells of other days (``non_homogeneous``) in a recordings root are recorded once more: each day gets the 4-pole
Bessel filter of an amplifier, of a cut-off drawn from --cutoffs_hz, and with --noise_pa more noise before the filter.
Every recording is written as an .abf file and classified as ``sero-classify`` would, by each of the runs:

    rejected        no verdict, because no spike was found
    right           share of the other cells whose likelier class is the true one, undecided cells included
    decided         share of them that got a verdict, and the share of those that are right

Recordings of the simulator are SIMULATED. The last line is one JSON object.
"""

from __future__ import annotations

import json
import pathlib
import tempfile

import msgspec
import numpy as np
from absl import flags
from scipy import signal

from beam_pipelines import domain
from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.errors import UsageError, UserError

_COLUMNS = ('run', 'cells', 'rejected', 'right', '95 % interval', 'decided', 'right of these')
_LINE_BAND_HZ = (11_500.0, 15_200.0)


def define_flags() -> None:
    flags.DEFINE_string('recordings', None, 'Recordings root, such as sero-simulate writes.', required=True)
    flags.DEFINE_multi_string('workdir', None, 'NAME=FOLDER of a finished run of sero-train; may be repeated.')
    flags.DEFINE_list('cutoffs_hz', ['2500', '6000'], 'Slowest and fastest filter of a day, in Hz; 0,0 is none.')
    flags.DEFINE_float('noise_pa', 0.0, 'Standard deviation of the added noise, in pA.', lower_bound=0.0)
    flags.DEFINE_integer('cells', 0, 'How many cells to judge; 0 is all.', lower_bound=0)
    flags.DEFINE_integer('seed', 0, 'Seed of the filters and the noise.', lower_bound=0)


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    workdirs, cutoffs_hz = _workdirs(), _cutoffs_hz()
    from trainer import classify

    classifiers = {name: classify.load(folder) for name, folder in workdirs.items()}
    outcomes: dict[str, list[dict]] = {name: [] for name in classifiers}
    with tempfile.TemporaryDirectory() as folder:
        for label, cell_id, path in _find_recordings():
            slower = pathlib.Path(folder, f'{cell_id}.abf')
            _record_again(path, slower, domain.recording_day(cell_id), cutoffs_hz)
            for name, classifier in classifiers.items():
                outcomes[name].append({'cell': cell_id} | _judge(classifier, slower, cell_id, label))
            slower.unlink()
    print('| ' + ' | '.join(_COLUMNS) + ' |\n' + '| --- ' * len(_COLUMNS) + '|')
    results = {name: _summary(cells) for name, cells in outcomes.items()}
    for name, result in results.items():
        print(_row(name, result))
    print(json.dumps({'cutoffs_hz': cutoffs_hz, 'noise_pa': flags.FLAGS.noise_pa, 'runs': results, 'cells': outcomes}))
    return 0


def _workdirs() -> dict[str, str]:
    workdirs = {}
    for named in flags.FLAGS.workdir or ():
        name, is_named, folder = named.partition('=')
        if not is_named or not name or not folder or name in workdirs:
            raise UsageError(f'--workdir {named!r}: expected NAME=FOLDER, each name once')
        workdirs[name] = folder
    if not workdirs:
        raise UsageError('--workdir is missing; give at least one NAME=FOLDER')
    return workdirs


def _cutoffs_hz() -> tuple[float, float]:
    try:
        low, high = map(float, flags.FLAGS.cutoffs_hz)
    except ValueError:
        low, high = 1.0, 0.0
    if not (low == high == 0 or 0 < low <= high < domain.SAMPLING_RATE_HZ / 2):
        raise UsageError(f'--cutoffs_hz {",".join(flags.FLAGS.cutoffs_hz)}: expected two frequencies in Hz below 20000')
    return low, high


def _find_recordings() -> list[tuple[int, str, str]]:
    """Returns label, cell and path of the recordings of other days; the classes in turns, so that some are of both."""
    by_class = [
        [(label, path.stem, str(path)) for path in sorted(pathlib.Path(_root(), 'non_homogeneous', name).glob('*.abf'))]
        for label, name in enumerate(domain.LABEL_NAMES)
    ]
    if not all(by_class):
        raise UserError('expected .abf files in non_homogeneous/SER and non_homogeneous/NSER', file=_root())
    number = {cell: (position, label) for label, cells in enumerate(by_class) for position, cell in enumerate(cells)}
    in_turns = sorted(number, key=lambda cell: number[cell])
    return in_turns[: flags.FLAGS.cells or None]


def _root() -> str:
    return flags.FLAGS.recordings


def _record_again(path: str, slower: pathlib.Path, day: str, cutoffs_hz: tuple[float, float]) -> None:
    """Writes what the rig of a day would have recorded, had its filter been slower and its noise louder."""
    from beam_pipelines.recordings.abf_writer import write_abf
    from beam_pipelines.recordings.formats import read_recordings
    from beam_pipelines.recordings.reading_options import ReadingOptions
    from beam_pipelines.recordings.sources import find_source
    from beam_pipelines.simulation import noise

    recording = next(iter(read_recordings(path, ReadingOptions())))
    of_day = np.random.default_rng([flags.FLAGS.seed, *day.encode()])
    cutoff_hz = np.exp(of_day.uniform(*np.log(cutoffs_hz))) if cutoffs_hz[0] else None
    added = noise.draw_day_noise(_LINE_BAND_HZ, of_day)
    of_cell = np.random.default_rng([flags.FLAGS.seed, *slower.stem.encode()])
    current_pa = np.concatenate(recording.sweeps)
    if flags.FLAGS.noise_pa:
        background_pa = noise.background_pa(added, len(current_pa), of_cell)
        current_pa = current_pa + background_pa * (flags.FLAGS.noise_pa / added.sd_pa)
    if cutoff_hz:
        bessel = signal.bessel(4, cutoff_hz, fs=domain.SAMPLING_RATE_HZ, output='sos', norm='mag')
        current_pa = signal.sosfilt(bessel, current_pa)
    made = find_source([recording.source])
    write_abf(slower, current_pa, domain.SAMPLING_RATE_HZ, made.abf_comment if made else b'')


def _judge(classifier, path: pathlib.Path, cell_id: str, label: int) -> dict:
    """Returns ``rejected`` (a reason), or whether the cell is called ``right`` and has its ``verdict``."""
    from beam_pipelines.recordings.cell_files import RecordingFiles
    from beam_pipelines.recordings.reading_options import ReadingOptions
    from trainer.classify.measured_cell import read_measured_cells

    cutting = msgspec.structs.replace(classifier.info.cutting, polarity='auto')
    files = RecordingFiles('non_homogeneous', label, cell_id, (str(path),))
    ((measured, report),) = read_measured_cells(files, ReadingOptions(cutting=cutting))
    if measured is None:
        return {'rejected': report.rejected[0].reason}
    result = classifier.classify_cell(measured).result
    called = 0 if result.p_ser >= 0.5 else 1
    return {'right': called == label, 'verdict': result.verdict, 'label': domain.LABEL_NAMES[label]}


def _summary(cells: list[dict]) -> dict:
    from trainer.evaluation.metrics import wilson_interval

    judged = [cell for cell in cells if 'right' in cell]
    right = sum(cell['right'] for cell in judged)
    decided = [cell for cell in judged if cell['verdict'] in domain.LABEL_NAMES]
    return {
        'cells': len(cells),
        'rejected': len(cells) - len(judged),
        'accuracy': right / len(judged) if judged else None,
        'interval': wilson_interval(right, len(judged)) if judged else None,
        'coverage': len(decided) / len(judged) if judged else None,
        'decided_accuracy': sum(cell['verdict'] == cell['label'] for cell in decided) / len(decided)
        if decided
        else None,
    }


def _row(name: str, result: dict) -> str:
    shares = [
        '-' if result[key] is None else f'{result[key]:.3f}' for key in ('accuracy', 'coverage', 'decided_accuracy')
    ]
    interval = '{:.3f} to {:.3f}'.format(*result['interval']) if result['interval'] else '-'
    columns = [name, str(result['cells']), str(result['rejected']), shares[0], interval, *shares[1:]]
    return '| ' + ' | '.join(columns) + ' |'


def run() -> None:
    define_flags()
    run_command('python -m benchmarks.rig_filter', __name__)


if __name__ == '__main__':
    run()
