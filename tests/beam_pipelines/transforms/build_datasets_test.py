import collections
import dataclasses
import json
import shutil
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that

from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.planning.plan import DatasetPlan
from beam_pipelines.spikes.cell_spikes import CellSpikes
from beam_pipelines.storage import files
from beam_pipelines.transforms.build_datasets import build_pipeline
from beam_pipelines.transforms.job import Job
from beam_pipelines.transforms.paths import BuildPaths
from beam_pipelines.transforms.publish_dataset import publish_local
from beam_pipelines.transforms.read_recordings import FindAndIngest
from beam_pipelines.transforms.write_shards import ShardTask, WriteShards
from tests.support.folders import files_of


def _options(recordings, data_dir, configs=('original',), **changes) -> BuildOptions:
    return BuildOptions(str(recordings), str(data_dir), configs, **{'num_masks': 20, **changes})


def _counters(result) -> collections.Counter[str]:
    """Returns each counter's sum over the steps that count it."""
    counters = collections.Counter()
    for counter in result.metrics().query()['counters']:
        counters[f'{counter.key.metric.namespace}/{counter.key.metric.name}'] += counter.committed
    return counters


def _run(options, *beam_options):
    pipeline = beam.Pipeline(options=PipelineOptions(['--runner=FnApiRunner', *beam_options]))
    build_pipeline(pipeline, options)
    result = pipeline.run()
    result.wait_until_finish()
    return result


@pytest.fixture
def recordings_with_faults(recordings_root, tmp_path):
    root = shutil.copytree(recordings_root, tmp_path / 'recordings')
    (root / 'original/SER/text.abf').write_text('not a recording')
    (root / 'original/SER/notes.txt').write_text('a note')
    return root


def test_counters_account_for_recordings_and_spikes(recordings_with_faults, tmp_path):
    counters = _counters(_run(_options(recordings_with_faults, tmp_path)))
    metadata = files.read_json(f'{BuildPaths(str(tmp_path)).dataset("original")}/metadata.json')
    assert counters['recordings/used'] == metadata['files_used'] == 8
    assert counters['recordings/rejected'] == metadata['files_rejected'] == 2
    assert counters['rejected/not_abf'] == counters['rejected/unknown_format'] == 1
    assert counters['spikes/detected'] == metadata['spikes'] > 0
    assert counters['spikes/dropped'] == metadata['triggers_dropped']


def test_rejected_files_of_readers_and_of_the_listing_are_written_down(recordings_with_faults, tmp_path):
    _run(_options(recordings_with_faults, tmp_path))
    lines = files.read_bytes(BuildPaths(str(tmp_path)).rejected).decode().splitlines()
    assert [json.loads(line)['reason'] for line in lines] == ['unknown_format', 'not_abf']


def test_staged_spikes_hold_what_the_report_says(recordings_root, tmp_path):
    def check(results):
        assert len(results) == 8
        for result in results:
            spikes = CellSpikes.from_bytes(files.read_bytes(result.cell.staged))
            assert len(spikes.waveforms) == result.report.spikes
            assert len(spikes.masks) == result.cell.masks == 20
            assert spikes.fingerprint() == result.cell.fingerprint

    options = _options(recordings_root, tmp_path)
    with beam.Pipeline('FnApiRunner') as pipeline:
        assert_that(pipeline | beam.Create([options.recordings]) | FindAndIngest(options), check)


def test_spikes_that_cannot_be_staged_are_a_result_with_an_error(recordings_root, tmp_path):
    def check(results):
        assert len(results) == 8
        assert all(result.cell is None and 'Not a directory' in result.error for result in results)

    (tmp_path / 'file').touch()
    options = _options(recordings_root, tmp_path / 'file')
    with beam.Pipeline('FnApiRunner') as pipeline:
        assert_that(pipeline | beam.Create([options.recordings]) | FindAndIngest(options), check)


def test_a_plan_that_fails_is_written_down_and_does_not_stop_other_datasets(recordings_root, tmp_path):
    _run(_options(recordings_root, tmp_path, ('original', 'synthetic_small'), num_masks=10**7))
    paths = BuildPaths(str(tmp_path))
    assert files.exists(f'{paths.dataset("original")}/dataset_info.json')
    assert not files.exists(paths.dataset('synthetic_small'))
    failure = files.read_json(paths.failure('synthetic_small'))
    assert failure['error'].startswith('not enough silence: 10000000 noise masks')
    assert not files.exists(paths.staging)


def test_shards_of_another_build_in_the_work_folder_are_not_taken_over(recordings_root, data_dir, tmp_path):
    work = tmp_path / 'sero_spikes/original/1.1.0.building'
    work.mkdir(parents=True)
    (work.parent / f'{work.name}.plan.json').write_text('{"fingerprint": "of something else"}')
    name = 'sero_spikes-train.tfrecord-00000-of-00001'
    (work / name).write_bytes(b'other spikes')
    _run(_options(recordings_root, tmp_path))
    folder = tmp_path / 'sero_spikes/original/1.1.0'
    assert (folder / name).read_bytes() == (data_dir / 'sero_spikes/original/1.1.0' / name).read_bytes()
    assert not work.exists()


def _grown(options) -> tuple[DatasetPlan, BuildPaths]:
    """Builds `original` up to its last step, in which it is published."""
    with beam.Pipeline('FnApiRunner') as pipeline:
        build_pipeline(pipeline, options, Job(publish=False))
    paths = BuildPaths(options.data_dir)
    return files.read_typed_json(paths.plan('original'), DatasetPlan), paths


def test_a_worker_of_a_job_that_was_given_up_writes_nothing_into_another(recordings_root, tmp_path):
    given_up, options = _options(recordings_root, tmp_path, seed=5), _options(recordings_root, tmp_path)
    old, paths = _grown(given_up)
    new, _ = _grown(options)
    # It has its bank still, and works on.
    assert paths.staged('original', old.fingerprint) != paths.staged('original', new.fingerprint)
    task = ShardTask('original', old.fingerprint, 'train', 0)
    with beam.Pipeline('FnApiRunner') as pipeline:
        assert_that(pipeline | beam.Create([task]) | WriteShards(str(tmp_path)), _is_refused)


def _is_refused(written):
    (failed,) = written
    assert 'another build has begun' in failed.error


def test_work_that_is_done_twice_publishes_once_and_whole(recordings_root, tmp_path):
    options = _options(recordings_root, tmp_path, ('original', 'synthetic_small'), max_shard_bytes=4 << 20)
    # As a cluster may that does not hear of the first time.
    _run(options, '--direct_runner_bundle_repeat=2')
    once = dataclasses.replace(options, data_dir=str(tmp_path / 'once'))
    _run(once)
    for config in options.configs:
        folder = Path('sero_spikes', config)
        assert files_of(tmp_path / folder) == files_of(tmp_path / 'once' / folder)


def test_two_that_publish_at_the_same_time_leave_a_whole_dataset(recordings_root, tmp_path):
    plan, paths = _grown(_options(recordings_root, tmp_path))
    folder = paths.staged('original', plan.fingerprint)
    whole = files_of(Path(folder))
    publish_local(plan, paths)
    # The other had seen the shards, and writes what stands beside them when they are gone.
    for name in ('metadata.json', 'dataset_info.json'):
        files.write_bytes(f'{folder}/{name}', whole[name])
    publish_local(plan, paths)
    assert files_of(Path(paths.dataset('original'))) == whole


def test_a_store_that_fails_for_a_while_costs_no_whole_shard(recordings_root, tmp_path):
    options = _options(recordings_root, tmp_path)
    _, paths = _grown(options)
    before = files_of(Path(paths.work('original')))
    Path(paths.staging).touch()  # so that no spikes can be staged
    _run(options)
    assert f'{paths.staging}/' in files.read_json(paths.failure('original'))['error']
    assert files_of(Path(paths.work('original'))) == before


def test_the_list_of_rejected_files_is_there_even_if_none_was(recordings_root, tmp_path):
    _run(_options(recordings_root, tmp_path))
    assert files.read_bytes(BuildPaths(str(tmp_path)).rejected) == b''


def test_every_file_is_known_to_be_rejected_where_no_recording_is_left(tmp_path):
    for name in ('SER', 'NSER'):
        folder = tmp_path / 'recordings/original' / name
        folder.mkdir(parents=True)
        (folder / 'notes.txt').write_text('a note')
    _run(_options(tmp_path / 'recordings', tmp_path))
    paths = BuildPaths(str(tmp_path))
    assert files.read_json(paths.failure('original'))['error'] == 'original: no usable SER recording in original/SER'
    lines = files.read_bytes(paths.rejected).decode().splitlines()
    assert [json.loads(line)['reason'] for line in lines] == ['unknown_format'] * 2


def test_recordings_that_are_gone_when_a_worker_looks_are_written_down(tmp_path):
    _run(_options(tmp_path / 'none', tmp_path))
    failure = files.read_json(BuildPaths(str(tmp_path)).failure('original'))
    assert failure['error'].startswith(f'{tmp_path}/none: no such folder; expected recordings in')


def test_the_job_does_not_grow_with_the_recordings(recordings_root, tmp_path):
    def described(root):
        pipeline = beam.Pipeline('FnApiRunner')
        build_pipeline(pipeline, _options(root, tmp_path))
        return pipeline.to_runner_api().SerializeToString()

    more = shutil.copytree(recordings_root, tmp_path / 'more')
    for number in range(100):
        (more / f'original/SER/copy{number}#1.abf').touch()
    size = len(described(recordings_root))
    assert abs(len(described(more)) - size) < 500
    assert b'.abf' not in described(more)


@pytest.mark.parametrize(
    'beam_options, workers',
    [([], 1), (['--direct_running_mode=multi_processing', '--direct_num_workers=2'], 2)],
    ids=['one worker', 'two workers'],
)
def test_a_worker_loads_the_spikes_of_a_dataset_once_and_not_for_every_shard(
    recordings_root, tmp_path, beam_options, workers
):
    # Two datasets in one job: what a worker holds of the one must not go when it needs the other.
    options = _options(recordings_root, tmp_path, ('original', 'synthetic_small'), max_shard_bytes=2 << 20)
    counters = _counters(_run(options, *beam_options))
    assert counters['shards/written'] > 40
    assert 2 <= counters['banks/loaded'] <= 2 * workers
