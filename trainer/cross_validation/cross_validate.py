"""Cross-validation over the original recordings: each fold trains an ensemble of its own, on other cells than it tests.

WORKDIR/cross_validation/day/      cells.csv, metrics.json, and a file a fold
WORKDIR/cross_validation/spike/    the published division, random by spike, to compare with
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
import time
import zipfile

import numpy as np

from beam_pipelines.datasets import record_layout
from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import staged, write_json, write_text
from beam_pipelines.synthesis.synthesizer import SpikeBank, Synthesizer
from trainer.config_checks import check_config
from trainer.cross_validation.fold_training import recorded_epochs, synthetic_epochs, train_in_memory
from trainer.cross_validation.folds import Fold, fold_by_day, fold_by_spike
from trainer.data.online_batches import open_spike_bank
from trainer.data.shards import read_records
from trainer.data.stored_dataset import StoredSplit, open_split
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.evaluator import calibrate, classify_cells
from trainer.evaluation.metrics import binary_metrics, cell_metrics
from trainer.evaluation.outputs import without_nan, write_cells
from trainer.evaluation.results import CellResult, SplitResult
from trainer.evaluation.verdicts import spike_p_ser
from trainer.models.scoring import SpikeScores, score_spikes

FOLDER = 'cross_validation'
DIVISIONS = ('day', 'spike')

_METRICS_FILE = 'metrics.json'
_SETTINGS_FILE = 'settings.json'


@dataclasses.dataclass(frozen=True)
class RecordedSpikes:
    """All spikes of ``original``, whatever split they are in.

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
    metadata: dict


def cross_validate(
    config: dict, data_dir: str, workdir: str, division: str, folds: int | None
) -> tuple[SplitResult, str]:
    """Cross-validates; folds that an earlier run of the same command has finished are not trained again.

    Parameters
    ----------
    config : the fields of ``trainer/configs/default.py``. Of a synthetic ``train_on`` each fold makes its own spikes,
        of its own training cells and of the noise masks that come from these.
    data_dir : the TFDS data directory.
    workdir : where ``cross_validation/DIVISION`` is made.
    division : ``day``, or ``spike`` for the published one.
    folds : see ``folds.fold_by_day``.

    Returns
    -------
    What was found, and the folder where the folds are.

    Raises
    ------
    UserError
        If a dataset is missing or damaged.
    UserError
        If the recordings cannot be divided so.
    UserError
        If the folder holds a cross-validation of other settings, or a loss is not finite.
    """
    check_config(config)
    spikes = read_recorded_spikes(data_dir)
    synthetic = None if config['train_on'] == 'original' else open_split(data_dir, config['train_on'], 'train')
    if division == 'day':
        made = fold_by_day(spikes.cell, spikes.label, spikes.cell_names, folds, config['seed'])
    else:
        made = fold_by_spike(len(spikes.label), config['seed'])
    folder = os.path.join(workdir, FOLDER, division)
    fingerprints = [split.metadata['fingerprint'] for split in (spikes, synthetic) if split]
    _claim(folder, {'config': config, 'folds': len(made), 'data': fingerprints})
    p_ser, tested, cells = [], [], []
    for number, fold in enumerate(made, start=1):
        path = os.path.join(folder, f'fold-{number:03d}.npz')
        scores, calibration = _load_fold(path, fold) or _run_fold(
            path, fold, spikes, synthetic, config, number, len(made)
        )
        of_fold = SpikeScores(scores, spikes.waveform[fold.test], spikes.label[fold.test], spikes.cell[fold.test])
        cells += classify_cells(of_fold, spikes.trigger[fold.test], spikes.cell_names, calibration)
        p_ser.append(spike_p_ser(scores))
        tested.append(fold.test)
    label = spikes.label[np.concatenate(tested)]
    return _result(division, spikes, np.concatenate(p_ser), label, sorted(cells, key=lambda cell: cell.cell)), folder


def write_result(folder: str, result: SplitResult, config: dict) -> None:
    """Writes ``cells.csv`` and then ``metrics.json``."""
    write_cells(os.path.join(folder, 'cells.csv'), result.cells)
    content = {result.name: result.metrics, 'source': result.source, 'config': config}
    write_json(os.path.join(folder, _METRICS_FILE), without_nan(content), sort_keys=False)


def read_headline(workdir: str, division: str) -> dict | None:
    """Returns ``{'spike': {...}, 'cell': {...}}`` of a cross-validation in a folder, or None if there is none."""
    try:
        with open(os.path.join(workdir, FOLDER, division, _METRICS_FILE), encoding='utf-8') as file:
            return json.load(file)[_split_name(division)]
    except (OSError, ValueError, KeyError):
        return None


def read_recorded_spikes(data_dir: str) -> RecordedSpikes:
    """Reads all spikes of ``original`` and checks every record; UserError if it is missing or damaged."""
    opened = [open_split(data_dir, 'original', split, verify_records=True) for split in ('train', 'validation', 'test')]
    records = read_records(shard for split in opened for shard in split.shards)
    label, cell, trigger = (record_layout.decode_varints(records[name]) for name in ('label', 'cell', 'trigger'))
    waveform = np.ascontiguousarray(records['waveform'])
    return RecordedSpikes(waveform, label, cell, trigger, opened[0].cell_names, opened[0].metadata)


def _claim(folder: str, settings: dict) -> None:
    """Writes the settings into the folder, or checks that the cross-validation that is there has the same."""
    path = os.path.join(folder, _SETTINGS_FILE)
    text = json.dumps(settings, indent=2, sort_keys=True) + '\n'
    if os.path.exists(path):
        with open(path, encoding='utf-8') as file:
            if file.read() != text:
                raise UserError(f'{folder}: holds a cross-validation of other settings or data; use another --workdir')
        return
    try:
        os.makedirs(folder, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise UserError(f'{folder}: cannot be written: {error.strerror}') from None


def _run_fold(
    path: str, fold: Fold, spikes: RecordedSpikes, synthetic: StoredSplit | None, config: dict, number: int, of: int
) -> tuple[np.ndarray, Calibration]:
    started = time.monotonic()
    train, validation = ((spikes.waveform[rows], spikes.label[rows]) for rows in (fold.train, fold.validation))
    count = config['examples_per_epoch'] // config['batch_size'] * config['batch_size']
    if synthetic:
        train_cells = {spikes.cell_names[cell] for cell in np.unique(spikes.cell[fold.train])}
        epochs = synthetic_epochs(_synthesizer(synthetic, *train, train_cells), count)
    else:
        epochs = recorded_epochs(*train, count, config['seed'])
    ensemble = train_in_memory(config, epochs, validation)
    scores = {
        name: score_spikes(ensemble, spikes.waveform[rows])
        for name, rows in (('validation', fold.validation), ('test', fold.test))
    }
    calibration = calibrate(scores['validation'], spikes.label[fold.validation], spikes.cell[fold.validation])
    with staged(path) as temporary, open(temporary, 'wb') as file:
        np.savez(
            file,
            rows=_digest(fold),
            scores=scores['test'],
            calibration=json.dumps(dataclasses.asdict(calibration)),
        )
    tested = len(np.unique(spikes.cell[fold.test]))
    print(
        f'{number} of {of}: {fold.name}, {tested} cells tested, {len(np.unique(spikes.cell[fold.train]))} trained on,'
        f' {time.monotonic() - started:.0f} s',
        file=sys.stderr,
    )
    return scores['test'], calibration


def _load_fold(path: str, fold: Fold) -> tuple[np.ndarray, Calibration] | None:
    """Returns what an earlier run has found of the fold, or None; a file that cannot be used is made again."""
    try:
        with np.load(path, allow_pickle=False) as content:
            fields = json.loads(str(content['calibration']))
            calibration = Calibration(**fields | {'knots': tuple(map(tuple, fields['knots']))})
            same = str(content['rows']) == _digest(fold)
            return (content['scores'], calibration) if same else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _digest(fold: Fold) -> str:
    rows = np.concatenate([fold.train, [-1], fold.validation, [-1], fold.test]).astype('<i8')
    return hashlib.sha256(rows.tobytes()).hexdigest()


def _synthesizer(synthetic: StoredSplit, waveform: np.ndarray, label: np.ndarray, train_cells: set[str]) -> Synthesizer:
    """Makes the fold's synthetic spikes: of its training cells' spikes, and of the noise of these cells alone."""
    bank = open_spike_bank(synthetic)
    masks_from = synthetic.metadata['synthesis']['masks_from_cells']
    # The masks stand in the order of the dataset's cells.
    from_cell = np.repeat(
        [cell['cell'] for cell in synthetic.metadata['cells']],
        [masks_from.get(cell['cell'], 0) for cell in synthetic.metadata['cells']],
    )
    masks = bank.noise_masks[np.isin(from_cell, list(train_cells))]
    try:
        return Synthesizer(SpikeBank(waveform, label, masks), bank.examples, bank.seed, bank.recipe)
    except ValueError as error:
        raise UserError(f'{synthetic.folder}: {error} (from the cells that are trained on)') from None


def _result(
    division: str, spikes: RecordedSpikes, p_ser: np.ndarray, label: np.ndarray, cells: list[CellResult]
) -> SplitResult:
    rule = 'as sero-evaluate has it; each fold has its own calibration, and confidence if on ten or more cells'
    metrics = {
        'spike': binary_metrics(p_ser, label),
        'cell': cell_metrics(cells) | {'undecided_rule': rule},
    }
    return SplitResult(_split_name(division), spikes.metadata['source'], p_ser, label, cells, metrics)


def _split_name(division: str) -> str:
    return f'original/cross_validation_{division}'
