import dataclasses
import json

import msgspec
import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.errors import UserError
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.planning.plan import DatasetPlan, IngestedCell, plan_dataset
from beam_pipelines.spikes.extraction import ExtractionReport
from beam_pipelines.storage.typed_json import check_content


def _cell(number: int, label: int, recording_set: str = 'original', spikes: int = 100, masks: int = 50) -> IngestedCell:
    cell_id = f'{recording_set[0].upper()}{label}#{number:03d}'
    report = ExtractionReport(1, (), spikes, spikes, 0, 30.0)
    fingerprint = f'hash of {recording_set} {cell_id}'
    return IngestedCell(
        recording_set, label, cell_id, f'staging/{cell_id}.spikes', f'hash of {cell_id}', masks, report, fingerprint
    )


_CELLS = [
    *(_cell(number, label) for label in (0, 1) for number in range(10)),
    *(_cell(number, label, 'non_homogeneous') for label in (0, 1) for number in range(2)),
]


def _options(**changes) -> BuildOptions:
    return BuildOptions(**{'recordings': 'r', 'data_dir': 'd', 'configs': ('original',), 'num_masks': 70, **changes})


def test_original_has_the_cells_of_its_own_recordings_only():
    plan = plan_dataset('original', _CELLS, _options())
    assert [cell.cell_id for cell in plan.cells] == sorted(cell.cell_id for cell in _CELLS[:20])


def test_original_is_split_by_cell():
    plan = plan_dataset('original', _CELLS, _options())
    assert plan.examples == {'train': 1200, 'validation': 400, 'test': 400}
    assert [cell.split for cell in plan.cells].count('train') == 12


def test_non_homogeneous_is_for_tests_only():
    plan = plan_dataset('non_homogeneous', _CELLS, _options())
    assert plan.examples == {'test': 400}
    assert {cell.split for cell in plan.cells} == {'test'}


def test_synthetic_spikes_and_masks_come_from_training_cells_only():
    original = plan_dataset('original', _CELLS, _options())
    training = {cell.cell_id for cell in original.cells if cell.split == 'train'}
    synthetic = plan_dataset('synthetic_small', _CELLS, _options())
    assert {cell.cell_id for cell in synthetic.cells} == training
    assert sum(cell.masks for cell in synthetic.cells) == 70
    assert synthetic.examples == {'train': 127_006}


def test_synthetic_takes_masks_evenly_from_the_training_cells():
    masks = [cell.masks for cell in plan_dataset('synthetic_small', _CELLS, _options()).cells]
    assert set(masks) == {5, 6}


def test_published_protocol_splits_by_spike_and_synthesises_from_all_cells():
    options = _options(protocol='published')
    original = plan_dataset('original', _CELLS, options)
    assert original.examples == {'train': 1400, 'validation': 300, 'test': 300}
    assert {cell.split for cell in original.cells} == {None}
    assert len(plan_dataset('synthetic_small', _CELLS, options).cells) == 20


def test_recorded_datasets_need_no_masks():
    cells = [dataclasses.replace(cell, masks=0) for cell in _CELLS]
    assert plan_dataset('original', cells, _options()).examples['train'] == 1200


def test_too_little_silence_is_an_error():
    cells = [dataclasses.replace(cell, masks=2) for cell in _CELLS]
    with pytest.raises(UserError, match='not enough silence: 70 noise masks .* 12 training recordings hold 24'):
        plan_dataset('synthetic_small', cells, _options())


def test_a_class_without_usable_cell_is_an_error_that_names_the_folder():
    cells = [cell for cell in _CELLS if cell.label == 0]
    with pytest.raises(UserError, match='original: no usable NSER recording in original/NSER'):
        plan_dataset('original', cells, _options())


@pytest.mark.parametrize('max_shard_bytes', [1, record_layout.RECORD_BYTES * 7, 1 << 20, 1 << 30])
@pytest.mark.parametrize('config', ['original', 'synthetic_small'])
def test_shards_cover_each_example_once_and_none_is_too_large(config, max_shard_bytes):
    max_shard_bytes = max(max_shard_bytes, record_layout.RECORD_BYTES)
    plan = plan_dataset(config, _CELLS, _options(max_shard_bytes=max_shard_bytes))
    for split, examples in plan.examples.items():
        ranges = [plan.shard_range(split, number) for number in range(plan.shards[split])]
        assert [first for first, _ in ranges] == [0, *(stop for _, stop in ranges[:-1])]
        assert ranges[-1][1] == examples
        sizes = [stop - first for first, stop in ranges]
        assert max(sizes) * record_layout.RECORD_BYTES <= max_shard_bytes
        assert max(sizes) - min(sizes) <= 1


def test_the_order_of_the_cells_does_not_matter():
    plan = plan_dataset('synthetic_small', _CELLS, _options())
    assert plan_dataset('synthetic_small', _CELLS[::-1], _options()) == plan


def test_a_plan_comes_back_from_json_as_it_was():
    plan = plan_dataset('synthetic_small', _CELLS, _options())
    assert check_content(json.loads(json.dumps(msgspec.to_builtins(plan))), DatasetPlan, 'plan.json') == plan


@pytest.mark.parametrize('change', [{'seed': 1}, {'protocol': 'published'}, {'max_shard_bytes': 9999}])
def test_fingerprint_changes_with_each_option_that_changes_bytes(change):
    before = plan_dataset('original', _CELLS, _options()).fingerprint
    assert plan_dataset('original', _CELLS, _options(**change)).fingerprint != before


def test_fingerprint_changes_with_the_content_of_a_cell():
    changed = [dataclasses.replace(_CELLS[0], fingerprint='other'), *_CELLS[1:]]
    before = plan_dataset('original', _CELLS, _options()).fingerprint
    assert plan_dataset('original', changed, _options()).fingerprint != before


def test_fingerprint_does_not_change_with_the_places_of_things():
    before = plan_dataset('original', _CELLS, _options()).fingerprint
    assert plan_dataset('original', _CELLS, _options(recordings='elsewhere', data_dir='there')).fingerprint == before
