"""``sero-verify`` finds whatever is not as it was built."""

import json
import shutil

import numpy as np
import pytest

from beam_pipelines import record_layout
from tests.conftest import error_line, run_command


@pytest.fixture
def datasets_copy(data_dir, tmp_path):
    shutil.copytree(data_dir / 'sero_spikes', tmp_path / 'sero_spikes')
    return tmp_path / 'sero_spikes'


def _verify(folder):
    result = run_command('sero-verify', folder)
    return result, json.loads(result.stdout.splitlines()[-1])


def _shard(datasets_copy, config='original'):
    return sorted((datasets_copy / config).glob('*/*.tfrecord-*'))[0]


def _change(path, record: int, field: str, value) -> None:
    """Changes a field of a record and mends the CRC, as a program that writes wrong records would."""
    rows = np.fromfile(path, np.uint8).reshape(-1, record_layout.RECORD_BYTES)
    record_layout.view_records(rows)[field][record] = value
    record_layout.view_records(rows)['crc'] = record_layout.data_crcs(rows)
    rows.tofile(path)


def test_datasets_as_built_pass_and_all_records_are_counted(data_dir):
    result, summary = _verify(data_dir / 'sero_spikes')
    shards = [path for path in data_dir.rglob('*') if '.tfrecord-' in path.name]
    assert result.returncode == 0 and result.stderr == ''
    assert summary['errors'] == 0 and len(summary['datasets']) == 3
    assert summary['records'] == sum(path.stat().st_size for path in shards) // record_layout.RECORD_BYTES


def test_every_flipped_byte_is_found_and_named_by_shard_and_record(datasets_copy):
    shards = sorted(path for path in datasets_copy.rglob('*') if '.tfrecord-' in path.name)
    generator = np.random.default_rng(0)
    flipped = set()
    while len(flipped) < 200:
        path = shards[generator.integers(len(shards))]
        record = int(generator.integers(path.stat().st_size // record_layout.RECORD_BYTES))
        if (path, record) in flipped:
            continue
        flipped.add((path, record))
        with open(path, 'r+b') as file:
            file.seek(record * record_layout.RECORD_BYTES + int(generator.integers(record_layout.RECORD_BYTES)))
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ (1 << int(generator.integers(8)))]))
    result, summary = _verify(datasets_copy)
    assert result.returncode == 1 and summary['errors'] == 200
    named = {line.removeprefix('sero-verify: ').rpartition(': ')[0] for line in result.stderr.splitlines()}
    assert named == {f'{path} record {record}' for path, record in flipped}


@pytest.mark.parametrize(
    'field, value, message',
    [
        ('label', [2], 'label 2, must be 0..1'),
        ('cell', [0xFF, 0xFF, 0x7F], 'must be 0..7'),
        ('mask', [0xFF] * 5 + [0x7F], 'mask'),
    ],
)
def test_a_value_out_of_range_is_found_behind_a_right_crc(datasets_copy, field, value, message):
    path = _shard(datasets_copy)
    _change(path, 3, field, value)
    result, _ = _verify(path.parent)
    assert result.returncode == 1
    assert f'{path} record 3: ' in result.stderr and message in result.stderr


def test_a_label_that_is_not_its_cells_is_found_behind_a_right_crc(datasets_copy):
    path = _shard(datasets_copy)
    label = record_layout.view_records(np.fromfile(path, np.uint8))['label'][5]
    _change(path, 5, 'label', 1 - label)
    result, _ = _verify(path.parent)
    assert f'{path} record 5: label {1 - label[0]}, its cell has {label[0]}' in result.stderr


def test_a_record_that_is_not_finite_is_found(datasets_copy):
    path = _shard(datasets_copy)
    _change(path, 0, 'waveform', np.nan)
    result, _ = _verify(path.parent)
    assert f'{path} record 0: a value that is not finite' in result.stderr


def test_a_shard_that_is_cut_off_is_found(datasets_copy):
    path = _shard(datasets_copy)
    path.write_bytes(path.read_bytes()[:-1])
    result, _ = _verify(path.parent)
    assert 'ends after 755 of 756 bytes' in result.stderr and 'promises' in result.stderr


def test_a_broken_dataset_does_not_hide_another(datasets_copy):
    (datasets_copy / 'non_homogeneous' / '1.0.0' / 'record_layout.json').write_text('{')
    _shard(datasets_copy).unlink()
    result, summary = _verify(datasets_copy)
    assert result.returncode == 1 and summary['errors'] == 2
    assert 'record_layout.json' in result.stderr and 'No such file' in result.stderr


def test_another_format_version_names_file_field_and_both_values(datasets_copy):
    path = datasets_copy / 'original' / '1.0.0' / 'record_layout.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'format_version': 2}))
    result, _ = _verify(path.parent)
    assert f'{path}: format_version is 2, this version of sero-spikes reads 1' in result.stderr


def test_a_missing_checksum_is_an_error(datasets_copy):
    path = datasets_copy / 'original' / '1.0.0' / 'metadata.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'crc32c': {}}))
    result, _ = _verify(path.parent)
    assert result.returncode == 1 and 'promises None' in result.stderr


def test_a_folder_without_datasets_is_an_error(tmp_path):
    assert 'no dataset there' in error_line(run_command('sero-verify', tmp_path))
