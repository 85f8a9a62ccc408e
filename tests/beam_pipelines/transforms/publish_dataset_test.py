"""Publishing on an object store, by the steps of the whole job: against a stand-in for Google Cloud Storage."""

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.storage import files
from beam_pipelines.transforms import publish_dataset
from beam_pipelines.transforms.build_datasets import build_pipeline
from beam_pipelines.transforms.failures import Failures
from beam_pipelines.transforms.job import HERE, Job
from beam_pipelines.transforms.paths import BuildPaths
from beam_pipelines.transforms.publish_dataset import Complete, CopyTask, FailedCopy, copy_files, list_copies
from tests.support.folders import files_of
from tests.support.recordings import NUM_MASKS

pytestmark = [pytest.mark.gcs, pytest.mark.slow]


def _build(recordings_root, data_dir, job, *beam_options) -> BuildPaths:
    options = BuildOptions(str(recordings_root), data_dir, ('original',), num_masks=NUM_MASKS)
    with beam.Pipeline(options=PipelineOptions(['--runner=FnApiRunner', *beam_options])) as pipeline:
        build_pipeline(pipeline, options, job)
    return BuildPaths(data_dir)


def _objects_of(folder: str) -> dict[str, bytes]:
    return {path[len(folder) + 1 :]: files.read_bytes(path) for path in files.list_files(folder)}


@pytest.fixture
def expected(data_dir) -> dict[str, bytes]:
    return files_of(data_dir / 'sero_spikes/original/1.1.0')


def test_steps_that_a_runner_does_twice_publish_a_whole_dataset_and_leave_nothing_staged(
    recordings_root, expected, bucket, monkeypatch
):
    monkeypatch.setattr(publish_dataset, '_FILES_OF_A_TASK', 3)
    stale = f'{bucket}/data/sero_spikes/original/1.1.0/of_the_old_one.json'
    files.write_bytes(stale, b'{}')
    paths = _build(recordings_root, f'{bucket}/data', Job(overwrite=True), '--direct_runner_bundle_repeat=2')
    assert _objects_of(paths.dataset('original')) == expected
    assert set(files.list_files(bucket)) == {
        paths.rejected,
        *(f'{paths.dataset("original")}/{name}' for name in expected),
    }


def test_until_all_files_are_there_readers_find_no_dataset_and_a_late_worker_does_no_harm(
    recordings_root, expected, bucket
):
    paths = _build(recordings_root, f'{bucket}/data', Job(publish=False))
    dataset = paths.dataset('original')
    tasks = list(list_copies('original', paths, HERE))
    assert {name for task in tasks for name in task.names} == expected.keys() - {'dataset_info.json'}
    copied = [copy_files(task, paths, HERE) for task in tasks]
    assert copied == tasks
    assert _objects_of(dataset).keys() == expected.keys() - {'dataset_info.json'}
    complete = Complete(f'{bucket}/data', HERE)
    # A worker that failed: the dataset stays incomplete, and the reason is written down.
    assert list(complete.process('original', [*copied, FailedCopy('a store is away')])) == []
    assert files.read_json(paths.failure('original')) == {'error': 'a store is away'}
    assert not files.exists(f'{dataset}/dataset_info.json')
    assert list(complete.process('original', copied)) == ['original']
    assert _objects_of(dataset) == expected and not files.exists(paths.failure('original'))
    # The runner repeats each step when the staged files are gone.
    files.remove(paths.work('original'))
    assert list(list_copies('original', paths, HERE)) == []
    assert [copy_files(task, paths, HERE) for task in tasks] == tasks
    assert list(complete.process('original', copied)) == ['original']
    assert _objects_of(dataset) == expected


def test_a_copy_that_the_store_refuses_is_the_runner_s_to_repeat(bucket):
    paths = BuildPaths(f'{bucket}/data')
    files.write_json(paths.plan('original'), {'not': 'a plan'})
    task = CopyTask('original', 'f' * 64, ('not-copied',))
    files.write_bytes(f'{paths.staged("original", task.fingerprint)}/not-copied', b'')
    assert 'not copied' in copy_files(task, paths, HERE).error
    with pytest.raises(PermissionError, match='not copied'):
        copy_files(task, paths, Job(repeats_faults=True))


def test_a_job_that_nobody_waits_for_fails_if_a_dataset_does(bucket):
    def fail():
        raise OSError(5, 'Input/output error', 'gs://b/x')

    with pytest.raises(RuntimeError, match='gs://b/x: Input/output error; rejected files are listed in'):
        Failures(f'{bucket}/data', Job(detached=True)).attempt('original', fail)
