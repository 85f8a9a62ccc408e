"""Cross-validation over the original recordings: each fold trains an ensemble of its own, on other cells than it tests.

WORKDIR/cross_validation/day/      cells.csv, metrics.json, and one file per fold
WORKDIR/cross_validation/spike/    the published division, random by spike, to compare with
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from ml_collections import FrozenConfigDict

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.metadata import DatasetMetadata
from beam_pipelines.errors import UserError
from beam_pipelines.recordings.sources import stamp_column
from beam_pipelines.storage.arrays import read_npz
from beam_pipelines.storage.atomic_files import file_named, remove_left_behind, staged, write_json, write_text
from beam_pipelines.storage.locks import written_by_one
from beam_pipelines.synthesis.synthesizer import SpikeBank, Synthesizer
from trainer.cross_validation.fold_training import Spikes, recorded_epochs, synthetic_epochs, train_in_memory
from trainer.cross_validation.folds import Fold, fold_by_day, fold_by_spike
from trainer.cross_validation.headline import FOLDER, METRICS_FILE, name_result
from trainer.data.online_batches import open_spike_bank
from trainer.data.shards import read_records
from trainer.data.stored_dataset import noticing_replacement, open_split
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.controls import DescribedCells, call_cells, compare_with_noise, describe_cells, score_folds
from trainer.evaluation.evaluator import Fits, HeldOutCells, calibrate, classify_cells
from trainer.evaluation.metrics import binary_metrics, cell_metrics
from trainer.evaluation.outputs import appearing_together, controls_of, without_nan, write_cells
from trainer.evaluation.results import CellResult, SplitResult
from trainer.evaluation.stored_warnings import Comparison
from trainer.evaluation.training_range import measure_range
from trainer.evaluation.verdicts import spike_p_ser
from trainer.models.scoring import SpikeScores, score_spikes
from trainer.training.held_out_days import days_of_cells

DIVISIONS = ('day', 'spike')

_SETTINGS_FILE = 'settings.json'


@dataclasses.dataclass(frozen=True)
class RecordedSpikes:
    """All spikes of ``original``, from all splits.

    Attributes
    ----------
    waveform : (n, 160) float32, pA.
    label, cell, trigger : (n,) int64.
    cell_names : what ``cell`` indexes.
    metadata : of the dataset.
    """

    waveform: np.ndarray
    label: np.ndarray
    cell: np.ndarray
    trigger: np.ndarray
    cell_names: tuple[str, ...]
    metadata: DatasetMetadata


@dataclasses.dataclass(frozen=True)
class Division:
    """How the recorded spikes are divided.

    Attributes
    ----------
    by : ``day``, or ``spike`` for the published division.
    folds : how many groups the days are divided into; None: each day is a fold.
    day_pattern : see ``domain.recording_day``.
    """

    by: str
    folds: int | None = None
    day_pattern: str | None = None


@dataclasses.dataclass(frozen=True)
class _SyntheticDataset:
    """What a synthetic dataset is, and what it was made from: folds are made after it may have been replaced."""

    folder: str
    metadata: DatasetMetadata
    bank: Synthesizer


@dataclasses.dataclass(frozen=True)
class _CrossValidation:
    """What all folds of a cross-validation share.

    ``synthetic`` is None where recorded spikes are trained on, ``day`` where the division is by spike.
    """

    config: FrozenConfigDict
    spikes: RecordedSpikes
    synthetic: _SyntheticDataset | None
    folds: list[Fold]
    folder: str
    day: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class _FoldScores:
    """The scores by a fold's own networks: (n, m, 2) of the spikes that it tests, and of those that it validates on."""

    test: np.ndarray
    validation: np.ndarray


def cross_validate(
    config: FrozenConfigDict, data_dir: str, workdir: str, division: Division, saved: Callable[[], None] = lambda: None
) -> tuple[SplitResult, str]:
    """Cross-validates; folds that an earlier run of the same command has finished are not trained again.

    Parameters
    ----------
    config : from ``trainer.config.check_config``. With a synthetic ``train_on`` each fold makes its own spikes, from
        the spikes and noise masks of its own training cells.
    data_dir : the TFDS data directory.
    workdir : where ``cross_validation/DIVISION`` is created.
    division : how the cells or spikes are divided.
    saved : called after each fold that is trained.

    Returns
    -------
    The result, and the folder of the folds.

    Raises
    ------
    UserError
        If a dataset is missing or damaged, the recordings cannot be divided so, the folder holds a cross-validation of
        other settings, or a loss is not finite.
    """
    with noticing_replacement(data_dir, {'original', config.train_on}, 'give the command again'):
        spikes = read_recorded_spikes(data_dir)
        synthetic = None if config.train_on == 'original' else open_synthetic(data_dir, config.train_on)
    day = None
    if division.by == 'day':
        advice = (
            'so cells of one day may be on two sides of a fold; give --day_pattern, a regular expression for the day'
        )
        day_of = days_of_cells(spikes.cell_names, division.day_pattern, f'{advice} in a cell id')
        made = fold_by_day(spikes.cell, spikes.label, day_of, division.folds, config.seed)
        day = np.unique(list(day_of.values()), return_inverse=True)[1]
    else:
        made = fold_by_spike(len(spikes.label), config.seed)
    folder = os.path.join(workdir, FOLDER, division.by)
    fingerprints = [split.metadata.fingerprint for split in (spikes, synthetic) if split]
    job = _CrossValidation(config, spikes, synthetic, made, folder, day)
    with written_by_one(folder, 'wait for it, or use another --workdir'):
        _reserve(folder, {'config': config.to_dict(), 'folds': len(made), 'data': fingerprints})
        scores = [_score_fold(job, number, saved) for number in range(1, len(made) + 1)]
    cells: list[CellResult] = []
    tested: list[DescribedCells] = []
    by_controls: list[dict[str, np.ndarray]] = []
    for number, fold in enumerate(made):
        rows = fold.test
        of_fold = SpikeScores(scores[number].test, spikes.waveform[rows], spikes.label[rows], spikes.cell[rows])
        comparison = _comparison(spikes, fold, is_by_spike=division.by == 'spike')
        calibration = _calibrate_fold(job, scores, number)
        cells += classify_cells(of_fold, spikes.trigger[rows], spikes.cell_names, Fits(calibration), comparison)
        tested.append(_described(spikes, rows))
        by_controls.append(call_cells(_described(spikes, fold.train), tested[-1], division.day_pattern))
    p_ser = np.concatenate([spike_p_ser(of_fold.test) for of_fold in scores])
    result = _result(division.by, job, p_ser, cells)
    return dataclasses.replace(result, controls=score_folds(by_controls, tested)), folder


def _calibrate_fold(job: _CrossValidation, scores: Sequence[_FoldScores], number: int) -> Calibration:
    """Fits the calibration of a fold's verdicts on the cells of other folds, each tested by its own fold's networks.

    These are many more cells than a fold's validation cells. None of their networks had seen their days, but they were
    trained on the cells that are tested here. Source: Vovk 2015, Cross-conformal predictors. A division by spike has
    one fold and is calibrated on its validation spikes, of cells that were trained on.
    """
    spikes = job.spikes
    if job.day is None:
        rows = job.folds[number].validation
        return calibrate(scores[number].validation, spikes.label[rows], spikes.cell[rows])
    others = [other for other in range(len(job.folds)) if other != number]
    rows = np.concatenate([job.folds[other].test for other in others])
    of_others = np.concatenate([scores[other].test for other in others])
    unseen = np.zeros((of_others.shape[1], len(spikes.cell_names)), bool)
    return calibrate(of_others, spikes.label[rows], spikes.cell[rows], HeldOutCells(unseen, job.day))


def write_result(folder: str, result: SplitResult, config: FrozenConfigDict) -> None:
    """Writes ``cells.csv`` and ``metrics.json``, which appear together."""
    content = {
        result.name: result.metrics,
        'controls': {result.name: controls_of(result)},
        'beside_noise_alone': {result.name: compare_with_noise(result.cells, result.controls['noise_alone'])},
        'source': result.source,
        'config': config.to_dict(),
    }
    with appearing_together(folder) as partial:
        further = {'set': [result.name] * len(result.cells)} | stamp_column([[result.source]] * len(result.cells))
        write_cells(partial / 'cells.csv', result.cells, further)
        write_json(partial / METRICS_FILE, without_nan(content), sort_keys=False)


def read_recorded_spikes(data_dir: str) -> RecordedSpikes:
    """Reads all spikes of ``original`` and checks every record; UserError if it is missing or damaged."""
    opened = [open_split(data_dir, 'original', split, verify_records=True) for split in ('train', 'validation', 'test')]
    records = read_records(shard for split in opened for shard in split.shards)
    label, cell, trigger = (record_layout.decode_varints(records[name]) for name in ('label', 'cell', 'trigger'))
    waveform = np.ascontiguousarray(records['waveform'])
    return RecordedSpikes(waveform, label, cell, trigger, opened[0].cell_names, opened[0].metadata)


def open_synthetic(data_dir: str, config_name: str) -> _SyntheticDataset:
    """Reads what a synthetic dataset was made from; UserError if anything of it is missing or damaged."""
    split = open_split(data_dir, config_name, 'train')
    return _SyntheticDataset(split.folder, split.metadata, open_spike_bank(split))


def _described(spikes: RecordedSpikes, rows: np.ndarray) -> DescribedCells:
    return describe_cells(spikes.waveform[rows], spikes.label[rows], spikes.cell[rows], spikes.cell_names)


def _comparison(spikes: RecordedSpikes, fold: Fold, is_by_spike: bool) -> Comparison:
    """Returns what the tested cells of a fold are compared with: the cells that it was trained on."""
    cell = spikes.cell[fold.train]
    trained = measure_range(spikes.waveform[fold.train], spikes.label[fold.train], cell, spikes.trigger[fold.train])
    names = {spikes.cell_names[number] for number in np.unique(cell)}
    comparison = Comparison(trained, names, spikes.metadata.cutting)
    return comparison.without_firing_rate() if is_by_spike else comparison


def _reserve(folder: str, settings: dict) -> None:
    """Writes the settings into the folder, or checks that an existing cross-validation has the same."""
    path = os.path.join(folder, _SETTINGS_FILE)
    if os.path.isdir(folder):
        remove_left_behind(folder)
    text = json.dumps(settings, indent=2, sort_keys=True) + '\n'
    if os.path.exists(path):
        with file_named(path), open(path, encoding='utf-8') as file:
            if file.read() != text:
                raise UserError(f'{folder}: holds a cross-validation of other settings or data; use another --workdir')
        return
    try:
        os.makedirs(folder, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise UserError(f'{folder}: cannot be written: {error.strerror}') from None


def _score_fold(job: _CrossValidation, number: int, saved: Callable[[], None]) -> _FoldScores:
    scores = _load_fold(job, number)
    if scores is None:
        scores = _run_fold(job, number)
        saved()
    return scores


def _run_fold(job: _CrossValidation, number: int) -> _FoldScores:
    """Trains and tests a fold and saves the scores."""
    started = time.monotonic()
    fold, spikes = job.folds[number - 1], job.spikes
    ensemble = train_in_memory(
        job.config, _training_epochs(job, fold), (spikes.waveform[fold.validation], spikes.label[fold.validation])
    )
    scores = _FoldScores(*(score_spikes(ensemble, spikes.waveform[rows]) for rows in (fold.test, fold.validation)))
    with staged(_fold_path(job, number)) as temporary, open(temporary, 'wb') as file:
        np.savez(file, rows=_digest(fold), **dataclasses.asdict(scores))
    print(
        f'{number} of {len(job.folds)}: {fold.name}, {len(np.unique(spikes.cell[fold.test]))} cells tested,'
        f' {len(np.unique(spikes.cell[fold.train]))} trained on, {time.monotonic() - started:.0f} s',
        file=sys.stderr,
    )
    return scores


def _load_fold(job: _CrossValidation, number: int) -> _FoldScores | None:
    """Returns the result that an earlier run saved for a fold, or None if there is no usable file."""
    fold = job.folds[number - 1]
    try:
        content = read_npz(_fold_path(job, number), {'rows': 'U', 'test': 'f', 'validation': 'f'})
    except (OSError, UserError):
        return None
    members = len(job.config.kernel_sizes)
    shapes = [(len(rows), members, len(domain.LABEL_NAMES)) for rows in (fold.test, fold.validation)]
    if str(content['rows']) != _digest(fold) or [content['test'].shape, content['validation'].shape] != shapes:
        return None
    return _FoldScores(content['test'], content['validation'])


def _fold_path(job: _CrossValidation, number: int) -> str:
    return os.path.join(job.folder, f'fold-{number:03d}.npz')


def _training_epochs(job: _CrossValidation, fold: Fold) -> Iterator[Spikes]:
    """Yields the training spikes of a fold, epoch by epoch."""
    spikes, config = job.spikes, job.config
    waveform, label = spikes.waveform[fold.train], spikes.label[fold.train]
    count = config.examples_per_epoch // config.batch_size * config.batch_size
    if job.synthetic is None:
        return recorded_epochs(waveform, label, count, config.seed)
    train_cells = {spikes.cell_names[cell] for cell in np.unique(spikes.cell[fold.train])}
    return synthetic_epochs(_synthesizer(job.synthetic, waveform, label, train_cells), count)


def _digest(fold: Fold) -> str:
    rows = np.concatenate([fold.train, [-1], fold.validation, [-1], fold.test]).astype('<i8')
    return hashlib.sha256(rows.tobytes()).hexdigest()


def _synthesizer(
    synthetic: _SyntheticDataset, waveform: np.ndarray, label: np.ndarray, train_cells: set[str]
) -> Synthesizer:
    """Makes the fold's synthetic spikes: from the spikes and noise of its training cells alone."""
    bank = synthetic.bank
    masks_from = synthetic.metadata.synthesis.masks_from_cells if synthetic.metadata.synthesis else {}
    cell_ids = [cell.cell_id for cell in synthetic.metadata.cells]  # the masks are in their order
    from_cell = np.repeat(cell_ids, [masks_from.get(cell_id, 0) for cell_id in cell_ids])
    masks = bank.noise_masks[np.isin(from_cell, list(train_cells))]
    try:
        return Synthesizer(SpikeBank(waveform, label, masks), bank.examples, bank.seed, bank.recipe)
    except ValueError as error:
        raise UserError(f'{synthetic.folder}: {error} (from the cells that are trained on)') from None


def _result(division: str, job: _CrossValidation, p_ser: np.ndarray, cells: Sequence[CellResult]) -> SplitResult:
    """Returns the result over all folds; ``p_ser`` is of the folds' test spikes, one fold after the other."""
    rule = 'as sero-evaluate has it'
    if division == 'day':
        rule += '; the calibration and the confidence of a fold are fitted on the cells of the other folds'
    label = job.spikes.label[np.concatenate([fold.test for fold in job.folds])]
    in_order = sorted(cells, key=lambda cell: cell.cell)
    metrics = {
        'spike': binary_metrics(p_ser, label),
        'cell': cell_metrics(in_order) | {'undecided_rule': rule},
    }
    return SplitResult(name_result(division), job.spikes.metadata.source, p_ser, label, in_order, metrics)
