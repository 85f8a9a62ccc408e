"""Evaluates a trained ensemble on the splits that hold cells of their own: spikes, cells, verdicts."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Sequence

import numpy as np

from beam_pipelines import domain
from beam_pipelines.spikes.waveform_features import measure_udi_ms
from beam_pipelines.storage.atomic_files import write_json, write_text
from trainer.data.stored_dataset import StoredSplit, open_split
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.cell_calibration import calibrate
from trainer.evaluation.metrics import accuracy_difference, binary_metrics, cell_metrics
from trainer.evaluation.results import CellResult, ModelResult, SplitResult
from trainer.evaluation.verdicts import judge_cell, spike_p_ser, undecided_rule
from trainer.models.scoring import SpikeScores, score_split
from trainer.models.trained import TrainedEnsemble

# The headline comes first.
EVALUATED_SPLITS = (('non_homogeneous', 'test'), ('original', 'test'), ('original', 'validation'))

CELLS_COLUMNS = ('cell', 'verdict', 'p_ser', 'p_ser_low', 'p_ser_high', 'n_spikes', 'udi_ms', 'label')


def evaluate(ensemble: TrainedEnsemble, data_dir: str, calibration: Calibration | None = None) -> ModelResult:
    """Evaluates one ensemble.

    Parameters
    ----------
    ensemble : what to evaluate.
    data_dir : the TFDS data directory.
    calibration : of the ensemble; None: one is fitted on the cells of ``original/validation``.

    Raises
    ------
    UserError
        If a dataset is missing or damaged.
    """
    # Verdicts are made of them, and they are not many: every record is checked.
    splits = [open_split(data_dir, config, name, verify_records=True) for config, name in EVALUATED_SPLITS]
    scored = {split.name: score_split(ensemble, split) for split in splits}
    validation = scored['original/validation']
    fitted = calibration or calibrate(validation.scores, validation.label, validation.cell)
    results = {split.name: _evaluate_split(ensemble.info, split, scored[split.name], fitted) for split in splits}
    return ModelResult(ensemble.title, ensemble.info, results, fitted, is_calibrated_here=calibration is None)


def _evaluate_split(info: dict, split: StoredSplit, scores: SpikeScores, calibration: Calibration) -> SplitResult:
    p_ser = spike_p_ser(scores.scores)
    cells = judge_cells(scores, split.cell_names, calibration)
    trained = info['train_cells']
    seen = None if trained is None else len(set(trained) & {cell.cell for cell in cells})
    metrics = {
        'spike': binary_metrics(p_ser, scores.label),
        'cell': cell_metrics(cells) | {'undecided_rule': undecided_rule(calibration), 'cells_seen_in_training': seen},
    }
    return SplitResult(split.name, split.metadata['source'], p_ser, scores.label, cells, metrics)


def judge_cells(scores: SpikeScores, cell_names: Sequence[str], calibration: Calibration) -> list[CellResult]:
    """Judges each cell by its spikes, in the order of the names."""
    numbers = sorted(np.unique(scores.cell), key=lambda number: cell_names[number])
    return [_judge(scores, number, cell_names[number], calibration) for number in numbers]


def _judge(scores: SpikeScores, number: int, name: str, calibration: Calibration) -> CellResult:
    of_cell = scores.cell == number
    verdict = judge_cell(scores.scores[of_cell], calibration, seed=int(number))
    mean_waveform = scores.waveform[of_cell].mean(axis=0)
    return CellResult(
        cell=name,
        verdict=verdict.verdict,
        p_ser=verdict.p_ser,
        p_ser_low=verdict.p_ser_low,
        p_ser_high=verdict.p_ser_high,
        p_ser_published=verdict.p_ser_published,
        n_spikes=int(of_cell.sum()),
        udi_ms=measure_udi_ms(mean_waveform, domain.SAMPLING_RATE_HZ),
        label=int(scores.label[of_cell][0]),
        mean_waveform=mean_waveform,
    )


def write_metrics(path: str, model: ModelResult, baseline: ModelResult | None) -> None:
    """Writes ``metrics.json``: the metrics of each split, what was trained on what, and the baseline's likewise."""
    content = _metrics_of(model)
    if baseline:
        content['baseline'] = _metrics_of(baseline)
        content['difference'] = {
            name: accuracy_difference(split.cells, baseline.splits[name].cells) for name, split in model.splits.items()
        }
    write_json(path, without_nan(content), sort_keys=False)


def _metrics_of(model: ModelResult) -> dict:
    described = ('source', 'protocol', 'trained_on', 'architecture', 'kernel_sizes', 'examples_seen')
    files = ('init_from', 'files')
    return {name: split.metrics for name, split in model.splits.items()} | {
        'model': {field: model.info[field] for field in described}
        | {field: model.info[field] for field in files if model.info.get(field)}
        | {'calibration': _described(model.calibration, model.is_calibrated_here)},
        'evaluated_recordings': {name: split.source for name, split in model.splits.items()},
    }


def _described(calibration: Calibration, is_fitted_here: bool) -> dict:
    fitted_by = 'sero-evaluate' if is_fitted_here else 'sero-train'
    return dataclasses.asdict(calibration) | {'fitted_on': 'original/validation', 'fitted_by': fitted_by}


def without_nan(content):
    """Returns content for JSON with null where a number is not defined."""
    if isinstance(content, dict):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, float) and math.isnan(content):
        return None
    return content


def write_cells(path: str, cells: list[CellResult]) -> None:
    """Writes ``cells.csv``, a row a cell; what is unknown is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(CELLS_COLUMNS)
    for cell in cells:
        writer.writerow(
            [
                cell.cell,
                cell.verdict,
                f'{cell.p_ser:.4f}',
                f'{cell.p_ser_low:.4f}',
                f'{cell.p_ser_high:.4f}',
                cell.n_spikes,
                '' if math.isnan(cell.udi_ms) else f'{cell.udi_ms:.3f}',
                '' if cell.label is None else domain.LABEL_NAMES[cell.label],
            ]
        )
    write_text(path, text.getvalue())
