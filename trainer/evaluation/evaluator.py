"""Evaluates a trained ensemble on the splits whose cells it was not trained on: spikes, cells, verdicts."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import numpy as np

from beam_pipelines.cli.progress_line import ProgressLine
from beam_pipelines.cli.words import counted
from beam_pipelines.datasets import record_layout
from trainer.data.shards import read_records
from trainer.data.stored_dataset import StoredSplit, is_built, noticing_replacement, open_split
from trainer.errors import CalibrationError
from trainer.evaluation.calibration import Calibration, fit_calibration
from trainer.evaluation.controls import DescribedCells, call_cells, describe_cells, score_controls
from trainer.evaluation.firing import FiringModel, compare_with_shape, with_firing
from trainer.evaluation.metrics import binary_metrics, cell_metrics
from trainer.evaluation.out_of_distribution import SEEN_BY_MODEL
from trainer.evaluation.results import CellResult, ModelResult, SplitResult
from trainer.evaluation.stored_warnings import Comparison, stored_warnings
from trainer.evaluation.training_range import TrainingRange, measure_range
from trainer.evaluation.verdicts import classify_cell, consensus, spike_p_ser, undecided_rule, with_warnings
from trainer.models.model_info import ModelInfo
from trainer.models.scoring import SpikeScores, score_split
from trainer.models.trained import TrainedEnsemble


@dataclasses.dataclass(frozen=True)
class HeldOutCells:
    """Cells of days that some members were not trained on.

    Attributes
    ----------
    sees : (m, c) bool, which member was trained on the day of which cell.
    day : (c,) int64, number of the recording day of each cell.
    """

    sees: np.ndarray
    day: np.ndarray


@dataclasses.dataclass(frozen=True)
class Fits:
    """What a run has fitted beside its networks.

    Attributes
    ----------
    calibration : None: one is fitted on the cells of ``original/validation``.
    training_range : for warnings; None: cells are compared with those of ``original/train``.
    firing : for ``p_ser_with_firing``; None: it is left out.
    """

    calibration: Calibration | None = None
    training_range: TrainingRange | None = None
    firing: FiringModel | None = None


# The headline comes first.
EVALUATED_SPLITS = (('non_homogeneous', 'test'), ('original', 'test'), ('original', 'validation'))

# In the sentences of warnings, where the cells that the model was trained on are unknown.
OF_ORIGINAL = 'of original/train'


def evaluate(
    ensemble: TrainedEnsemble,
    data_dir: str,
    fits: Fits = Fits(),
    day_pattern: str | None = None,
) -> ModelResult:
    """Evaluates one ensemble, beside controls that are trained on the cells of ``original/train``.

    Without a dataset ``non_homogeneous`` it is evaluated on ``original`` alone.

    Parameters
    ----------
    ensemble : what to evaluate.
    data_dir : the TFDS data directory.
    fits : of its run.
    day_pattern : see ``domain.recording_day``; for the control ``day_only``.

    Raises
    ------
    UserError
        If a dataset is missing or damaged, or is replaced by another before all is read.
    """
    configs = dict.fromkeys(config for config, _ in EVALUATED_SPLITS)
    with noticing_replacement(data_dir, configs, 'evaluate again'):
        return _evaluate(ensemble, data_dir, fits, day_pattern)


def _evaluate(ensemble: TrainedEnsemble, data_dir: str, fits: Fits, day_pattern: str | None) -> ModelResult:
    # These splits are small and verdicts rest on them, so every record is checked.
    splits = [
        open_split(data_dir, config, name, verify_records=True)
        for config, name in EVALUATED_SPLITS
        if config == 'original' or is_built(data_dir, config)
    ]
    with ProgressLine().passing(f'scoring the spikes of {counted(len(splits), "split")}'):
        scored = {split.name: score_split(ensemble, split) for split in splits}
    validation = scored['original/validation']
    calibration = fits.calibration or calibrate(validation.scores, validation.label, validation.cell)
    fitted = dataclasses.replace(fits, calibration=calibration)
    train_split = open_split(data_dir, 'original', 'train', verify_records=True)
    train = _described(train_split)
    whose = SEEN_BY_MODEL if fits.training_range else OF_ORIGINAL
    seen = fits.training_range or measure_training_range(train_split)
    results = {}
    for split in splits:
        of_split = scored[split.name]
        tested = describe_cells(of_split.waveform, of_split.label, of_split.cell, split.cell_names)
        controls = score_controls(call_cells(train, tested, day_pattern), tested)
        comparison = Comparison(seen, ensemble.info.train_cells or (), split.metadata.cutting, whose)
        result = _evaluate_split(ensemble.info, comparison, split, of_split, fitted)
        results[split.name] = dataclasses.replace(result, controls=controls)
    is_calibrated_here = fits.calibration is None
    return ModelResult(ensemble.title, ensemble.info, results, calibration, is_calibrated_here)


def _evaluate_split(
    info: ModelInfo, comparison: Comparison, split: StoredSplit, scores: SpikeScores, fitted: Fits
) -> SplitResult:
    assert fitted.calibration is not None
    p_ser = spike_p_ser(scores.scores)
    if split.is_drawn_by_spike:
        comparison = comparison.without_firing_rate()
    cells = classify_cells(scores, read_triggers(split), split.cell_names, fitted, comparison)
    trained = info.train_cells
    seen = None if trained is None else len(set(trained) & {cell.cell for cell in cells})
    metrics = {
        'spike': binary_metrics(p_ser, scores.label),
        'cell': cell_metrics(cells)
        | {'undecided_rule': undecided_rule(fitted.calibration), 'cells_seen_in_training': seen},
    }
    if compared := compare_with_shape(cells):
        metrics['with_firing'] = compared
    return SplitResult(split.name, split.metadata.source, p_ser, scores.label, cells, metrics)


def _described(split: StoredSplit) -> DescribedCells:
    records = read_records(split.shards)
    label, cell = (record_layout.decode_varints(records[name]) for name in ('label', 'cell'))
    return describe_cells(records['waveform'], label, cell, split.cell_names)


def classify_cells(
    scores: SpikeScores,
    trigger: np.ndarray,
    cell_names: Sequence[str],
    fitted: Fits,
    comparison: Comparison,
) -> list[CellResult]:
    """Classifies each cell by its spikes, with the warnings that these tell.

    Parameters
    ----------
    scores : of n spikes, in any order.
    trigger : (n,) int64, the sample index of each spike's trigger in its recording.
    cell_names : what ``scores.cell`` indexes.
    fitted : of the ensemble, with a calibration.
    comparison : what the cells are compared with.

    Returns
    -------
    The cells in the order of their names.
    """
    results = []
    assert fitted.calibration is not None
    for number in sorted(np.unique(scores.cell), key=lambda number: cell_names[number]):
        of_cell = np.flatnonzero(scores.cell == number)
        of_cell = of_cell[np.argsort(trigger[of_cell])]  # stored spikes are shuffled
        name, waveform, label = cell_names[number], scores.waveform[of_cell], int(scores.label[of_cell[0]])
        result = classify_cell(scores.scores[of_cell], waveform, fitted.calibration, name, label)
        result = with_firing(result, trigger[of_cell], fitted.firing)
        results.append(with_warnings(result, stored_warnings(name, waveform, trigger[of_cell], comparison)))
    return results


def measure_training_range(split: StoredSplit) -> TrainingRange:
    """Measures the cells of ``original/train``, in the order of their numbers.

    Raises
    ------
    UserError
        If a shard cannot be read.
    """
    records = read_records(split.shards)
    label, cell, trigger = (record_layout.decode_varints(records[name]) for name in ('label', 'cell', 'trigger'))
    return measure_range(records['waveform'], label, cell, trigger)


def read_triggers(split: StoredSplit) -> np.ndarray:
    """Returns the trigger of each spike of a split, in stored order: (n,) int64; UserError as ``read_records``."""
    return record_layout.decode_varints(read_records(split.shards)['trigger'])


def calibrate(
    scores: np.ndarray, label: np.ndarray, cell: np.ndarray, held_out: HeldOutCells | None = None
) -> Calibration:
    """Fits a calibration on cells that no member was trained on, or on days that some members were not trained on.

    With too few cells it prints a warning and returns a calibration that changes nothing.

    Parameters
    ----------
    scores : (n, m, 2) float, the scores of n spikes by m members.
    label, cell : (n,) int, of the spikes.
    held_out : the days of the cells, and which members were trained on them: the others make a cell's consensus. None:
        no member was trained on any of the cells.
    """
    numbers, of_cells, labels = consensus_of_cells(scores, label, cell, held_out)
    try:
        return fit_calibration(of_cells, labels, None if held_out is None else held_out.day[numbers])
    except CalibrationError as error:
        print(f'WARNING: the probabilities are not calibrated: {error}', file=sys.stderr)
        return Calibration()


def consensus_of_cells(
    scores: np.ndarray, label: np.ndarray, cell: np.ndarray, held_out: HeldOutCells | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the numbers of the cells, the published consensus of each, and their labels; see ``calibrate``."""
    numbers, first = np.unique(cell, return_index=True)
    found = []
    for number in numbers:
        members = slice(None) if held_out is None else ~held_out.sees[:, number]
        found.append(consensus(scores[cell == number][:, members]))
    return numbers, np.array(found), label[first]
