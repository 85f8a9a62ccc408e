"""``sero-verify`` finds whatever is not as it was built."""

import itertools
import json
import shutil

import google_crc32c
import numpy as np
import pytest

from beam_pipelines.datasets import record_layout, verification
from beam_pipelines.datasets.checksums import cover
from tests.support.commands import error_line, run_command, run_installed


@pytest.fixture
def datasets_copy(data_dir, tmp_path):
    """A copy of the recorded datasets."""
    for config in ('original', 'non_homogeneous'):
        shutil.copytree(data_dir / 'sero_spikes' / config, tmp_path / 'sero_spikes' / config)
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
    files = [path for path in data_dir.rglob('*') if '.tfrecord' in path.name]
    assert result.returncode == 0 and result.stderr == ''
    assert summary['errors'] == 0 and len(summary['datasets']) == 3
    assert summary['records'] == sum(path.stat().st_size for path in files) // record_layout.RECORD_BYTES


def test_every_flipped_byte_is_found_and_named_by_file_and_record(datasets_copy, data_dir):
    shutil.copytree(data_dir / 'sero_spikes' / 'synthetic_small', datasets_copy / 'synthetic_small')
    files = sorted(path for path in datasets_copy.rglob('*') if '.tfrecord' in path.name)
    generator = np.random.default_rng(0)
    flipped = set()
    while len(flipped) < 200:
        path = files[generator.integers(len(files))]
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
    named = [line.removeprefix('sero-verify: ').rpartition(': ')[0] for line in result.stderr.splitlines()]
    assert set(named) == {f'{path} record {record}' for path, record in flipped}
    # Files are read side by side, but reported one after the other.
    of_file = [(path, int(record)) for path, record in (name.split(' record ') for name in named)]
    in_order = [path for path, _ in itertools.groupby(of_file, key=lambda one: one[0])]
    assert len(in_order) == len(set(in_order)) and of_file == sorted(
        of_file, key=lambda one: (in_order.index(one[0]), one[1])
    )


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
    (datasets_copy / 'non_homogeneous' / '1.1.0' / 'record_layout.json').write_text('{')
    _shard(datasets_copy).unlink()
    result, summary = _verify(datasets_copy)
    assert result.returncode == 1 and summary['errors'] == 2
    assert 'record_layout.json' in result.stderr and 'No such file' in result.stderr


def test_another_format_version_names_file_field_and_both_values(datasets_copy):
    path = datasets_copy / 'original' / '1.1.0' / 'record_layout.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'format_version': 2}))
    result, _ = _verify(path.parent)
    assert f'{path}: format_version is 2, this version of sero-spikes reads 1' in result.stderr


def test_a_missing_checksum_is_an_error(datasets_copy):
    path = datasets_copy / 'original' / '1.1.0' / 'metadata.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'crc32c': {}}))
    result, _ = _verify(path.parent)
    assert result.returncode == 1 and 'promises None' in result.stderr


@pytest.fixture
def bank(data_dir, tmp_path):
    """The recorded spikes that a `synthetic_small` was made of; it is a copy, but its large shard is the original."""
    built, copied = (folder / 'sero_spikes' / 'synthetic_small' / '1.1.0' for folder in (data_dir, tmp_path))
    shutil.copytree(built, copied, ignore=shutil.ignore_patterns('*.tfrecord-*'))
    for shard in built.glob('*.tfrecord-*'):
        (copied / shard.name).hardlink_to(shard)
    return copied / 'spike_bank.tfrecord'


def _promise(bank, **promises) -> None:
    """Changes what the metadata say of the spike bank."""
    path = bank.parent / 'metadata.json'
    metadata = json.loads(path.read_text())
    metadata['synthesis'] |= promises
    path.write_text(json.dumps(metadata))
    cover(path.parent, [path.name])


def test_a_missing_spike_bank_is_found(bank):
    bank.unlink()
    assert error_line(_verify(bank.parent)[0]) == f'sero-verify: {bank}: No such file or directory'


def test_a_spike_bank_that_is_cut_off_is_found(bank):
    content = bank.read_bytes()
    bank.write_bytes(content[: -record_layout.RECORD_BYTES])
    whole = len(content) // record_layout.RECORD_BYTES
    line = error_line(_verify(bank.parent)[0])
    assert line == f'sero-verify: {bank}: {whole - 1} records, metadata.json promises {whole}'


@pytest.mark.parametrize(
    'field, value, message',
    [
        ('label', [2], 'label 2, must be 0..1'),
        ('cell', [0xFF, 0xFF, 0x7F], 'cell 2097151, must be 0..3'),
        ('mask', [0x81, 0x80, 0x80, 0x80, 0x80, 0], 'mask 1, must be 0..0'),
    ],
)
def test_a_value_out_of_range_is_found_in_the_spike_bank(bank, field, value, message):
    _change(bank, 3, field, value)
    assert error_line(_verify(bank.parent)[0]) == f'sero-verify: {bank} record 3: {message}'


def test_spikes_in_another_order_are_not_the_bank_that_the_examples_were_made_of(bank):
    rows = np.fromfile(bank, np.uint8).reshape(-1, record_layout.RECORD_BYTES)
    rows[[0, 1]] = rows[[1, 0]]
    rows.tofile(bank)
    assert f'{bank}: CRC-32C ' in error_line(_verify(bank.parent)[0])


def test_a_spike_of_another_cell_is_found_in_the_spike_bank_behind_right_checksums(bank):
    rows = np.fromfile(bank, np.uint8).reshape(-1, record_layout.RECORD_BYTES)
    cell = record_layout.decode_varints(record_layout.view_records(rows)['cell'])
    rows[0] = rows[np.flatnonzero(cell != 0)[0]]
    rows.tofile(bank)
    _promise(bank, spike_bank_crc32c=f'{google_crc32c.value(rows.tobytes()):08x}')
    spikes = np.count_nonzero(cell == 0)
    line = error_line(_verify(bank.parent)[0])
    assert f'{bank.parent}: {spikes - 1} spikes of cell SIM' in line
    assert line.endswith(f', metadata.json promises {spikes}')


def test_changed_noise_masks_are_found(bank):
    masks = bank.parent / 'noise_masks.npy'
    content = bytearray(masks.read_bytes())
    content[-3] ^= 1
    masks.write_bytes(content)
    assert f'{masks}: CRC-32C ' in error_line(_verify(bank.parent)[0])


def test_missing_noise_masks_are_found(bank):
    masks = bank.parent / 'noise_masks.npy'
    masks.unlink()
    assert error_line(_verify(bank.parent)[0]) == f'sero-verify: {masks}: No such file or directory'


def test_a_synthetic_dataset_without_a_spike_bank_in_its_metadata_is_an_error(bank):
    path = bank.parent / 'metadata.json'
    metadata = json.loads(path.read_text())
    del metadata['synthesis']['spike_bank']
    path.write_text(json.dumps(metadata))
    assert error_line(_verify(bank.parent)[0]).endswith(
        'metadata.json: synthesis has no spike_bank; build the dataset anew'
    )


def test_a_folder_without_datasets_is_an_error(tmp_path):
    assert 'no dataset there' in error_line(run_installed('sero-verify', tmp_path))


def _swap_lines(path) -> None:
    first, second, *others = path.read_text().split('\n')
    path.write_text('\n'.join([second, first, *others]))


def test_swapped_cell_names_are_found(datasets_copy):
    path = datasets_copy / 'original' / '1.1.0' / 'cell.labels.txt'
    _swap_lines(path)
    assert error_line(_verify(path.parent)[0]).startswith(f'sero-verify: {path}: CRC-32C ')


def test_a_flipped_bit_is_found_in_each_file_of_a_dataset(datasets_copy, data_dir):
    shutil.copytree(data_dir / 'sero_spikes' / 'synthetic_small', datasets_copy / 'synthetic_small')
    for path in sorted(datasets_copy.rglob('*')):
        if path.is_file() and path.stat().st_size:
            content = path.read_bytes()
            middle = len(content) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
            result, _ = _verify(path.parent)
            assert result.returncode == 1, path
            path.write_bytes(content)
    assert _verify(datasets_copy)[0].returncode == 0


def test_a_file_that_was_empty_is_covered_too(datasets_copy):
    path = datasets_copy / 'original' / '1.1.0' / 'rejected.jsonl'
    path.write_text('{}')
    assert error_line(_verify(path.parent)[0]).startswith(f'sero-verify: {path}: CRC-32C ')


@pytest.mark.parametrize(
    ('content', 'said'),
    [(None, 'No such file'), ('{', 'Expecting property'), ('{}', 'crc32c'), ('{"crc32c": {}}', 'no checksum of')],
)
def test_checksums_that_are_gone_or_damaged_are_found(datasets_copy, content, said):
    path = datasets_copy / 'original' / '1.1.0' / 'checksums.json'
    path.unlink()
    if content is not None:
        path.write_text(content)
    line = error_line(_verify(path.parent)[0])
    assert line.startswith(f'sero-verify: {path}: ') and said in line


def test_a_dataset_of_an_early_version_passes_with_a_line_that_says_what_is_not_covered(datasets_copy):
    folder = datasets_copy / 'original' / '1.1.0'
    metadata = json.loads((folder / 'metadata.json').read_text())
    (folder / 'metadata.json').write_text(json.dumps({key: metadata[key] for key in metadata if key != 'checksums'}))
    (folder / 'checksums.json').unlink()
    result, _ = _verify(folder)
    assert result.returncode == 0 and f'{folder}: built by an early version' in result.stderr
    _swap_lines(folder / 'cell.labels.txt')
    result, _ = _verify(folder)
    assert result.returncode == 1 and 'not the names that metadata.json has' in result.stderr


def test_dataset_that_is_replaced_while_it_is_read_is_not_called_damaged(datasets_copy, monkeypatch):
    folder = datasets_copy / 'original' / '1.1.0'
    verify_files = verification._verify_files

    def replace_first(promises):
        folder.rename(folder.with_name('old'))
        shutil.copytree(datasets_copy / 'non_homogeneous' / '1.1.0', folder)
        return verify_files(promises)

    monkeypatch.setattr(verification, '_verify_files', replace_first)
    line = error_line(run_command('sero-verify', folder))
    assert line == f'sero-verify: {folder}: was replaced by another dataset while it was read; verify it again'


def test_folders_of_a_build_are_no_datasets(datasets_copy):
    for name in ('1.1.0.replaced', '1.1.0.building/00c0ffee', 'incomplete.ABCDEF_1.1.0'):
        shutil.copytree(datasets_copy / 'original' / '1.1.0', datasets_copy / 'original' / name)
    result, summary = _verify(datasets_copy)
    assert result.returncode == 0 and len(summary['datasets']) == 2
    aside = datasets_copy / 'original' / '1.1.0.replaced'
    assert result.stderr.startswith(f'sero-verify: {aside}: the dataset that was here before')
    result, summary = _verify(aside)
    assert result.returncode == 0 and len(summary['datasets']) == 1


@pytest.mark.parametrize('is_new_one_there', [False, True])
def test_dataset_that_a_build_set_aside_is_named(datasets_copy, is_new_one_there):
    folder = datasets_copy / 'original' / '1.1.0'
    aside = folder.with_name('1.1.0.replaced')
    folder.rename(aside)
    if is_new_one_there:
        shutil.copytree(aside, folder)
    for given in (folder, folder.parent):
        result = run_command('sero-verify', given)
        assert result.returncode == (0 if is_new_one_there else 1)
        assert result.stderr.count('\n') == 1 and f'{aside}: the dataset that was here before' in result.stderr
