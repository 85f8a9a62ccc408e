r"""Evaluates a trained ensemble on cells that it has not seen.

    sero-evaluate --workdir runs/synthetic --data_dir data

Side by side with another run, such as one trained on recorded spikes alone:

    sero-evaluate --workdir runs/synthetic --baseline_workdir runs/original --data_dir data

The authors' own models, all ModConvBinNormN{k}.keras or ModConvBinNormN{k}-v{chunk}.keras of a folder:

    sero-evaluate --models authors --data_dir data --output_dir authors_evaluation

All folders may be in a bucket, gs:// or s3://; docs/training.md has what that takes.

Writes metrics.json, cells.csv, report.html and the figures as PNG into WORKDIR/evaluation, or where --output_dir says.
Beside the models stand three controls, trained on the cells of original/train: the recording day alone, the noise
before the spikes alone, and shuffled labels. Without a dataset non_homogeneous, the original test cells are judged
alone.

Cross-validation over the original recordings trains an ensemble for each recording day that it leaves out. --folds puts
several days into one fold:

    sero-evaluate --cross_validate=day --folds=5 --config trainer/configs/demo.py --data_dir data --workdir runs/days

The same with the published division, random by spike, to see how optimistic that is:

    sero-evaluate --cross_validate=spike --config trainer/configs/demo.py --data_dir data --workdir runs/days

Both write metrics.json and cells.csv into WORKDIR/cross_validation/day or spike. Run again, they train only the folds
that are missing.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
from typing import TYPE_CHECKING

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command, show
from beam_pipelines.errors import UsageError, UserError
from beam_pipelines.recordings.folder_names import check_folder
from beam_pipelines.recordings.sources import find_source, stamp_column
from trainer.backend import start_keras
from trainer.buckets.folders import (
    cache_of_flags,
    check_data_dir,
    check_urls,
    define_cache_flags,
    folder_to_read,
    part_of_folder,
    results_folder,
)
from trainer.config import define_config_flag, parse_flags, read_config

if TYPE_CHECKING:
    from ml_collections import FrozenConfigDict

    from trainer.evaluation.evaluator import Fits
    from trainer.evaluation.results import ModelResult


def define_flags() -> None:
    """Defines the command's flags; not at import, so that several commands can be imported together."""
    flags.DEFINE_string('workdir', None, 'Folder of a run of sero-train.')
    flags.DEFINE_string('models', None, "Folder with the authors' models, in place of --workdir.")
    flags.DEFINE_string('baseline_workdir', None, 'Folder of a run to compare with.')
    flags.DEFINE_string('data_dir', None, 'TFDS data directory.', required=True)
    flags.DEFINE_string('output_dir', None, 'Folder to write to; by default `evaluation` in the folder of the models.')
    flags.DEFINE_enum(
        'cross_validate',
        None,
        ['day', 'spike'],
        'Cross-validate: leave out each recording day, or divide at random by spike as published.',
    )
    flags.DEFINE_integer('folds', None, 'Number of folds that the days are divided into; by default each day is one.')
    flags.DEFINE_string(
        'day_pattern',
        None,
        'Regular expression whose first group or match in a cell id is the recording day; default: a date in the name.',
    )
    flags.DEFINE_bool(
        'with_firing',
        False,
        'Also give p_ser_with_firing, by the shape and the firing rate and regularity; the verdict stays by the shape.',
    )
    define_config_flag()
    flags.declare_key_flag('config')  # so that --help has it
    define_cache_flags()
    flags.declare_key_flag('cache_dir')
    flags.declare_key_flag('cache_gb')
    flags.mark_flags_as_mutual_exclusive(['workdir', 'models'], required=True)


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    _check_flags(flags.FLAGS)
    config = read_config()
    _check_folders(flags.FLAGS)
    cache = cache_of_flags()
    start_keras()
    with cache:
        return _cross_validate(config) if config else _evaluate(flags.FLAGS)


def _evaluate(values: flags.FlagValues) -> int:
    from trainer.evaluation.evaluator import Fits, evaluate
    from trainer.evaluation.results import name_by_run
    from trainer.models.places import check_not_trained
    from trainer.models.trained import load_ensemble, load_published_ensemble

    named = [values.models or values.workdir, *filter(None, [values.baseline_workdir])]
    output_dir = values.output_dir or os.path.join(named[0], 'evaluation')
    with contextlib.ExitStack() as stack:
        folders = [stack.enter_context(folder_to_read(folder)) for folder in named]
        runs = folders[1:] if values.models else folders
        check_not_trained(*runs)
        ensembles = [load_published_ensemble(folders[0])] if values.models else []
        ensembles += [load_ensemble(folder) for folder in runs]
        output = stack.enter_context(results_folder(output_dir))
        _check_can_be_written(pathlib.Path(output.folder))
        fits = [Fits()] if values.models else []
        fits += [_fits_of(folder, values.with_firing and folder == folders[0]) for folder in runs]
        check_not_trained(*runs)
        results = [
            evaluate(ensemble, values.data_dir, of_run, values.day_pattern)
            for ensemble, of_run in zip(ensembles, fits, strict=True)
        ]
        model, *others = name_by_run(results, named)
        lines = _write(pathlib.Path(output.folder), model, others[0] if others else None, output_dir)
        output.save()
    show(*lines)
    return 0


def _write(folder: pathlib.Path, model: ModelResult, baseline: ModelResult | None, output_dir: str) -> list[str]:
    """Writes the results; returns what is said of them, where the folder is ``output_dir``."""
    from trainer.evaluation.evaluator import EVALUATED_SPLITS
    from trainer.evaluation.outputs import appearing_together, write_cells, write_metrics
    from trainer.reports.evaluation_report import write_report
    from trainer.reports.illustrations import confusion_file
    from trainer.reports.terminal import evaluation_lines

    tested = [(cell, split) for split in model.test_sets for cell in split.cells]
    made_of = stamp_column([split.source, model.info.source] for _, split in tested)
    with appearing_together(folder, {confusion_file(config) for config, _ in EVALUATED_SPLITS}) as partial:
        write_metrics(partial / 'metrics.json', model, baseline)
        further = {'set': [split.name for _, split in tested], **made_of}
        write_cells(partial / 'cells.csv', [cell for cell, _ in tested], further)
        report = write_report(partial, model, baseline).name
    cells = os.path.join(output_dir, 'cells.csv')
    return [*evaluation_lines(model, baseline, cells), f'report: {os.path.join(output_dir, report)}']


def _check_flags(values: flags.FlagValues) -> None:
    """Raises UsageError if flags do not go together."""
    try:
        re.compile(values.day_pattern or '')
    except re.error as error:
        raise UsageError(f'--day_pattern={values.day_pattern}: {error}') from None
    if values.models and values.with_firing:
        raise UsageError("--with_firing goes with --workdir: the authors' models have nothing fitted to the firing")
    if values.cross_validate is None:
        for name in ('config', 'folds'):
            if values[name].value is not None:
                raise UsageError(f'--{name} goes with --cross_validate')
        return
    for name in ('models', 'baseline_workdir', 'output_dir', 'with_firing'):
        if values[name].value not in (None, False):
            raise UsageError(f'--{name} does not go with --cross_validate')
    if values.folds is not None and values.cross_validate == 'spike':
        raise UsageError('--folds goes with --cross_validate=day')
    if values.config is None:
        raise UsageError('--cross_validate takes a --config')


def _check_folders(values: flags.FlagValues) -> None:
    """Raises UserError for a folder that does not exist, before the user waits for TensorFlow."""
    check_urls(values.data_dir, values.workdir, values.models, values.baseline_workdir, values.output_dir)
    check_data_dir(values.data_dir)
    models = [values.models, values.baseline_workdir, None if values.cross_validate else values.workdir]
    for folder in filter(None, models):
        check_folder(folder)


def _cross_validate(config: FrozenConfigDict) -> int:
    from trainer.cross_validation.cross_validate import DIVISIONS, Division, cross_validate, write_result
    from trainer.cross_validation.headline import FOLDER, read_headline
    from trainer.reports.terminal import beside_noise_words, division_table, source_line, training_range_line

    values = flags.FLAGS
    asked = Division(values.cross_validate, values.folds, values.day_pattern)
    with part_of_folder(values.workdir, FOLDER) as run:
        result, folder = cross_validate(config, values.data_dir, run.folder, asked, run.save)
        write_result(folder, result, config)
        run.save()
        found = {division: read_headline(run.folder, division) for division in DIVISIONS}
    print(division_table({division: metrics for division, metrics in found.items() if metrics}))
    print(training_range_line(result.cells))
    print(f'{asked.by}: the ensembles are {beside_noise_words(result.name, result)}')
    if made := find_source([result.source]):
        print(source_line(made))
    print(f'cells: {os.path.join(values.workdir, os.path.relpath(folder, run.folder), "cells.csv")}')
    return 0


def _fits_of(workdir: str, with_firing: bool) -> Fits:
    """Returns what a run has fitted; some is missing if it was interrupted, or is of an early version."""
    from trainer.evaluation import calibration, firing, training_range
    from trainer.evaluation.evaluator import Fits

    return Fits(
        calibration.load(workdir) if calibration.is_written(workdir) else None,
        training_range.load(workdir) if training_range.is_written(workdir) else None,
        firing.load(workdir) if with_firing else None,
    )


def _check_can_be_written(folder: pathlib.Path) -> None:
    """Raises UserError before minutes of work, not after; creates no folder yet."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise UserError('cannot be written; give another --output_dir', file=folder)


def run() -> None:
    define_flags()
    run_command('sero-evaluate', __name__, parse_flags)


if __name__ == '__main__':
    run()
