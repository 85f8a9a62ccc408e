"""The dataset as TFDS users meet it: ``tfds.load`` of what was built, and ``tfds build``."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

import tfds_sero  # noqa: F401 - registers the dataset.
from beam_pipelines.datasets import record_layout
from beam_pipelines.storage import files
from tests.support.commands import run_command, run_tfds
from tests.support.folders import files_of, shards_of
from tests.support.places import ROOT
from tests.support.recordings import copy_without_stamp

_SPLITS = ('train', 'validation', 'test')
_TWO_WORKERS = 'direct_running_mode=multi_processing,direct_num_workers=2'


def _dataset(data_dir: Path, config: str) -> Path:
    return data_dir / 'sero_spikes' / config / '1.1.0'


def _records(data_dir: Path, config: str, split: str) -> dict[str, np.ndarray]:
    """Returns the values of a split as they stand in the shards."""
    shards = shards_of(_dataset(data_dir, config))
    content = b''.join(shard for name, shard in shards.items() if f'-{split}.' in name)
    records = record_layout.view_records(np.frombuffer(content, np.uint8))
    integers = {name: record_layout.decode_varints(records[name]) for name in ('label', 'cell', 'trigger', 'mask')}
    return {'waveform': records['waveform'], **integers}


def _load(data_dir: Path, name: str, split: str, **options):
    return tfds.load(f'sero_spikes/{name}', split=split, data_dir=data_dir, download=False, **options)


def test_load_gives_the_features_and_the_names(data_dir):
    _, info = _load(data_dir, 'original', 'train', with_info=True)
    assert {name: (feature.shape, str(np.dtype(feature.np_dtype))) for name, feature in info.features.items()} == {
        'waveform': ((160,), 'float32'),
        'label': ((), 'int64'),
        'cell': ((), 'int64'),
        'trigger': ((), 'int64'),
        'mask': ((), 'int64'),
    }
    assert info.features['label'].names == ['SER', 'NSER']
    assert len(info.features['cell'].names) == 8
    assert set(info.splits) == set(_SPLITS)
    assert info.supervised_keys == ('waveform', 'label')


@pytest.mark.parametrize(
    ('config', 'split'),
    [*(('original', split) for split in _SPLITS), ('non_homogeneous', 'test'), ('synthetic_small', 'train[:1000]')],
)
def test_load_gives_the_values_in_the_shards(data_dir, config, split):
    loaded = _load(data_dir, config, split, batch_size=-1)
    expected = _records(data_dir, config, split.partition('[')[0])
    for name, values in expected.items():
        np.testing.assert_array_equal(loaded[name], values[: len(loaded[name])], err_msg=name)


def test_the_sizes_of_the_splits_are_those_of_the_shards(data_dir):
    for config in ('original', 'non_homogeneous', 'synthetic_small'):
        info = tfds.builder(f'sero_spikes/{config}', data_dir=data_dir).info
        for split in info.splits:
            assert info.splits[split].num_examples == len(_records(data_dir, config, split)['label'])
            assert info.splits[split].num_bytes == 756 * info.splits[split].num_examples


def test_the_cell_names_are_those_of_the_recordings(data_dir, recordings_root):
    info = tfds.builder('sero_spikes/non_homogeneous', data_dir=data_dir).info
    expected = [path.stem for path in (recordings_root / 'non_homogeneous').rglob('*.abf')]
    assert info.features['cell'].names == sorted(expected)


def test_a_part_of_a_split_can_be_loaded(data_dir):
    part = list(_load(data_dir, 'synthetic_small', 'train[:10%]'))
    assert len(part) == pytest.approx(12_700.6, abs=1)
    np.testing.assert_array_equal(
        part[-1]['waveform'], _records(data_dir, 'synthetic_small', 'train')['waveform'][len(part) - 1]
    )


def test_supervised_examples_are_waveform_and_label(data_dir):
    waveform, label = next(iter(_load(data_dir, 'original', 'train', as_supervised=True)))
    assert waveform.shape == (160,)
    assert int(label) in (0, 1)


def test_as_dataframe_shows_the_examples(data_dir):
    dataset, info = _load(data_dir, 'original', 'validation', with_info=True)
    frame = tfds.as_dataframe(dataset, info)
    assert set(frame.columns) == {'waveform', 'label', 'cell', 'trigger', 'mask'}
    assert frame['trigger'].tolist() == _records(data_dir, 'original', 'validation')['trigger'].tolist()


@pytest.fixture(scope='module')
def in_a_new_process(data_dir, tmp_path_factory) -> list[str]:
    """What a process elsewhere says of the test split without this project's code, then of Beam with it."""
    code = f"""
import sys, tensorflow_datasets as tfds
builder = tfds.builder_from_directory({str(_dataset(data_dir, 'original'))!r})
examples = list(builder.as_dataset(split='test'))
assert not any(name.startswith(('tfds_sero', 'beam_pipelines')) for name in sys.modules)
print(len(examples), builder.info.features['label'].names, builder.info.metadata['source'])
import tfds_sero
loaded = list(tfds.load('sero_spikes/original', split='test', data_dir={str(data_dir)!r}))
print(len(loaded), 'apache_beam' in sys.modules)
"""
    result = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True, text=True, timeout=120, cwd=tmp_path_factory.mktemp('elsewhere'),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_builder_from_directory_needs_no_code_of_this_project(data_dir, in_a_new_process):
    count = len(_records(data_dir, 'original', 'test')['label'])
    assert in_a_new_process[0] == f"{count} ['SER', 'NSER'] simulated"


def test_loading_imports_no_beam(data_dir, in_a_new_process):
    count = len(_records(data_dir, 'original', 'test')['label'])
    assert in_a_new_process[1] == f'{count} False'


def test_the_metadata_say_what_the_dataset_was_made_from(data_dir):
    metadata = tfds.builder('sero_spikes/synthetic_small', data_dir=data_dir).info.metadata
    assert metadata['source'] == 'simulated'
    assert metadata['protocol'] == 'by_cell'
    assert metadata['seed'] == 0
    assert sum(metadata['synthesis']['masks_from_cells'].values()) == 50


# tfds build


def _tfds_build(*arguments, cwd=ROOT) -> subprocess.CompletedProcess:
    """Runs ``tfds build`` in this process."""
    return run_tfds('build', *arguments, cwd=cwd)


def _installed_tfds_build(*arguments, cwd=ROOT, timeout_s=240) -> subprocess.CompletedProcess:
    """Runs ``tfds build`` as a user would, in a process of its own."""
    command = [Path(sys.executable).parent / 'tfds', 'build', *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=cwd, env=environment)


def _assert_error(result: subprocess.CompletedProcess, message: str) -> None:
    assert result.returncode in (1, 2), result.stderr
    assert 'Traceback' not in result.stderr
    assert result.stderr.splitlines()[-1].startswith('tfds build sero_spikes: ')
    assert message in result.stderr.splitlines()[-1]


@pytest.fixture(scope='module')
def by_sero_build(recordings_root, tmp_path_factory) -> Path:
    """Datasets of `recordings_root` with the default options, in shards of at most 8 MiB."""
    folder = tmp_path_factory.mktemp('by_sero_build')
    result = run_command('sero-build', '--recordings', recordings_root, '--data_dir', folder, '--max_shard_size_mb', 8)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ('build', 'place', 'config', 'arguments'),
    [
        (_installed_tfds_build, 'root', 'synthetic_small', ()),
        (_tfds_build, 'tfds_sero', 'original', ()),
        (_tfds_build, 'elsewhere', 'non_homogeneous', ('--imports', 'tfds_sero')),
        (_tfds_build, 'root', 'original', ('--beam_pipeline_options', _TWO_WORKERS)),
    ],
    ids=['root', 'tfds_sero', 'elsewhere', 'two_workers'],
)
def test_tfds_build_gives_the_bytes_of_sero_build(
    recordings_root, by_sero_build, tmp_path, build, place, config, arguments
):
    cwd = {'root': ROOT, 'tfds_sero': ROOT / 'tfds_sero', 'elsewhere': tmp_path}[place]
    result = build(
        'sero_spikes',
        '--config', config,
        '--data_dir', tmp_path / 'data',
        '--manual_dir', recordings_root,
        '--max_shard_size_mb', 8,
        *arguments,
        cwd=cwd,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    folder, expected = _dataset(tmp_path / 'data', config), _dataset(by_sero_build, config)
    assert shards_of(folder) == shards_of(expected)
    for name in ('metadata.json', 'record_layout.json', 'cell.labels.txt', 'label.labels.txt', 'features.json'):
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name
    assert set(files_of(folder)) == set(files_of(expected))
    left = {path.name for path in (tmp_path / 'data' / 'sero_spikes').iterdir()}
    assert left == {config, 'rejected.jsonl', '.config'}  # The last is TFDS's own.
    assert [path.name for path in folder.parent.iterdir()] == ['1.1.0']
    info = tfds.builder_from_directory(str(folder)).info
    reference = tfds.builder_from_directory(str(expected)).info
    assert {name: split.shard_lengths for name, split in info.splits.items()} == {
        name: split.shard_lengths for name, split in reference.splits.items()
    }


@pytest.mark.slow
def test_without_manual_dir_it_says_once_that_it_simulates_and_stamps_it(tmp_path):
    result = _tfds_build(
        'sero_spikes',
        '--config', 'non_homogeneous',
        '--data_dir', tmp_path / 'data',
        '--download_dir', tmp_path / 'downloads',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr.count('building from SIMULATED recordings, not from real neurons') == 1
    info = tfds.builder_from_directory(str(_dataset(tmp_path / 'data', 'non_homogeneous'))).info
    assert info.metadata['source'] == 'simulated'
    assert info.splits['test'].num_examples > 500


@pytest.mark.slow
def test_recordings_that_nobody_simulated_are_stamped_as_recorded(recordings_root, tmp_path):
    copy_without_stamp(recordings_root, tmp_path / 'recordings')
    (tmp_path / 'recordings/non_homogeneous/SER/text.abf').write_text('not a recording')
    result = _tfds_build(
        'sero_spikes',
        '--config', 'non_homogeneous',
        '--data_dir', tmp_path / 'data',
        '--manual_dir', tmp_path / 'recordings',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert 'SIMULATED' not in result.stderr
    metadata = json.loads((_dataset(tmp_path / 'data', 'non_homogeneous') / 'metadata.json').read_text())
    assert (metadata['source'], metadata['files_rejected']) == ('recorded', 1)
    assert 'sero_spikes: 1 file rejected, see ' in result.stderr


@pytest.mark.slow
def test_a_manual_dir_that_lacks_folders_is_an_error_and_nothing_is_simulated(recordings_root, tmp_path):
    shutil.copytree(recordings_root / 'original', tmp_path / 'recordings/original')
    result = _tfds_build(
        'sero_spikes',
        '--config', 'non_homogeneous',
        '--data_dir', tmp_path / 'data',
        '--download_dir', tmp_path / 'downloads',
        '--manual_dir', tmp_path / 'recordings',
    )  # fmt: skip
    expected = f'{tmp_path}/recordings/non_homogeneous/SER: no recordings; expected CELL.abf or CELL/CELL_trigger_N.csv'
    _assert_error(result, expected)
    assert 'SIMULATED' not in result.stderr
    assert not list(tmp_path.rglob('*simulated*'))
    assert not _dataset(tmp_path / 'data', 'non_homogeneous').exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        ('--file_format=riegeli', 'file_format riegeli: sero_spikes is made as tfrecord only'),
        ('--max_examples_per_split=5', 'max_examples_per_split: sero_spikes is built whole'),
        ('--num_shards=7', 'num_shards: give max_shard_size instead'),
    ],
)
def test_an_option_that_cannot_be_followed_is_an_error(recordings_root, tmp_path, argument, message):
    result = _tfds_build(
        'sero_spikes', '--config', 'original', '--data_dir', tmp_path, '--manual_dir', recordings_root, argument
    )
    _assert_error(result, message)
    assert not _dataset(tmp_path, 'original').exists()


@pytest.mark.gcs
@pytest.mark.slow
def test_recordings_may_be_in_a_bucket(recordings_root, data_dir, bucket, tmp_path):
    for name in files_of(recordings_root):
        files.upload(str(recordings_root / name), f'{bucket}/{name}')
    result = _installed_tfds_build(
        'sero_spikes', '--config=original', f'--data_dir={tmp_path}', f'--manual_dir={bucket}'
    )
    assert result.returncode == 0, result.stderr
    assert shards_of(_dataset(tmp_path, 'original')) == shards_of(_dataset(data_dir, 'original'))


@pytest.mark.slow
def test_a_bucket_that_tensorflow_cannot_reach_is_an_error(recordings_root, monkeypatch):
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')  # Nothing listens there.
    monkeypatch.setenv('GCS_RETRY_CONFIG_MAX_RETRIES', '0')
    result = _installed_tfds_build(
        'sero_spikes', '--config=original', '--data_dir=gs://no-such-bucket/data', f'--manual_dir={recordings_root}'
    )
    _assert_error(result, 'use sero-build --data_dir, which writes through Beam')


@pytest.mark.parametrize('name', ['orignal', 'Original', 'syntetic'])
def test_a_config_that_does_not_exist_is_one_line(tmp_path, name):
    result = _tfds_build('sero_spikes', '--config', name, '--data_dir', tmp_path)
    _assert_error(result, f'no dataset {name!r}; there are original, non_homogeneous, synthetic_small')


def test_a_config_that_does_not_exist_is_the_error_of_tfds_in_python(data_dir):
    with pytest.raises(ValueError, match="no dataset 'orignal'"):
        tfds.builder('sero_spikes/orignal', data_dir=data_dir)


@pytest.mark.slow
def test_a_dataset_stays_until_its_replacement_is_complete(recordings_root, by_sero_build, tmp_path):
    folder, before = _dataset(tmp_path, 'original'), files_of(_dataset(by_sero_build, 'original'))
    shutil.copytree(_dataset(by_sero_build, 'original'), folder)
    for wrong in (tmp_path / 'nowhere', recordings_root / 'original'):
        result = _tfds_build(
            'sero_spikes', '--config', 'original', '--data_dir', tmp_path, '--manual_dir', wrong, '--overwrite'
        )
        _assert_error(result, f'{wrong}')
        assert files_of(folder) == before
    result = _tfds_build(
        'sero_spikes', '--config', 'original', '--data_dir', tmp_path, '--manual_dir', recordings_root, '--overwrite'
    )
    assert result.returncode == 0, result.stderr
    assert shards_of(folder) == {name: content for name, content in before.items() if 'tfrecord' in name}
    assert [path.name for path in folder.parent.iterdir()] == ['1.1.0']
    assert run_command('sero-verify', folder).stderr == ''
