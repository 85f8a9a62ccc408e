r"""Evaluates a trained ensemble on cells that it has not seen.

    sero-evaluate --workdir runs/synthetic --data_dir data

Side by side with another run, such as one trained on recorded spikes alone:

    sero-evaluate --workdir runs/synthetic --baseline_workdir runs/original --data_dir data

The authors' own models, all ModConvBinNormN{k}.keras or ModConvBinNormN{k}-v{chunk}.keras of a folder:

    sero-evaluate --models authors --data_dir data --output_dir authors_evaluation

Writes metrics.json, cells.csv, report.html and the figures as PNG into WORKDIR/evaluation, or where --output_dir says.

Cross-validation over the original recordings, which trains an ensemble for each recording day that it leaves out; the
days can be dealt out to fewer, larger folds:

    sero-evaluate --cross_validate=day --folds=5 --config trainer/configs/demo.py --data_dir data --workdir runs/days

The same with the published division, random by spike, to see how much it flatters:

    sero-evaluate --cross_validate=spike --config trainer/configs/demo.py --data_dir data --workdir runs/days

Both write metrics.json and cells.csv into WORKDIR/cross_validation/day or spike; started again, they go on with the
folds that are missing.
"""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.errors import UsageError, UserError
from trainer.backend import start_keras
from trainer.config import define_config_flag, parse_flags, read_config

if TYPE_CHECKING:
    from ml_collections import FrozenConfigDict

    from trainer.evaluation.calibration import Calibration


def define_flags() -> None:
    """Defines the command's flags: not at import, so that several commands can be imported side by side."""
    flags.DEFINE_string('workdir', None, 'Folder of the run that sero-train has filled.')
    flags.DEFINE_string('models', None, "Folder with the authors' models, in place of --workdir.")
    flags.DEFINE_string('baseline_workdir', None, 'Folder of a run to compare with.')
    flags.DEFINE_string('data_dir', None, 'TFDS data directory.', required=True)
    flags.DEFINE_string('output_dir', None, 'Folder to write to; by default `evaluation` in that of the models.')
    flags.DEFINE_enum(
        'cross_validate',
        None,
        ['day', 'spike'],
        'Train and test anew, leaving out each recording day, or with a random division by spike as published.',
    )
    flags.DEFINE_integer('folds', None, 'Deal the days out to so many folds; by default each day is one.')
    define_config_flag()
    flags.declare_key_flag('config')  # so that --help has it
    flags.mark_flags_as_mutual_exclusive(['workdir', 'models'], required=True)


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    _check_flags(flags.FLAGS)
    config = read_config()
    start_keras()
    if config:
        return _cross_validate(config)
    from trainer.evaluation.evaluator import EVALUATED_SPLITS, evaluate, write_cells, write_metrics
    from trainer.models.trained import load_ensemble, load_published_ensemble
    from trainer.reports.evaluation_report import write_report
    from trainer.reports.terminal import (
        calibration_line,
        difference_line,
        headline_table,
        is_simulated,
        trained_on_warnings,
        unfinished_warnings,
        verdict_lines,
    )

    values = flags.FLAGS
    folder = pathlib.Path(values.output_dir or os.path.join(values.models or values.workdir, 'evaluation'))
    ensembles = [load_published_ensemble(values.models) if values.models else load_ensemble(values.workdir)]
    if values.baseline_workdir:
        ensembles.append(load_ensemble(values.baseline_workdir))
    _check_can_be_written(folder)
    model, *others = [
        evaluate(ensemble, values.data_dir, _calibration_of(workdir))
        for ensemble, workdir in zip(ensembles, [values.workdir, values.baseline_workdir], strict=False)
    ]
    baseline = others[0] if others else None
    folder.mkdir(parents=True, exist_ok=True)
    write_metrics(str(folder / 'metrics.json'), model, baseline)
    tested = [model.splits[f'{config}/{split}'] for config, split in EVALUATED_SPLITS if split == 'test']
    write_cells(str(folder / 'cells.csv'), [cell for split in tested for cell in split.cells])
    report = write_report(folder, model, baseline)
    if values.models:
        print("authors' models: " + ', '.join(file['file'] for file in model.info['files'].values()))
    print(f'Verdicts on cells of other days, {model.title}:')
    print(verdict_lines(model.splits['non_homogeneous/test'], str(folder / 'cells.csv')))
    print()
    print(headline_table([*others, model]))
    if baseline:
        print(difference_line(model, baseline))
    for warning in [*unfinished_warnings([*others, model]), *trained_on_warnings([*others, model])]:
        print(f'WARNING: {warning}')
    for result in (*others, model):
        print(calibration_line(result))
    if is_simulated([*others, model]):
        print('All of this is of SIMULATED recordings and says nothing about real neurons.')
    print(f'report: {report}')
    return 0


def _check_flags(values: flags.FlagValues) -> None:
    """Raises UsageError if flags do not go together."""
    if values.cross_validate is None:
        for name in ('config', 'folds'):
            if values[name].value is not None:
                raise UsageError(f'--{name} goes with --cross_validate')
        return
    for name in ('models', 'baseline_workdir', 'output_dir'):
        if values[name].value is not None:
            raise UsageError(f'--{name} does not go with --cross_validate')
    if values.folds is not None and values.cross_validate == 'spike':
        raise UsageError('--folds goes with --cross_validate=day')
    if values.config is None:
        raise UsageError('--cross_validate takes a --config')


def _cross_validate(config: FrozenConfigDict) -> int:
    from trainer.cross_validation.cross_validate import DIVISIONS, cross_validate, read_headline, write_result
    from trainer.reports.terminal import division_table

    values = flags.FLAGS
    result, folder = cross_validate(config, values.data_dir, values.workdir, values.cross_validate, values.folds)
    write_result(folder, result, config)
    found = {division: read_headline(values.workdir, division) for division in DIVISIONS}
    print(division_table({division: metrics for division, metrics in found.items() if metrics}))
    if result.source == 'simulated':
        print('All of this is of SIMULATED recordings and says nothing about real neurons.')
    print(f'cells: {os.path.join(folder, "cells.csv")}')
    return 0


def _calibration_of(workdir: str | None) -> Calibration | None:
    """Returns the calibration of a run, or None if it left none: interrupted, by an earlier version, not a run."""
    from trainer.evaluation import calibration

    return calibration.load(workdir) if workdir and calibration.is_written(workdir) else None


def _check_can_be_written(folder: pathlib.Path) -> None:
    """Raises UserError before minutes of work rather than after them, and makes no folder yet."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise UserError('cannot be written; give another --output_dir', file=folder)


def run() -> None:
    define_flags()
    run_command('sero-evaluate', __name__, parse_flags)


if __name__ == '__main__':
    run()
