"""Runs ``sero-build`` as a user would, in a process of its own."""

import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.synthesis import synthesizer
from tests.support.commands import error_line, help_of, run_command, run_installed
from tests.support.folders import files_of, shards_of
from tests.support.places import SHARED
from tests.support.recordings import NUM_MASKS, write_spike_csv
from tests.support.requirements import needs_shared
from tests.support.spikes import as_cut, make_spikes
from tests.support.started_commands import start_command

_CONFIGS = ('original', 'non_homogeneous', 'synthetic_small')


def _build(recordings, data_dir, *arguments, configs='original,non_homogeneous', num_masks=NUM_MASKS):
    return run_command(
        'sero-build',
        '--recordings', recordings,
        '--data_dir', data_dir,
        '--configs', configs,
        '--num_masks', num_masks,
        *arguments,
    )  # fmt: skip


def _dataset(data_dir, config: str) -> Path:
    return data_dir / 'sero_spikes' / config / '1.1.0'


def _assert_nothing_left_over(data_dir) -> None:
    left = [path for path in data_dir.rglob('*') if path.name.startswith('.') or '.building' in path.name]
    assert not left
    assert not [path for path in data_dir.rglob('*') if '.tmp-' in path.name]


def _rejected(data_dir) -> dict[str, dict]:
    lines = (data_dir / 'sero_spikes' / 'rejected.jsonl').read_text().splitlines()
    files = [json.loads(line) for line in lines]
    assert all(set(file) == {'path', 'reason', 'detail'} for file in files)
    return {file['path']: file for file in files}


@pytest.fixture
def recordings(recordings_root, tmp_path) -> Path:
    """A copy of the simulated recordings that a test may change."""
    return Path(shutil.copytree(recordings_root, tmp_path / 'recordings'))


def test_a_good_build_leaves_whole_datasets_and_nothing_else(data_dir):
    assert sorted(os.listdir(data_dir)) == ['sero_spikes']
    assert sorted(os.listdir(data_dir / 'sero_spikes')) == sorted([*_CONFIGS, 'rejected.jsonl'])
    for config in _CONFIGS:
        assert os.listdir(data_dir / 'sero_spikes' / config) == ['1.1.0']
    _assert_nothing_left_over(data_dir)
    assert _rejected(data_dir) == {}


def test_the_summary_accounts_for_every_file_and_trigger(recordings, tmp_path):
    result = _build(recordings, tmp_path / 'data')
    assert result.returncode == 0
    assert result.stderr == ''
    summary = result.stdout.splitlines()
    assert summary[0].startswith('original: 8 files = 8 used + 0 rejected; ')
    for line in summary[:2]:
        triggers, spikes, dropped = [int(word) for word in line.split(';')[1].split() if word.isdigit()]
        assert triggers == spikes + dropped > 0


def test_the_metadata_account_for_every_file_and_trigger(data_dir):
    for config in _CONFIGS:
        metadata = json.loads((_dataset(data_dir, config) / 'metadata.json').read_text())
        assert metadata['files_used'] == 8
        assert metadata['files_rejected'] == 0
        assert metadata['triggers'] == metadata['spikes'] + metadata['triggers_dropped']


@pytest.mark.parametrize('config', _CONFIGS)
def test_all_records_are_whole(data_dir, config):
    for name, content in shards_of(_dataset(data_dir, config)).items():
        rows = np.frombuffer(content, np.uint8).reshape(-1, record_layout.RECORD_BYTES)
        assert record_layout.find_bad_records(rows) == [], name


def test_no_cell_stands_in_two_splits_and_synthetic_spikes_come_from_training_cells(data_dir):
    def cells(config, split):
        folder = _dataset(data_dir, config)
        names = (folder / 'cell.labels.txt').read_text().splitlines()
        content = b''.join(shard for name, shard in shards_of(folder).items() if f'-{split}.' in name)
        records = record_layout.view_records(np.frombuffer(content, np.uint8))
        return {names[cell] for cell in record_layout.decode_varints(records['cell'])}

    train, validation, test = (cells('original', split) for split in ('train', 'validation', 'test'))
    assert not (train & validation or train & test or validation & test)
    assert len(train | validation | test) == 8
    assert cells('synthetic_small', 'train') == train


def test_another_seed_gives_other_splits_and_spikes(recordings_root, data_dir, tmp_path):
    assert _build(recordings_root, tmp_path, '--seed=1', configs='original,synthetic_small').returncode == 0
    for config in ('original', 'synthetic_small'):
        assert shards_of(_dataset(tmp_path, config)) != shards_of(_dataset(data_dir, config))


# What the user can get wrong.


def test_a_missing_root_is_an_error_that_says_what_was_expected(tmp_path):
    line = error_line(_build(tmp_path / 'none', tmp_path / 'data'))
    assert line.startswith(f'sero-build: {tmp_path}/none: no such folder; expected recordings in')
    assert not (tmp_path / 'data').exists()


def test_an_empty_class_folder_is_an_error_that_names_it(recordings, tmp_path):
    folder = recordings / 'original' / 'NSER'
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / '.DS_Store').touch()
    line = error_line(_build(recordings, tmp_path / 'data'))
    assert f'{folder}: no recordings; expected CELL.abf or CELL/CELL_trigger_N.csv' in line


def test_a_class_folder_of_another_name_is_an_error_that_names_both(recordings, tmp_path):
    (recordings / 'original' / 'SER').rename(recordings / 'original' / 'SER ')
    line = error_line(_build(recordings, tmp_path / 'data'))
    assert line == f"sero-build: {recordings}/original: its folder 'SER ' must be named 'SER'"
    assert not (tmp_path / 'data').exists()


def test_a_class_folder_of_unusable_files_is_an_error_and_they_are_listed(recordings, tmp_path):
    folder = recordings / 'original' / 'NSER'
    for path in folder.iterdir():
        path.write_text('not a recording')
    line = error_line(_build(recordings, tmp_path / 'data'))
    assert 'no usable NSER recording in original/NSER' in line
    assert {Path(path).parent for path in _rejected(tmp_path / 'data')} == {folder}
    _assert_nothing_left_over(tmp_path / 'data')


def test_fewer_than_three_cells_of_a_class_are_an_error(recordings, tmp_path):
    for path in sorted((recordings / 'original' / 'SER').iterdir())[2:]:
        path.unlink()
    assert '2 usable SER cells: a split by cell needs at least 3' in error_line(_build(recordings, tmp_path / 'data'))


@pytest.mark.parametrize('place', ['file', 'file/below'])
def test_an_output_that_cannot_be_written_is_an_error(recordings_root, tmp_path, place):
    (tmp_path / 'file').touch()
    line = error_line(_build(recordings_root, tmp_path / place))
    assert f'{tmp_path / place}' in line
    assert 'cannot be written' in line


def test_an_unknown_config_is_an_error_that_lists_those_there_are(recordings_root, tmp_path):
    line = error_line(_build(recordings_root, tmp_path, configs='original,big'))
    assert line == (
        "sero-build: --configs: no dataset 'big'; there are original, non_homogeneous, synthetic_small, synthetic,"
        ' published_synthetic'
    )


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        ('--masks_per_spike=1', '--masks_per_spike=1: expected two numbers'),
        ('--masks_a_spike=1', '--masks_per_spike=1: expected two numbers'),
        ('--weights=low,high', '--weights=low,high: expected two numbers'),
        ('--synthetic_examples=-1,1', '--synthetic_examples=-1,1: must not be negative'),
        ('--masks_a_spike=1,9', '--masks_per_spike: masks per spike must be 1..4, got 1..9'),
        ('--scale=0', '--scale=0: expected a factor, such as 1000'),
        ('--scale=nan', '--scale=nan: expected a factor, such as 1000'),
        ('--trigger_pa=50', '--trigger_pa=50: expected a negative number, such as -50, also for'),
        ('--trigger_pa=-inf', '--trigger_pa=-inf: expected a negative number'),
        ('--trigger_sd=-3', '--trigger_sd=-3: expected a positive number, such as 5'),
        ('--weights=0.5,0.1', '--weights: min_weight 0.5 is above max_weight 0.1'),
    ],
)
def test_a_number_that_cannot_be_is_an_error(recordings_root, tmp_path, argument, message):
    assert message in error_line(_build(recordings_root, tmp_path, argument))


def test_an_existing_output_is_kept_byte_for_byte(recordings_root, data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / 'data')
    before = files_of(tmp_path / 'data')
    line = error_line(_build(recordings_root, tmp_path / 'data', '--seed=1'))
    assert line.endswith('sero_spikes/original/1.1.0: exists and is kept; --overwrite replaces it')
    assert files_of(tmp_path / 'data') == before


def test_overwrite_replaces_what_is_asked_for_and_nothing_else(recordings_root, data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / 'data')
    result = _build(recordings_root, tmp_path / 'data', '--seed=1', '--overwrite', configs='non_homogeneous')
    assert result.returncode == 0, result.stderr
    replaced, before = (_dataset(folder, 'non_homogeneous') for folder in (tmp_path / 'data', data_dir))
    assert shards_of(replaced) != shards_of(before)
    for config in ('original', 'synthetic_small'):
        assert files_of(_dataset(tmp_path / 'data', config)) == files_of(_dataset(data_dir, config))
    _assert_nothing_left_over(tmp_path / 'data')


def test_a_split_that_contradicts_a_dataset_that_stays_is_refused(recordings_root, data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / 'data')
    before = files_of(_dataset(tmp_path / 'data', 'original'))
    line = error_line(_build(recordings_root, tmp_path / 'data', '--seed=1', '--overwrite', configs='original'))
    assert 'holds synthetic_small of other recordings or another seed, so test cells of the one could train' in line
    assert files_of(_dataset(tmp_path / 'data', 'original')) == before


def test_overwrite_that_fails_keeps_the_old_dataset(recordings_root, data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / 'data')
    result = _build(recordings_root, tmp_path / 'data', '--overwrite', configs='synthetic_small', num_masks=100_000)
    assert 'not enough silence: 100000 noise masks of 4 ms wanted' in error_line(result)
    kept = files_of(_dataset(tmp_path / 'data', 'synthetic_small'))
    assert kept == files_of(_dataset(data_dir, 'synthetic_small'))
    _assert_nothing_left_over(tmp_path / 'data')


def test_the_other_protocol_is_refused_in_the_same_data_dir(recordings_root, data_dir, tmp_path):
    shutil.copytree(_dataset(data_dir, 'original'), _dataset(tmp_path, 'original'))
    line = error_line(_build(recordings_root, tmp_path, '--protocol=published', configs='non_homogeneous'))
    assert 'holds original of protocol by_cell, asked for published; use another --data_dir' in line
    assert not _dataset(tmp_path, 'non_homogeneous').exists()


def test_rejected_files_are_listed_and_fail_the_command_but_not_the_build(recordings, tmp_path):
    folder = recordings / 'original' / 'SER'
    good = sorted(folder.glob('*.abf'))[0]
    (folder / 'text.abf').write_text('not a recording')
    (folder / 'empty.abf').touch()
    (folder / 'truncated.abf').write_bytes(good.read_bytes()[:100_000])
    (folder / 'notes.txt').write_text('a note')
    (folder / good.stem).mkdir()
    csv_of_a_used_cell = write_spike_csv(folder / good.stem, 500, np.zeros(160))
    short = write_spike_csv(folder / 'A1#1', 900, np.zeros(159))
    write_spike_csv(folder / 'A1#1', 500, as_cut(make_spikes(1)[0])[0])

    result = _build(recordings, tmp_path / 'data')
    assert 'sero-build: 6 files rejected, see ' in error_line(result)
    assert 'original: 15 files = 9 used + 6 rejected' in result.stdout
    rejected = _rejected(tmp_path / 'data')
    assert {path: file['reason'] for path, file in rejected.items()} == {
        str(folder / 'text.abf'): 'not_abf',
        str(folder / 'empty.abf'): 'not_abf',
        str(folder / 'truncated.abf'): 'truncated',
        str(folder / 'notes.txt'): 'unknown_format',
        str(csv_of_a_used_cell): 'duplicate_cell',
        str(short): 'bad_csv',
    }
    assert all(file['detail'] for file in rejected.values())
    assert list(rejected) == sorted(rejected)
    metadata = json.loads((_dataset(tmp_path / 'data', 'original') / 'metadata.json').read_text())
    assert (metadata['files_used'], metadata['files_rejected']) == (9, 6)

    allowed = _build(recordings, tmp_path / 'data', '--allow_rejected', '--overwrite')
    assert allowed.returncode == 0
    _assert_nothing_left_over(tmp_path / 'data')


@needs_shared
def test_files_of_other_laboratories_are_used_or_rejected_and_none_is_forgotten(recordings, tmp_path):
    folder = recordings / 'original' / 'SER'
    # One recording is there in two formats, and a build refuses it twice.
    names = {path.name for path in (SHARED / 'data/abf').glob('*.abf')} - {'18425108_abf1.abf'}
    for name in names:
        shutil.copyfile(SHARED / 'data/abf' / name, folder / name)
    for arguments in (('--allow_rejected',), ('--allow_rejected', '--resample', '--overwrite')):
        result = _build(recordings, tmp_path / 'data', *arguments, configs='original')
        assert result.returncode == 0, result.stderr
        cells = (_dataset(tmp_path / 'data', 'original') / 'cell.labels.txt').read_text().splitlines()
        rejected = {Path(path).name for path in _rejected(tmp_path / 'data')}
        used = {f'{cell}.abf' for cell in cells} & names
        assert used | rejected == names
        assert not used & rejected
    assert '171116sh_0014.abf' in used


def test_a_shard_that_cannot_be_written_is_an_error_and_the_next_build_ends_in_the_same_bytes(
    recordings_root, data_dir, tmp_path
):
    # The system refuses files beyond 20 MiB, as a full disk would; the shard has 92.
    arguments = [
        Path(sys.executable).parent / 'sero-build',
        f'--recordings={recordings_root}',
        f'--data_dir={tmp_path}',
        '--configs=synthetic_small',
        f'--num_masks={NUM_MASKS}',
    ]
    limited = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, 20 << 20)),
    )
    line = error_line(limited)
    assert f'{tmp_path}/sero_spikes/synthetic_small/1.1.0.building/' in line
    assert '/sero_spikes-train.tfrecord-00000-of-00001: File too large' in line
    assert not _dataset(tmp_path, 'synthetic_small').exists()
    assert not list(tmp_path.rglob('*.tmp-*'))

    result = _build(recordings_root, tmp_path, configs='synthetic_small')
    assert result.returncode == 0, result.stderr
    assert files_of(_dataset(tmp_path, 'synthetic_small')) == files_of(_dataset(data_dir, 'synthetic_small'))
    _assert_nothing_left_over(tmp_path)


# The same recordings and seed give the same bytes.


@pytest.fixture(scope='module')
def many_shards(recordings_root, tmp_path_factory) -> Path:
    """Datasets of `recordings_root` in shards of at most 1 MiB."""
    folder = tmp_path_factory.mktemp('many_shards')
    result = _build(recordings_root, folder, '--max_shard_size_mb=1', configs=','.join(_CONFIGS))
    assert result.returncode == 0, result.stderr
    return folder


def test_a_second_build_gives_the_same_bytes_in_every_file(recordings_root, data_dir, tmp_path):
    assert _build(recordings_root, tmp_path, configs=','.join(_CONFIGS)).returncode == 0
    assert files_of(tmp_path) == files_of(data_dir)


def test_shards_are_no_larger_than_asked_and_hold_the_same_records(many_shards, data_dir):
    shards = shards_of(_dataset(many_shards, 'synthetic_small'))
    assert len(shards) == 92
    assert max(map(len, shards.values())) <= 1 << 20
    (whole,) = shards_of(_dataset(data_dir, 'synthetic_small')).values()
    assert b''.join(shards.values()) == whole


def test_order_and_dates_of_files_do_not_matter(recordings_root, data_dir, tmp_path):
    for path in sorted(recordings_root.rglob('*'), reverse=True):
        if path.is_file():
            copy = tmp_path / 'recordings' / path.relative_to(recordings_root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    assert _build(tmp_path / 'recordings', tmp_path / 'data', configs='original').returncode == 0
    assert shards_of(_dataset(tmp_path / 'data', 'original')) == shards_of(_dataset(data_dir, 'original'))


@pytest.mark.slow
def test_two_workers_give_the_same_bytes_in_every_file(recordings_root, many_shards, tmp_path):
    result = _build(
        recordings_root,
        tmp_path,
        '--max_shard_size_mb=1',
        '--',
        '--direct_running_mode=multi_processing',
        '--direct_num_workers=2',
        configs=','.join(_CONFIGS),
    )
    assert result.returncode == 0, result.stderr
    # On a slow machine the build takes long enough for progress to be shown; nothing else may be there.
    assert all(re.match(r' *\d+ s  ', line) for line in result.stderr.splitlines()), result.stderr
    assert files_of(tmp_path) == files_of(many_shards)


def _kill_when(there: str, recordings, data_dir) -> None:
    """Starts a build and kills it with all its workers as soon as a file with such a path is there."""
    process = start_command(
        'sero-build',
        f'--recordings={recordings}',
        f'--data_dir={data_dir}',
        f'--configs={",".join(_CONFIGS)}',
        f'--num_masks={NUM_MASKS}',
        '--max_shard_size_mb=1',
    )
    deadline = time.monotonic() + 60
    while not any((data_dir / 'sero_spikes').glob(there)):
        assert process.is_alive(), 'the build ended before it could be killed'
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(
    'there',
    [
        '.staging/*.spikes',
        'synthetic_small/1.1.0.building.plan.json',
        'synthetic_small/1.1.0.building/*/*-00040-of-*',
        'original/1.1.0/dataset_info.json',
    ],
    ids=['reading', 'planned', 'writing', 'first_dataset_done'],
)
def test_a_killed_build_started_again_ends_in_the_same_bytes(recordings_root, many_shards, tmp_path, there):
    _kill_when(there, recordings_root, tmp_path)
    for config in _CONFIGS:
        folder = _dataset(tmp_path, config)
        assert not folder.exists() or files_of(folder) == files_of(_dataset(many_shards, config))
    result = _build(recordings_root, tmp_path, '--max_shard_size_mb=1', configs=','.join(_CONFIGS))
    assert result.returncode == 0, result.stderr
    assert files_of(tmp_path) == files_of(many_shards)
    _assert_nothing_left_over(tmp_path)


@pytest.mark.slow
def test_what_a_killed_build_has_made_is_kept_from_a_build_of_something_else(recordings_root, tmp_path):
    _kill_when('original/1.1.0/dataset_info.json', recordings_root, tmp_path)
    before = files_of(_dataset(tmp_path, 'original'))
    line = error_line(_build(recordings_root, tmp_path, '--seed=1', configs='original'))
    assert 'original/1.1.0: exists and is kept; --overwrite replaces it' in line
    assert files_of(_dataset(tmp_path, 'original')) == before


# The published spike through the whole path.


@needs_shared
def test_synthetic_versions_of_the_published_spike_are_like_the_published_ones(recordings, tmp_path):
    with open(SHARED / 'data/published/published_spike.csv', encoding='utf-8') as file:
        spike = np.array([float(row['current_pA']) for row in csv.DictReader(file)], np.float32)
    write_spike_csv(recordings / 'original' / 'SER' / 'A140313#073', 1_007_585, spike)
    result = _build(recordings, tmp_path, '--protocol=published', configs='original,synthetic_small')
    assert result.returncode == 0, result.stderr

    folder = _dataset(tmp_path, 'synthetic_small')
    number = (folder / 'cell.labels.txt').read_text().splitlines().index('A140313#073')
    records = record_layout.view_records(np.frombuffer(b''.join(shards_of(folder).values()), np.uint8))
    records = records[record_layout.decode_varints(records['cell']) == number]
    assert set(record_layout.decode_varints(records['trigger'])) == {1_007_585}
    assert set(record_layout.decode_varints(records['label'])) == {0}

    smoothed = synthesizer.smooth(spike[np.newaxis])[0].astype(np.float64)
    residuals = records['waveform'] - smoothed
    assert len(residuals) > 100
    sds = residuals.std(axis=1)
    assert 1.2 < np.median(sds) < 2.6
    low, high = np.quantile(sds, [0.05, 0.95])
    assert 0.8 <= low < high <= 3.5
    centred = residuals - residuals.mean(axis=1, keepdims=True)
    lag_1 = (centred[:, 1:] * centred[:, :-1]).sum(axis=1) / (centred**2).sum(axis=1)
    assert 0.55 <= lag_1.mean() <= 0.8
    gain, _ = np.polyfit(smoothed, records['waveform'].mean(axis=0), 1)
    assert gain == pytest.approx(1, abs=0.03)


# The command line.


def test_help_is_fast_and_shows_the_flags():
    text = help_of('sero-build')
    for flag in ('recordings', 'data_dir', 'configs', 'seed', 'protocol', '[no]allow_rejected', '[no]resample'):
        assert f'--{flag}' in text, flag
    assert 'sero-build --recordings recordings --data_dir data' in text


def test_a_missing_flag_is_named():
    result = run_installed('sero-build')
    assert result.returncode in (1, 2)
    assert '--recordings' in result.stderr + result.stdout
    assert 'Traceback' not in result.stderr


def test_importing_the_package_imports_neither_beam_nor_tensorflow():
    modules = 'beam_pipelines, beam_pipelines.build, beam_pipelines.recordings.cell_files, beam_pipelines.planning.plan'
    code = f"import sys, {modules}; print([m for m in ('apache_beam', 'tensorflow', 'pyabf') if m in sys.modules])"
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60)
    assert result.stdout == '[]\n', result.stderr
