import csv
import dataclasses
import json
import math
import pathlib
import shutil

import msgspec
import numpy as np
import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.checksums import cover
from beam_pipelines.errors import UserError
from beam_pipelines.spikes.waveform_features import measure_udi_ms
from trainer.data.batches import evaluation_batches
from trainer.data.stored_dataset import dataset_folder, open_split
from trainer.evaluation import evaluator
from trainer.evaluation.cell_warnings import CellWarning
from trainer.evaluation.evaluator import Fits, classify_cells, evaluate, measure_training_range, read_triggers
from trainer.evaluation.firing import FiringModel
from trainer.evaluation.outputs import CELLS_COLUMNS, write_cells, write_metrics
from trainer.evaluation.results import CellResult, ModelResult, SplitResult
from trainer.evaluation.stored_warnings import Comparison
from trainer.evaluation.verdicts import consensus, spike_p_ser
from trainer.models.ensemble import build_ensemble
from trainer.models.model_info import ModelInfo
from trainer.models.scoring import SpikeScores, score_split
from trainer.models.trained import TrainedEnsemble

INFO = ModelInfo(
    source='simulated',
    protocol='by_cell',
    trained_on='original',
    architecture='cnn',
    kernel_sizes=(3, 4),
    examples_seen=0,
    members=('k3', 'k4'),
    train_cells=(),
)
WARNINGS = (CellWarning('noise_high', 'The noise is high; beware.'), CellWarning('bursts', 'A burst.'))


@pytest.fixture(scope='module')
def ensemble() -> TrainedEnsemble:
    return TrainedEnsemble(build_ensemble('cnn', (3, 4), seed=0), INFO)


@pytest.fixture(scope='module')
def result(ensemble, data_dir) -> ModelResult:
    return evaluate(ensemble, str(data_dir))


def test_headline_split_comes_first(result):
    assert list(result.splits) == ['non_homogeneous/test', 'original/test', 'original/validation']


def test_each_cell_of_a_split_is_classified_once_in_the_order_of_the_names(result, data_dir):
    for name, split in result.splits.items():
        stored = open_split(data_dir, *name.split('/')).metadata.cells
        expected = sorted(cell.cell_id for cell in stored if cell.split == name.split('/')[1])
        assert [cell.cell for cell in split.cells] == expected


def test_labels_and_spikes_of_cells_are_those_of_the_dataset(result, data_dir):
    for name, split in result.splits.items():
        stored = {cell.cell_id: cell for cell in open_split(data_dir, *name.split('/')).metadata.cells}
        for cell in split.cells:
            assert (cell.label, cell.n_spikes) == (stored[cell.cell].label, stored[cell.cell].spikes)


def test_every_spike_counts_once(result, data_dir):
    for name, split in result.splits.items():
        assert len(split.spike_p_ser) == len(split.spike_label) == open_split(data_dir, *name.split('/')).examples
        assert sum(cell.n_spikes for cell in split.cells) == split.metrics['spike']['n'] == len(split.spike_p_ser)


def test_cell_is_classified_by_its_own_spikes(result, ensemble, data_dir):
    split = open_split(data_dir, 'original', 'test')
    scores = score_split(ensemble, split)
    for cell in result.splits['original/test'].cells:
        of_cell = scores.cell == split.cell_names.index(cell.cell)
        p_ser = result.calibration.apply(np.asarray(consensus(scores.scores[of_cell])))
        assert cell.p_ser == pytest.approx(float(p_ser))
    np.testing.assert_allclose(result.splits['original/test'].spike_p_ser, spike_p_ser(scores.scores))


def test_order_in_which_spikes_are_stored_does_not_matter(result, ensemble, data_dir):
    split = open_split(data_dir, 'original', 'test')
    scores = score_split(ensemble, split)
    order = np.random.default_rng(0).permutation(len(scores.cell))
    shuffled = SpikeScores(*(getattr(scores, field.name)[order] for field in dataclasses.fields(scores)))
    seen = measure_training_range(open_split(data_dir, 'original', 'train'))
    comparison = Comparison(seen, (), split.metadata.cutting, 'of original/train')
    again = classify_cells(
        shuffled, read_triggers(split)[order], split.cell_names, Fits(result.calibration), comparison
    )
    for cell, expected in zip(again, result.splits['original/test'].cells, strict=True):
        assert (cell.p_ser_low, cell.p_ser_high) == (expected.p_ser_low, expected.p_ser_high)
        assert cell.warnings == expected.warnings


def test_udi_is_that_of_the_mean_waveform(result, data_dir):
    split = open_split(data_dir, 'original', 'test')
    [batch] = evaluation_batches(split, split.examples).as_numpy_iterator()
    for cell in result.splits['original/test'].cells:
        mean = batch['waveform'][batch['cell'] == split.cell_names.index(cell.cell)].mean(axis=0)
        np.testing.assert_allclose(cell.mean_waveform, mean, rtol=1e-5)
        assert cell.udi_ms == pytest.approx(measure_udi_ms(mean, 40_000), nan_ok=True)


def test_evaluation_gives_the_same_twice(result, ensemble, data_dir):
    again = evaluate(ensemble, str(data_dir))
    for name, split in result.splits.items():
        assert [(cell.verdict, cell.p_ser_low, cell.p_ser_high) for cell in split.cells] == [
            (cell.verdict, cell.p_ser_low, cell.p_ser_high) for cell in again.splits[name].cells
        ]


def test_cells_seen_in_training_are_counted(ensemble, data_dir):
    seen = [cell.cell_id for cell in open_split(data_dir, 'original', 'test').metadata.cells]
    told = TrainedEnsemble(ensemble.model, msgspec.structs.replace(INFO, train_cells=seen))
    splits = evaluate(told, str(data_dir)).splits
    cells = splits['original/test'].metrics['cell']
    assert cells['cells_seen_in_training'] == cells['n'] > 0
    assert splits['non_homogeneous/test'].metrics['cell']['cells_seen_in_training'] == 0


def test_cells_are_compared_with_the_training_range_of_the_model(ensemble, data_dir):
    seen = measure_training_range(open_split(data_dir, 'original', 'train'))
    other = dataclasses.replace(seen, noise_pa=seen.noise_pa / 100, mean_waveform=-seen.mean_waveform)
    for cell in evaluate(ensemble, str(data_dir), Fits(training_range=other)).splits['original/test'].cells:
        sentences = {warning.code: str(warning) for warning in cell.warnings}
        assert 'times that of the noisiest recording the model has seen' in sentences['noise_high']
        # As in sero-classify, a verdict on such a cell would mean nothing.
        assert 'unlike_training_cells' in sentences and cell.verdict == 'undecided'


def make_cell(**fields) -> CellResult:
    cell = {
        'cell': 'A140313#073',
        'verdict': 'SER',
        'p_ser': 0.91236,
        'p_ser_low': 0.8,
        'p_ser_high': 1.0,
        'p_ser_published': 0.95,
        'n_spikes': 12,
        'udi_ms': 1.2344,
        'label': 0,
        'mean_waveform': np.zeros(160),
    }
    return CellResult(**cell | fields)


def test_cells_are_written_a_row_each(tmp_path):
    write_cells(
        str(tmp_path / 'cells.csv'), [make_cell(), make_cell(cell='B#1', verdict='NSER', label=1, warnings=WARNINGS)]
    )
    assert (tmp_path / 'cells.csv').read_text() == (
        'cell,verdict,p_ser,p_ser_low,p_ser_high,n_spikes,udi_ms,label,warnings\n'
        'A140313#073,SER,0.9124,0.8000,1.0000,12,1.234,SER,\n'
        'B#1,NSER,0.9124,0.8000,1.0000,12,1.234,NSER,noise_high;bursts\n'
    )


def test_what_is_unknown_of_a_cell_is_left_empty(tmp_path):
    write_cells(str(tmp_path / 'cells.csv'), [make_cell(udi_ms=math.nan, label=None)])
    assert (tmp_path / 'cells.csv').read_text().splitlines()[1].endswith(',12,,,')


def test_cell_name_with_a_comma_stays_one_field(tmp_path):
    write_cells(str(tmp_path / 'cells.csv'), [make_cell(cell='a, "b"')])
    with open(tmp_path / 'cells.csv', newline='') as file:
        [row] = csv.DictReader(file)
    assert tuple(row) == CELLS_COLUMNS
    assert row['cell'] == 'a, "b"'


def test_metrics_that_are_not_defined_are_null(tmp_path):
    metrics = {'spike': {'auc': math.nan, 'n': 3}, 'cell': {'auc': np.float64('nan')}}
    split = SplitResult('original/test', 'simulated', np.zeros(3), np.zeros(3, int), [], metrics)
    model = ModelResult('trained on original', INFO, {split.name: split})
    write_metrics(str(tmp_path / 'metrics.json'), model, None)
    content = json.loads((tmp_path / 'metrics.json').read_text(), parse_constant=pytest.fail)
    assert content['original/test'] == {'spike': {'auc': None, 'n': 3}, 'cell': {'auc': None}}
    assert 'baseline' not in content


def test_firing_is_a_second_number_beside_the_verdict(ensemble, data_dir, tmp_path):
    # All the weight is on the shape, so both numbers are the same.
    model = FiringModel(
        intercept=0.0, of_shape=1.0, of_rate=0.0, of_cv=0.0, cells=20, log_loss=0.1, log_loss_of_shape=0.1
    )
    split = evaluate(ensemble, str(data_dir), Fits(firing=model)).splits['non_homogeneous/test']
    for cell in split.cells:
        assert cell.p_ser_with_firing == pytest.approx(cell.p_ser)
    compared = split.metrics['with_firing']
    assert compared['shape'] == pytest.approx(compared['with_firing'])
    assert compared['log_loss_gain'] == pytest.approx(0, abs=1e-9) and compared['n'] == len(split.cells)
    write_cells(tmp_path / 'cells.csv', split.cells, {'set': ['non_homogeneous/test'] * len(split.cells)})
    header, *rows = (tmp_path / 'cells.csv').read_text().splitlines()
    assert header.endswith(',label,warnings,p_ser_with_firing,set')
    assert rows[0].split(',')[-2] == f'{split.cells[0].p_ser_with_firing:.4f}'


@pytest.mark.parametrize('damages', [False, True])
def test_dataset_that_is_replaced_while_it_is_evaluated_is_said_so(ensemble, data_dir, tmp_path, monkeypatch, damages):
    for config in ('original', 'non_homogeneous'):
        shutil.copytree(dataset_folder(data_dir, config), dataset_folder(tmp_path, config))
    folder = pathlib.Path(dataset_folder(tmp_path, 'original'))

    def replace_first(*arguments):
        metadata = folder / 'metadata.json'
        metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {'fingerprint': 'of another'}))
        cover(folder, [metadata.name])
        if damages:  # what was opened before no longer fits to what is there
            for shard in folder.glob('*.tfrecord-*'):
                shard.write_bytes(shard.read_bytes()[: record_layout.RECORD_BYTES])
        return score_split(*arguments)

    monkeypatch.setattr(evaluator, 'score_split', replace_first)
    with pytest.raises(UserError) as raised:
        evaluate(ensemble, str(tmp_path))
    assert str(raised.value) == f'{folder}: the dataset was built or replaced while it was read; evaluate again'
