r"""Evaluates a trained ensemble on cells that it has not seen.

    sero-evaluate --workdir runs/synthetic --data_dir data

Side by side with another run, such as one trained on recorded spikes alone:

    sero-evaluate --workdir runs/synthetic --baseline_workdir runs/original --data_dir data

Writes WORKDIR/evaluation/{metrics.json, cells.csv, report.html} and the figures as PNG.
"""

from __future__ import annotations

import pathlib
import sys

from absl import flags

from beam_pipelines.command import run_command
from trainer.start import start_keras


def define_flags() -> None:
    """Defines the command's flags: not at import, so that several commands can be imported side by side."""
    flags.DEFINE_string('workdir', None, 'Folder of the run that sero-train has filled.', required=True)
    flags.DEFINE_string('baseline_workdir', None, 'Folder of a run to compare with.')
    flags.DEFINE_string('data_dir', None, 'TFDS data directory.', required=True)


def main(argv: list[str]) -> int:
    if argv[1:]:
        print(f'sero-evaluate: unexpected argument {argv[1]!r}', file=sys.stderr)
        return 2
    start_keras()
    from trainer.evaluation import EVALUATED_SPLITS, evaluate, write_cells, write_metrics
    from trainer.predictions import ModelError, load_ensemble
    from trainer.report import write_report
    from trainer.stored_dataset import DatasetError
    from trainer.summary import headline_table, is_simulated, trained_on_warnings, unfinished_warnings, verdict_lines

    workdirs = [flags.FLAGS.workdir] + ([flags.FLAGS.baseline_workdir] if flags.FLAGS.baseline_workdir else [])
    folder = pathlib.Path(flags.FLAGS.workdir, 'evaluation')
    try:
        model, *others = [evaluate(load_ensemble(workdir), flags.FLAGS.data_dir) for workdir in workdirs]
        baseline = others[0] if others else None
        folder.mkdir(exist_ok=True)
        write_metrics(str(folder / 'metrics.json'), model, baseline)
        tested = [model.splits[f'{config}/{split}'] for config, split in EVALUATED_SPLITS if split == 'test']
        write_cells(str(folder / 'cells.csv'), [cell for split in tested for cell in split.cells])
        report = write_report(folder, model, baseline)
    except (DatasetError, ModelError, OSError) as error:
        print(f'sero-evaluate: {error}', file=sys.stderr)
        return 1
    print(f'Verdicts on cells of other days, {model.title}:')
    print(verdict_lines(model.splits['non_homogeneous/test'], str(folder / 'cells.csv')))
    print()
    print(headline_table([*others, model]))
    for warning in [*unfinished_warnings([*others, model]), *trained_on_warnings([*others, model])]:
        print(f'WARNING: {warning}')
    if is_simulated([*others, model]):
        print('All of this is of SIMULATED recordings and says nothing about real neurons.')
    print(f'report: {report}')
    return 0


def run() -> None:
    define_flags()
    run_command(__name__)


if __name__ == '__main__':
    run()
