import numpy as np
import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.errors import UserError
from beam_pipelines.planning.array_plan import IngestedArrays, plan_arrays
from beam_pipelines.planning.array_source import ArraySource
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.recordings.published_arrays import ArrayFiles, SpikeArrays
from tests.support.published_arrays import write_arrays


def _plan(folder, names=('ser', 'nser'), **options):
    sets = []
    for name in names:
        files = ArrayFiles(*(f'{folder}/{name}_{kind}.npy' for kind in ('observations', 'labels', 'cells')))
        arrays = SpikeArrays(files)
        sets.append(IngestedArrays(files, arrays.count_spikes(), arrays.fingerprint()))
    return plan_arrays(sets, BuildOptions('r', 'd', ('published_synthetic',), **options))


@pytest.fixture
def current_pa(tmp_path):
    """Of 12,345 SER spikes and 4,321 NSER spikes in ``tmp_path``."""
    return [
        write_arrays(tmp_path, 'ser', {'A#2': 12_000, 'A#1': 345}, 0),
        write_arrays(tmp_path, 'nser', {'B#1': 4_321}, 1),
    ]


def _records(plan, first, stop):
    rows = np.concatenate(list(ArraySource(plan).blocks('train', first, stop)))
    assert not list(record_layout.find_bad_records(rows))
    records = record_layout.view_records(rows)
    label, cell = (record_layout.decode_varints(records[field]) for field in ('label', 'cell'))
    return records['waveform'], label, cell


def test_each_row_becomes_one_record_with_its_label_and_cell(tmp_path, current_pa):
    plan = _plan(tmp_path)
    assert [cell.cell_id for cell in plan.cells] == ['A#1', 'A#2', 'B#1']
    waveform, label, cell = _records(plan, 0, plan.examples['train'])
    for number, of_class in enumerate(current_pa):
        found = waveform[label == number]
        np.testing.assert_array_equal(found[np.argsort(found[:, 0])], of_class)
    assert set(zip(label.tolist(), cell.tolist(), strict=True)) == {(0, 0), (0, 1), (1, 2)}
    assert np.count_nonzero(cell == 0) == 345


def test_the_stored_order_mixes_the_arrays(tmp_path, current_pa):
    _, label, _ = _records(_plan(tmp_path), 0, 8192)
    assert 0.15 < label[:1024].mean() < 0.4  # 0.26 of all


def test_a_range_is_the_same_in_any_run_and_another_with_another_seed(tmp_path, current_pa):
    one, other, third = (
        _records(plan, 100, 200)[0] for plan in (_plan(tmp_path), _plan(tmp_path), _plan(tmp_path, seed=1))
    )
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, third)


def test_a_class_without_spikes_is_an_error(tmp_path, current_pa):
    with pytest.raises(UserError, match='no usable spike of class NSER'):
        _plan(tmp_path, ('ser',))


def test_a_cell_with_another_label_in_another_set_is_an_error(tmp_path, current_pa):
    write_arrays(tmp_path, 'more', {'A#1': 5}, 1)
    with pytest.raises(UserError, match='A#1 has another label'):
        _plan(tmp_path, ('ser', 'nser', 'more'))
