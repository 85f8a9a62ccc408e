import dataclasses
import json
import os
import shutil
from pathlib import Path

import apache_beam as beam
import msgspec
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.datasets.verification import verify_dataset
from beam_pipelines.errors import UserError
from beam_pipelines.launch.resume import reserve
from beam_pipelines.launch.run_build import run_build
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.recordings.reading_options import DEFAULT_CUTTING, PUBLISHED_CUTTING, ReadingOptions, SpikeCutting
from beam_pipelines.simulation.real_shapes import make_recordings
from beam_pipelines.transforms.build_datasets import build_pipeline
from beam_pipelines.transforms.job import Job
from beam_pipelines.transforms.paths import BuildPaths
from beam_pipelines.transforms.read_recordings import FindAndIngest
from tests.support.folders import files_of
from tests.support.mean_spikes import write_mean_spikes
from tests.support.published_arrays import write_arrays
from tests.support.recordings import copy_without_stamp


def _options(recordings, data_dir, configs=('original',), **changes) -> BuildOptions:
    return BuildOptions(str(recordings), str(data_dir), configs, **{'num_masks': 20, **changes})


def _run(*arguments, **changes):
    overwrite = changes.pop('overwrite', False)
    return run_build(_options(*arguments, **changes), PipelineOptions([]), overwrite)


def test_a_build_returns_the_datasets_with_their_metadata(recordings_root, tmp_path):
    built = _run(recordings_root, tmp_path, ('non_homogeneous', 'original'))
    assert [dataset.config for dataset in built] == ['non_homogeneous', 'original']
    for dataset in built:
        with open(os.path.join(dataset.folder, 'metadata.json'), encoding='utf-8') as file:
            assert json.loads(msgspec.json.encode(dataset.metadata)) == json.load(file)
        assert dataset.metadata.source == 'simulated'


def test_the_stamp_goes_with_the_simulated_files(recordings_root, tmp_path):
    root = tmp_path / 'recordings'
    shutil.copytree(recordings_root, root, ignore=shutil.ignore_patterns('SIMULATED.json'))
    (dataset,) = _run(root, tmp_path / 'data')
    assert dataset.metadata.source == 'simulated'


@pytest.mark.parametrize('lost', ['REAL_SHAPES.json', 'nothing'])
def test_recordings_of_real_shapes_say_so_in_their_dataset(tmp_path, lost):
    waveforms = write_mean_spikes(tmp_path / 'spikes', ['E  4.0', 'FS 5.0'] * 3)
    root = make_recordings(tmp_path / 'recordings', waveforms, 'E,FS')
    (root / lost).unlink(missing_ok=True)
    (dataset,) = _run(root, tmp_path / 'data')
    assert dataset.metadata.source == 'real_shapes'


def test_a_dataset_is_as_real_as_its_least_real_recording(recordings_root, tmp_path):
    waveforms = write_mean_spikes(tmp_path / 'spikes', ['E  4.0', 'FS 5.0'])
    root = make_recordings(tmp_path / 'recordings', waveforms, 'E,FS')
    for path in (recordings_root / 'original').rglob('*.abf'):
        shutil.copy(path, root / 'original' / path.parent.name)
    (dataset,) = _run(root, tmp_path / 'data')
    assert dataset.metadata.source == 'simulated'


def test_recordings_that_nobody_simulated_are_recorded(recordings_root, tmp_path):
    (dataset,) = _run(copy_without_stamp(recordings_root, tmp_path / 'recordings'), tmp_path / 'data')
    assert dataset.metadata.source == 'recorded'


def test_a_recording_under_two_names_is_an_error(recordings_root, tmp_path):
    root = tmp_path / 'recordings'
    shutil.copytree(recordings_root, root)
    first = sorted((root / 'original' / 'SER').glob('*.abf'))[0]
    shutil.copy(first, root / 'original' / 'NSER' / 'Z#1.abf')
    with pytest.raises(UserError, match='SIM0.* and Z#1 are the same recording under two names'):
        _run(root, tmp_path / 'data')


def test_only_the_recordings_that_are_needed_are_looked_for(recordings_root, tmp_path):
    shutil.copytree(recordings_root / 'non_homogeneous', tmp_path / 'recordings/non_homogeneous')
    (dataset,) = _run(tmp_path / 'recordings', tmp_path / 'data', ('non_homogeneous',))
    assert dataset.metadata.files_used == 8


def test_a_dataset_that_is_not_published_stays_in_its_work_folder(recordings_root, tmp_path):
    (dataset,) = run_build(_options(recordings_root, tmp_path), PipelineOptions([]), publish=False)
    assert os.path.dirname(dataset.folder) == f'{tmp_path}/sero_spikes/original/1.1.0.building'
    assert not (tmp_path / 'sero_spikes/original/1.1.0').exists()


def test_a_build_that_failed_is_no_interrupted_one(recordings_root, tmp_path):
    options = {'configs': ('original', 'synthetic_small'), 'num_masks': 10**7}
    with pytest.raises(UserError, match=r'not enough silence: .* rejected files are listed in .*rejected\.jsonl'):
        _run(recordings_root, tmp_path, **options)
    with pytest.raises(UserError, match='original/1.1.0: exists and is kept'):
        _run(recordings_root, tmp_path, **options)


def test_a_disk_without_room_is_an_error_with_both_sizes(recordings_root, tmp_path):
    # Ten thousand times the largest dataset: more than the disk that a test runs on has.
    with pytest.raises(UserError, match=r'synthetic need 96016\.54 GB, the disk has \d+\.\d\d GB left$'):
        _run(recordings_root, tmp_path, ('synthetic',) * 10_000)
    assert not list(tmp_path.iterdir())


def test_a_build_that_has_no_room_leaves_an_interrupted_one_its_reservation(recordings_root, tmp_path):
    interrupted = _options(recordings_root, tmp_path)
    paths = BuildPaths(interrupted.data_dir)
    reserve(interrupted, paths, overwrite=False, pending=interrupted.configs)
    before = files_of(tmp_path)
    with pytest.raises(UserError, match='GB left$'):
        _run(recordings_root, tmp_path, ('synthetic',) * 10_000)
    assert files_of(tmp_path) == before


def test_what_is_left_of_one_dataset_takes_nothing_off_the_room_for_another(recordings_root, tmp_path):
    work = tmp_path / 'sero_spikes/original/1.1.0.building'
    work.mkdir(parents=True)
    with open(work / 'shard', 'wb') as file:
        file.truncate(2 << 30)
    with pytest.raises(UserError, match=r'synthetic need 96016\.54 GB'):
        _run(recordings_root, tmp_path, ('original', *('synthetic',) * 10_000))


def test_an_overwriting_build_that_cannot_even_write_why_it_failed_is_an_error(recordings_root, tmp_path):
    _run(recordings_root, tmp_path / 'data')
    before = files_of(tmp_path / 'data')
    # On a full disk nothing can be written. Here it is the length of the paths: so long that those of the files at the
    # top just fit, and those of staged spikes, of shards and of the file that says why do not.
    room = os.pathconf(tmp_path, 'PC_PATH_MAX') - 1 - len(f'{tmp_path}/data/sero_spikes') - 60
    folder = os.path.join(tmp_path, *['d' * 99] * (room // 100), 'd' * (room % 100 - 1))
    os.makedirs(folder)
    data_dir = shutil.move(tmp_path / 'data', folder)
    with pytest.raises(UserError, match=r'sero_spikes/.staging/\w+.spikes: File name too long$'):
        _run(recordings_root, data_dir, overwrite=True)
    assert files_of(Path(shutil.move(data_dir, tmp_path / 'data'))) == before


def test_a_dataset_may_be_replaced_by_the_same(recordings_root, tmp_path):
    _run(recordings_root, tmp_path)
    before = files_of(tmp_path)
    (dataset,) = _run(recordings_root, tmp_path, overwrite=True)
    assert dataset.folder == f'{tmp_path}/sero_spikes/original/1.1.0'
    assert files_of(tmp_path) == before


def test_a_cell_of_original_is_known_when_only_non_homogeneous_is_built(recordings_root, tmp_path):
    root = tmp_path / 'recordings'
    shutil.copytree(recordings_root, root)
    cell = sorted((root / 'original/SER').iterdir())[0]
    shutil.copyfile(cell, root / 'non_homogeneous/SER' / cell.name)
    (dataset,) = _run(root, tmp_path / 'data', ('non_homogeneous',))
    assert (dataset.metadata.files_used, dataset.metadata.files_rejected) == (8, 1)
    assert cell.stem not in [cell.cell_id for cell in dataset.metadata.cells]


@pytest.mark.parametrize('cutting', [PUBLISHED_CUTTING, SpikeCutting('running', trigger_pa=-40.0)])
def test_what_an_interrupted_build_has_cut_in_another_way_is_not_used(recordings_root, tmp_path, cutting):
    interrupted = _options(recordings_root, tmp_path / 'data', reading=ReadingOptions(cutting=DEFAULT_CUTTING))
    paths = BuildPaths(interrupted.data_dir)
    reserve(interrupted, paths, overwrite=False, pending=interrupted.configs)
    with beam.Pipeline('FnApiRunner') as pipeline:
        build_pipeline(pipeline, interrupted, Job(publish=False))  # with all its shards, but not published
    with beam.Pipeline('FnApiRunner') as pipeline:
        pipeline | beam.Create([interrupted.recordings]) | FindAndIngest(interrupted)
    assert len(list(Path(paths.staging).glob('*.spikes'))) == 16 // 2
    assert os.path.exists(paths.plan('original')) and len(files_of(Path(paths.work('original')))) > 3

    reading = ReadingOptions(cutting=cutting)
    (dataset,) = _run(recordings_root, tmp_path / 'data', reading=reading)
    _run(recordings_root, tmp_path / 'fresh', reading=reading)
    assert dataset.metadata.cutting == cutting
    assert files_of(tmp_path / 'data') == files_of(tmp_path / 'fresh')


def test_an_interrupted_build_that_has_published_a_dataset_does_not_go_on_with_another_cutting(
    recordings_root, tmp_path
):
    configs = ('original', 'non_homogeneous')
    options = _options(recordings_root, tmp_path, configs)
    reserve(options, BuildPaths(options.data_dir), overwrite=False, pending=configs)
    with beam.Pipeline('FnApiRunner') as pipeline:
        build_pipeline(pipeline, dataclasses.replace(options, configs=('original',)))
    before = files_of(tmp_path)
    reading = ReadingOptions(cutting=PUBLISHED_CUTTING)
    for asked in (configs, ('non_homogeneous',)):
        with pytest.raises(UserError, match='spikes of original were cut with baseline running, asked for none'):
            _run(recordings_root, tmp_path, asked, reading=reading)
    assert files_of(tmp_path) == before
    # The interrupted build itself still goes on.
    assert [dataset.config for dataset in _run(recordings_root, tmp_path, configs)] == list(configs)


def test_a_plan_that_a_killed_build_left_behind_its_dataset_is_in_nobodys_way(recordings_root, tmp_path):
    options = _options(recordings_root, tmp_path)
    with beam.Pipeline('FnApiRunner') as pipeline:
        build_pipeline(pipeline, options, Job(publish=False))
    config = tmp_path / 'sero_spikes/original'
    (grown,) = (config / '1.1.0.building').iterdir()
    grown.rename(config / '1.1.0')  # published, but the job's last step never came
    before = files_of(config / '1.1.0')
    assert (config / '1.1.0.building.plan.json').exists()
    _run(recordings_root, tmp_path, overwrite=True)
    assert files_of(config) == {f'1.1.0/{name}': content for name, content in before.items()}


def test_published_arrays_become_a_dataset_that_verifies(tmp_path):
    folder = tmp_path / 'recordings' / 'published_synthetic'
    write_arrays(folder / 'SER', 'chunk', {'A#1': 300, 'A#2': 200}, 0)
    write_arrays(folder / 'NSER', 'chunk', {'B#1': 400}, 1)
    (folder / 'notes.txt').write_text('not an array')
    (dataset,) = _run(tmp_path / 'recordings', tmp_path / 'data', ('published_synthetic',))
    metadata = dataset.metadata
    assert (metadata.files_used, metadata.files_rejected, metadata.spikes) == (6, 1, 900)
    checked = verify_dataset(dataset.folder)
    assert (checked.records, checked.errors) == (900, [])


def test_a_published_array_with_a_value_that_is_not_finite_is_an_error_with_its_row(tmp_path):
    folder = tmp_path / 'recordings' / 'published_synthetic'
    write_arrays(folder, 'ser', {'A#1': 30}, 0)
    write_arrays(folder, 'nser', {'B#1': 30}, 1)
    observations = np.load(folder / 'ser_observations.npy', mmap_mode='r+')
    observations[7, 0, 1, 0] = np.nan
    observations.flush()
    with pytest.raises(UserError, match='published_synthetic: not_finite: .*ser_observations.npy: row 7'):
        _run(tmp_path / 'recordings', tmp_path / 'data', ('published_synthetic',))
