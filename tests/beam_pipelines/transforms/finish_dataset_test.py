import dataclasses
import json

import google_crc32c
import numpy as np
import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.configs import shard_name
from beam_pipelines.recordings.rejection import RejectedFile
from beam_pipelines.spikes.extraction import rejection_report
from beam_pipelines.storage import files
from beam_pipelines.synthesis.synthesizer import Recipe, SpikeBank, Synthesizer
from beam_pipelines.transforms.finish_dataset import Sources, finish_dataset
from tests.support.folders import files_of, shards_of
from tests.support.small_dataset import CELLS, make_source, write_shards


@pytest.fixture
def grown(tmp_path):
    """A dataset whose shards are all written: plan, shards and folder."""
    plan, source = make_source('original')
    return plan, write_shards(plan, source, tmp_path), tmp_path


def test_a_finished_dataset_holds_what_it_should(grown):
    plan, written, folder = grown
    finish_dataset(plan, Sources('recorded', []), written, str(folder))
    # The plan is the caller's, who may have to do all this again.
    names = {path.name for path in folder.iterdir()} - set(shards_of(folder))
    assert names == {
        'rejected.jsonl',
        'record_layout.json',
        'dataset_info.json',
        'features.json',
        'metadata.json',
        'checksums.json',
        'croissant.json',
        'README.md',
        'cell.labels.txt',
        'label.labels.txt',
    }
    record_layout.check_json(json.loads((folder / 'record_layout.json').read_text()), 'here')


def test_finishing_again_gives_the_same_files(grown):
    plan, written, folder = grown
    finish_dataset(plan, Sources('recorded', []), written, str(folder))
    before = files_of(folder)
    finish_dataset(plan, Sources('recorded', []), written, str(folder))
    assert files_of(folder) == before


def test_what_a_worker_left_that_died_while_it_wrote_is_removed(grown):
    plan, written, folder = grown
    unfinished = files.create_atomically(str(folder / 'shard'))
    unfinished.__enter__()
    (left,) = (path for path in folder.iterdir() if files.is_temporary(path.name))
    finish_dataset(plan, Sources('recorded', []), written, str(folder))
    assert not left.exists()


def test_rejected_files_stand_beside_the_dataset_that_they_are_missing_in(grown):
    plan, written, folder = grown
    reports = [rejection_report(RejectedFile(path, 'not_abf', 'a note')) for path in ('r/b.abf', 'r/a.abf')]
    finish_dataset(plan, Sources('recorded', reports), written, str(folder))
    lines = (folder / 'rejected.jsonl').read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {'path': path, 'reason': 'not_abf', 'detail': 'a note'} for path in ('r/a.abf', 'r/b.abf')
    ]
    assert json.loads((folder / 'metadata.json').read_text())['files_rejected'] == 2


def test_dataset_info_comes_last(data_dir):
    for config in ('original', 'non_homogeneous', 'synthetic_small'):
        folder = data_dir / 'sero_spikes' / config / '1.1.0'
        written_at = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
        assert max(written_at.values()) == written_at['dataset_info.json']


def test_the_order_in_which_shards_were_written_does_not_matter(grown):
    plan, written, folder = grown
    finish_dataset(plan, Sources('recorded', []), written[::-1], str(folder))
    info = json.loads((folder / 'dataset_info.json').read_text())
    lengths = {split['name']: list(map(int, split['shardLengths'])) for split in info['splits']}
    assert {split: sum(of) for split, of in lengths.items()} == plan.examples
    assert {split: len(of) for split, of in lengths.items()} == plan.shards


def test_metadata_hold_the_checksum_of_each_shard(grown):
    plan, written, folder = grown
    finish_dataset(plan, Sources('recorded', []), written, str(folder))
    metadata = json.loads((folder / 'metadata.json').read_text())
    assert metadata['crc32c'] == {
        name: f'{google_crc32c.value(content):08x}' for name, content in shards_of(folder).items()
    }
    assert metadata['source'] == 'recorded'
    assert metadata['fingerprint'] == plan.fingerprint


def test_metadata_list_the_cells_in_the_order_of_their_numbers(grown):
    plan, written, folder = grown
    finish_dataset(plan, Sources('recorded', []), written, str(folder))
    cells = json.loads((folder / 'metadata.json').read_text())['cells']
    assert [cell['cell'] for cell in cells] == (folder / 'cell.labels.txt').read_text().splitlines()
    assert {cell['cell']: cell['spikes'] for cell in cells} == {
        cell_id: len(cell.waveforms) for cell_id, cell in CELLS.items()
    }


def test_a_missing_shard_is_never_passed_over(grown):
    plan, written, folder = grown
    (folder / shard_name('test', 0, plan.shards['test'])).unlink()
    with pytest.raises(RuntimeError, match='sero_spikes-test.* None bytes, expected'):
        finish_dataset(plan, Sources('recorded', []), written, str(folder))
    assert not (folder / 'dataset_info.json').exists()


def test_a_shard_of_another_size_is_never_passed_over(grown):
    plan, written, folder = grown
    with open(folder / shard_name('train', 0, plan.shards['train']), 'ab') as file:
        file.write(b'x')
    with pytest.raises(RuntimeError, match='sero_spikes-train.* bytes, expected'):
        finish_dataset(plan, Sources('recorded', []), written, str(folder))


@pytest.mark.parametrize('change', ['missing', 'twice'])
def test_a_shard_reported_never_or_twice_is_never_passed_over(grown, change):
    plan, written, folder = grown
    written = written[1:] if change == 'missing' else [*written, dataclasses.replace(written[0])]
    with pytest.raises(RuntimeError, match='shards were reported'):
        finish_dataset(plan, Sources('recorded', []), written, str(folder))


def _synthetic(data_dir):
    """Returns what the folder of a synthetic dataset holds: metadata, spike bank, noise masks and the shards' rows."""
    folder = data_dir / 'sero_spikes/synthetic_small/1.1.0'
    metadata = json.loads((folder / 'metadata.json').read_text())
    bank = record_layout.view_records(np.fromfile(folder / metadata['synthesis']['spike_bank'], np.uint8))
    masks = np.load(folder / metadata['synthesis']['noise_masks'], allow_pickle=False)
    return metadata, bank, masks, np.frombuffer(b''.join(shards_of(folder).values()), np.uint8)


def _integers(records, name):
    return record_layout.decode_varints(records[name])


def test_the_spike_bank_holds_the_recorded_training_spikes_cell_by_cell(data_dir):
    metadata, bank, _, _ = _synthetic(data_dir)
    cells = [cell['cell'] for cell in metadata['cells']]
    original = data_dir / 'sero_spikes/original/1.1.0'
    train = b''.join(shard for name, shard in shards_of(original).items() if '-train.' in name)
    train = record_layout.view_records(np.frombuffer(train, np.uint8))
    names = (original / 'cell.labels.txt').read_text().splitlines()
    number = np.array([cells.index(names[cell]) for cell in _integers(train, 'cell')])
    train = train[np.lexsort((_integers(train, 'trigger'), number))]
    np.testing.assert_array_equal(bank['waveform'], train['waveform'])
    for name in ('label', 'trigger', 'mask'):
        np.testing.assert_array_equal(bank[name], train[name], err_msg=name)
    np.testing.assert_array_equal(_integers(bank, 'cell'), np.sort(number))


def test_the_metadata_say_how_many_spikes_the_bank_holds_and_its_checksum(data_dir):
    metadata, bank, _, _ = _synthetic(data_dir)
    synthesis = metadata['synthesis']
    assert synthesis['spike_bank_examples'] == len(bank) == sum(cell['spikes'] for cell in metadata['cells']) > 0
    assert synthesis['spike_bank_crc32c'] == f'{google_crc32c.value(bank.tobytes()):08x}'


def test_a_synthetic_dataset_can_be_made_again_from_what_stands_beside_it(data_dir):
    metadata, bank, masks, shards = _synthetic(data_dir)
    synthesis = metadata['synthesis']
    recipe = Recipe(*synthesis['masks_a_spike'], *synthesis['weights'])
    label, cell, trigger = (_integers(bank, name) for name in ('label', 'cell', 'trigger'))
    synthesizer = Synthesizer(
        SpikeBank(bank['waveform'], label, masks), synthesis['examples'], metadata['seed'], recipe
    )
    example = np.random.default_rng(0).integers(0, sum(synthesis['examples']), 1000)
    draws = synthesizer.draw(example)
    rows = record_layout.encode_records(
        synthesizer.make(draws), draws.label, cell[draws.spike], trigger[draws.spike], draws.masks[:, 0] + 1
    )
    np.testing.assert_array_equal(rows, shards.reshape(-1, record_layout.RECORD_BYTES)[example])


def test_noise_masks_are_stored_in_the_order_that_records_number_them(data_dir):
    masks = np.load(data_dir / 'sero_spikes/synthetic_small/1.1.0/noise_masks.npy', allow_pickle=False)
    assert masks.shape == (50, 160)
    assert masks.dtype == np.float32
    assert 2 < masks.std() < 6
