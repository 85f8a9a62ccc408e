import json
import os
import pathlib
import shutil

import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.checksums import cover
from beam_pipelines.datasets.configs import shard_name
from beam_pipelines.errors import UserError
from trainer.buckets import store
from trainer.buckets.shard_cache import cached_in
from trainer.data.stored_dataset import dataset_folder, is_built, open_split


@pytest.fixture
def own_data_dir(data_dir, tmp_path) -> pathlib.Path:
    """A copy of the small datasets that a test may damage."""
    copy = tmp_path / 'data'
    for config in ('original', 'non_homogeneous'):
        shutil.copytree(dataset_folder(data_dir, config), dataset_folder(copy, config))
    return copy


def shard_of(data_dir: pathlib.Path, split: str) -> pathlib.Path:
    return pathlib.Path(dataset_folder(data_dir, 'original'), shard_name(split, 0, 1))


def error_of(
    data_dir: pathlib.Path, config: str = 'original', split: str = 'train', verify_records: bool = False
) -> str:
    with pytest.raises(UserError) as raised:
        open_split(data_dir, config, split, verify_records)
    message = str(raised.value)
    assert '\n' not in message
    return message


def flip_bit(path: pathlib.Path, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)


def edit_json(path: pathlib.Path, **fields) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    cover(path.parent, [path.name])


def test_split_holds_what_the_metadata_promise(data_dir):
    split = open_split(data_dir, 'original', 'validation')
    promised = [cell for cell in split.metadata.cells if cell.split == 'validation']
    assert split.name == 'original/validation'
    assert split.examples == sum(cell.spikes for cell in promised)
    assert sum(os.path.getsize(shard.path) for shard in split.shards) == split.examples * record_layout.RECORD_BYTES


def test_cell_names_are_those_of_the_metadata(data_dir):
    split = open_split(data_dir, 'original', 'train')
    assert list(split.cell_names) == [cell.cell_id for cell in split.metadata.cells]


def test_train_cells_are_the_cells_of_the_training_split_alone(data_dir):
    split = open_split(data_dir, 'original', 'validation')
    expected = {cell.cell_id for cell in split.metadata.cells if cell.split == 'train'}
    assert split.train_cells == expected
    assert 0 < len(expected) < len(split.metadata.cells)


def test_train_cells_of_the_published_protocol_are_all_cells(own_data_dir):
    folder = pathlib.Path(dataset_folder(own_data_dir, 'original'))
    cells = json.loads((folder / 'metadata.json').read_text())['cells']
    edit_json(folder / 'metadata.json', cells=[cell | {'split': None} for cell in cells], protocol='published')
    assert open_split(own_data_dir, 'original', 'train').train_cells == {cell['cell'] for cell in cells}


def test_missing_dataset_is_named_with_the_commands_that_make_it(tmp_path):
    path = tmp_path / 'sero_spikes' / 'original' / '1.1.0' / 'dataset_info.json'
    assert error_of(tmp_path) == f'{path}: no such file; sero-build or tfds build makes the dataset'


@pytest.mark.parametrize('name', ['dataset_info.json', 'record_layout.json', 'metadata.json', 'cell.labels.txt'])
def test_missing_file_is_named(own_data_dir, name):
    path = pathlib.Path(dataset_folder(own_data_dir, 'original'), name)
    path.unlink()
    assert error_of(own_data_dir).startswith(f'{path}: no such file')


@pytest.mark.parametrize('name', ['dataset_info.json', 'record_layout.json', 'metadata.json'])
def test_file_that_is_no_json_is_named(own_data_dir, name):
    path = pathlib.Path(dataset_folder(own_data_dir, 'original'), name)
    path.write_text('{"splits": [')
    assert error_of(own_data_dir).startswith(f'{path}: ')


def test_another_format_version_is_named_with_both_versions(own_data_dir):
    path = pathlib.Path(dataset_folder(own_data_dir, 'original'), 'record_layout.json')
    edit_json(path, format_version=99)
    assert error_of(own_data_dir) == f'{path}: format_version is 99, this version of sero-spikes reads 1'


def test_missing_shard_is_named(own_data_dir):
    shard = shard_of(own_data_dir, 'train')
    shard.unlink()
    assert error_of(own_data_dir).startswith(f'{shard}: no such file')


def test_shard_without_its_last_byte_is_named_with_both_sizes(own_data_dir):
    shard = shard_of(own_data_dir, 'train')
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:-1])
    records = size // record_layout.RECORD_BYTES
    assert error_of(own_data_dir) == (
        f'{shard}: {size - 1} bytes, dataset_info.json promises {records} records, {size} bytes'
    )


def test_foreign_file_of_the_right_size_in_place_of_a_shard_is_named(own_data_dir):
    shard = shard_of(own_data_dir, 'train')
    shard.write_bytes(b'\x00' * shard.stat().st_size)
    message = error_of(own_data_dir)
    assert message.startswith(f'{shard}: record 0 starts with 000000000000000000000000')
    assert record_layout.HEADER.hex() in message


@pytest.mark.parametrize('place', ['first', 'last'])
def test_damage_in_a_sampled_record_is_named(own_data_dir, place):
    shard = shard_of(own_data_dir, 'train')
    record = 0 if place == 'first' else shard.stat().st_size // record_layout.RECORD_BYTES - 1
    flip_bit(shard, record * record_layout.RECORD_BYTES + 300)
    assert error_of(own_data_dir) == f'{shard}: record {record}: CRC of the data is wrong'


@pytest.mark.parametrize('byte', [12, 30, 300, 755])
def test_any_damage_is_named_when_all_records_are_checked(own_data_dir, byte):
    shard = shard_of(own_data_dir, 'train')
    flip_bit(shard, 5 * record_layout.RECORD_BYTES + byte)
    assert open_split(own_data_dir, 'original', 'train').examples  # record 5 is not in the sample
    assert error_of(own_data_dir, verify_records=True).startswith(f'{shard}: record 5: ')


def test_records_in_another_order_are_found_when_all_are_checked(own_data_dir):
    shard = shard_of(own_data_dir, 'train')
    content, size = shard.read_bytes(), record_layout.RECORD_BYTES
    shard.write_bytes(
        content[: 5 * size] + content[6 * size : 7 * size] + content[5 * size : 6 * size] + content[7 * size :]
    )
    message = error_of(own_data_dir, verify_records=True)
    assert message.startswith(f'{shard}: CRC-32C ')
    assert 'metadata.json promises' in message


def test_dataset_in_a_bucket_is_opened_as_a_local_one(data_dir, s3_bucket, tmp_path):
    local = open_split(data_dir, 'original', 'test', verify_records=True)
    remote_dir = f'{s3_bucket}/data'
    for path in pathlib.Path(local.folder).iterdir():
        store.upload(str(path), f'{dataset_folder(remote_dir, "original")}/{path.name}')
    with cached_in(str(tmp_path), 0.1):
        remote = open_split(remote_dir, 'original', 'test', verify_records=True)
    assert remote.metadata == local.metadata
    assert [shard.examples for shard in remote.shards] == [shard.examples for shard in local.shards]
    assert is_built(remote_dir, 'original') and not is_built(remote_dir, 'non_homogeneous')
    info = f'{dataset_folder(remote_dir, "non_homogeneous")}/dataset_info.json'
    with pytest.raises(UserError, match=f'^{info}: no such file; sero-build'):
        open_split(remote_dir, 'non_homogeneous', 'test')
    store.write_object(remote.shards[0].path, bytes(10))
    with pytest.raises(UserError, match=f'^{remote.shards[0].path}: 10 bytes, dataset_info.json promises'):
        open_split(remote_dir, 'original', 'test')


def test_damage_of_one_split_leaves_the_others_usable(own_data_dir):
    shard_of(own_data_dir, 'test').unlink()
    assert open_split(own_data_dir, 'original', 'train').examples


def test_unknown_config_is_named_with_those_that_there_are(data_dir):
    assert error_of(data_dir, 'orignal') == (
        "no dataset 'orignal'; there are original, non_homogeneous, synthetic_small, synthetic, published_synthetic"
    )


def test_unknown_split_is_named_with_those_that_there_are(data_dir):
    message = error_of(data_dir, 'original', 'tset')
    assert message.endswith("no split 'tset'; there are test, train, validation")


def test_dataset_without_training_split_says_so(data_dir):
    assert error_of(data_dir, 'non_homogeneous', 'train').endswith("no split 'train'; there are test")


def _swap_lines(path: pathlib.Path) -> None:
    first, second, *others = path.read_text().split('\n')
    path.write_text('\n'.join([second, first, *others]))


@pytest.mark.parametrize('name', ['cell.labels.txt', 'label.labels.txt'])
def test_swapped_names_are_refused(own_data_dir, name):
    path = pathlib.Path(dataset_folder(own_data_dir, 'original'), name)
    _swap_lines(path)
    assert error_of(own_data_dir).startswith(f'{path}: CRC-32C ')


@pytest.mark.parametrize('name', ['features.json', 'rejected.jsonl', 'dataset_info.json', 'metadata.json'])
def test_a_changed_file_beside_the_shards_is_refused(own_data_dir, name):
    path = pathlib.Path(dataset_folder(own_data_dir, 'original'), name)
    path.write_text(path.read_text() + ' ')
    assert error_of(own_data_dir).startswith(f'{path}: CRC-32C ')


def test_checksums_that_are_gone_are_refused(own_data_dir):
    path = pathlib.Path(dataset_folder(own_data_dir, 'original'), 'checksums.json')
    path.unlink()
    assert error_of(own_data_dir).startswith(f'{path}: no such file')


def _as_by_an_early_version(folder: pathlib.Path) -> None:
    metadata = json.loads((folder / 'metadata.json').read_text())
    del metadata['checksums']
    (folder / 'metadata.json').write_text(json.dumps(metadata))
    (folder / 'checksums.json').unlink()


def test_a_dataset_of_an_early_version_is_read_but_not_with_swapped_names(own_data_dir):
    folder = pathlib.Path(dataset_folder(own_data_dir, 'original'))
    _as_by_an_early_version(folder)
    assert open_split(own_data_dir, 'original', 'train').examples > 0
    _swap_lines(folder / 'cell.labels.txt')
    expected = f'{folder}/cell.labels.txt: not the names that metadata.json has, in their order'
    assert error_of(own_data_dir) == expected


@pytest.mark.parametrize('splits', [[{'name': 'train'}], [{'name': 'train', 'shardLengths': ['x']}], {}, 7])
def test_splits_that_are_none_are_refused(own_data_dir, splits):
    path = pathlib.Path(dataset_folder(own_data_dir, 'original'), 'dataset_info.json')
    edit_json(path, splits=splits)
    assert error_of(own_data_dir).startswith(f'{path}: ')


@pytest.mark.parametrize('config', ['original', 'non_homogeneous'])
def test_a_pipe_in_the_folder_is_not_waited_for(own_data_dir, config):
    folder = pathlib.Path(dataset_folder(own_data_dir, config))
    os.mkfifo(folder / 'a_pipe')
    checksums = json.loads((folder / 'checksums.json').read_text())['crc32c']
    (folder / 'checksums.json').write_text(json.dumps({'crc32c': checksums | {'a_pipe': '00000000'}}))
    message = error_of(own_data_dir, config, 'test')
    assert message.startswith(f'{folder}/a_pipe: is a pipe') or 'a_pipe' in message


def test_a_file_of_holes_is_not_read_into_memory(own_data_dir):
    path = pathlib.Path(dataset_folder(own_data_dir, 'original'), 'features.json')
    os.truncate(path, 1 << 40)
    assert error_of(own_data_dir).startswith(f'{path}: is larger than ')


@pytest.mark.parametrize('name', ['../outside.json', '/dev/zero', '\0'])
def test_checksums_of_files_elsewhere_are_refused_and_nothing_is_read_there(own_data_dir, name):
    folder = pathlib.Path(dataset_folder(own_data_dir, 'original'))
    checksums = json.loads((folder / 'checksums.json').read_text())['crc32c']
    (folder / 'checksums.json').write_text(json.dumps({'crc32c': checksums | {name: '00000000'}}))
    assert error_of(own_data_dir).startswith(f'{folder}/checksums.json: ')
