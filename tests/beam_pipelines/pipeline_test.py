import json
import shutil

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that

from beam_pipelines import storage
from beam_pipelines.ingest import CellSpikes
from beam_pipelines.pipeline import BuildPaths, IngestRecordings, build_pipeline
from beam_pipelines.plan import BuildOptions
from beam_pipelines.recordings import RejectedFile, group_files


def _options(data_dir, configs=('original',), **changes) -> BuildOptions:
    return BuildOptions('recordings', str(data_dir), configs, **{'num_masks': 20, **changes})


def _recordings(root, recording_set='original'):
    files = [
        (recording_set, label, str(path))
        for label, name in enumerate(('SER', 'NSER'))
        for path in sorted((root / recording_set / name).iterdir())
    ]
    return group_files(files)


def _counters(result) -> dict[str, int]:
    return {
        f'{counter.key.metric.namespace}/{counter.key.metric.name}': counter.committed
        for counter in result.metrics().query()['counters']
    }


def _run(recordings, rejected, options):
    pipeline = beam.Pipeline('FnApiRunner')
    build_pipeline(pipeline, recordings, rejected, options, 'simulated')
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
    recordings, rejected = _recordings(recordings_with_faults)
    counters = _counters(_run(recordings, rejected, _options(tmp_path)))
    metadata = storage.read_json(f'{BuildPaths(str(tmp_path)).dataset("original")}/metadata.json')
    assert counters['recordings/used'] == metadata['files_used'] == 8
    assert counters['recordings/rejected'] == metadata['files_rejected'] == 2
    assert counters['rejected/not_abf'] == counters['rejected/unknown_format'] == 1
    assert counters['spikes/detected'] == metadata['spikes'] > 0
    assert counters['spikes/dropped'] == metadata['triggers_dropped']


def test_rejected_files_of_readers_and_of_the_listing_are_written_down(recordings_with_faults, tmp_path):
    _run(*_recordings(recordings_with_faults), _options(tmp_path))
    lines = storage.read_bytes(BuildPaths(str(tmp_path)).rejected).decode().splitlines()
    assert [json.loads(line)['reason'] for line in lines] == ['unknown_format', 'not_abf']


def test_staged_spikes_hold_what_the_report_says(recordings_root, tmp_path):
    def check(results):
        assert len(results) == 8
        for result in results:
            spikes = CellSpikes.from_bytes(storage.read_bytes(result.cell.staged))
            assert len(spikes.waveforms) == result.report.spikes
            assert len(spikes.masks) == result.cell.masks == 20
            assert spikes.fingerprint() == result.cell.fingerprint

    recordings, _ = _recordings(recordings_root)
    with beam.Pipeline('FnApiRunner') as pipeline:
        assert_that(pipeline | beam.Create(recordings) | IngestRecordings(_options(tmp_path)), check)


def test_spikes_that_cannot_be_staged_are_a_result_with_an_error(recordings_root, tmp_path):
    def check(results):
        assert len(results) == 8
        assert all(result.cell is None and 'Not a directory' in result.error for result in results)

    (tmp_path / 'file').touch()
    recordings, _ = _recordings(recordings_root)
    with beam.Pipeline('FnApiRunner') as pipeline:
        assert_that(pipeline | beam.Create(recordings) | IngestRecordings(_options(tmp_path / 'file')), check)


def test_a_plan_that_fails_is_written_down_and_does_not_stop_other_datasets(recordings_root, tmp_path):
    options = _options(tmp_path, ('original', 'synthetic_small'), num_masks=10**7)
    _run(*_recordings(recordings_root), options)
    paths = BuildPaths(str(tmp_path))
    assert storage.exists(f'{paths.dataset("original")}/dataset_info.json')
    assert not storage.exists(paths.dataset('synthetic_small'))
    failure = storage.read_json(paths.failure('synthetic_small'))
    assert failure['error'].startswith('not enough silence: 10000000 noise masks')
    assert not storage.exists(paths.staging)


def test_shards_of_another_build_in_the_work_folder_are_not_taken_over(recordings_root, data_dir, tmp_path):
    work = tmp_path / 'sero_spikes/original/1.0.0.building'
    work.mkdir(parents=True)
    (work.parent / f'{work.name}.plan.json').write_text('{"fingerprint": "of something else"}')
    name = 'sero_spikes-train.tfrecord-00000-of-00001'
    (work / name).write_bytes(b'other spikes')
    _run(*_recordings(recordings_root), _options(tmp_path))
    folder = tmp_path / 'sero_spikes/original/1.0.0'
    assert (folder / name).read_bytes() == (data_dir / 'sero_spikes/original/1.0.0' / name).read_bytes()
    assert not work.exists()


def test_the_list_of_rejected_files_is_there_even_if_none_was(recordings_root, tmp_path):
    _run(*_recordings(recordings_root), _options(tmp_path))
    assert storage.read_bytes(BuildPaths(str(tmp_path)).rejected) == b''


def test_every_file_is_known_to_be_rejected_where_no_recording_is_left(tmp_path):
    rejected = [('original', RejectedFile(f'r/{number}.txt', 'unknown_format', 'a note')) for number in range(3)]
    _run([], rejected, _options(tmp_path))
    failure = storage.read_json(BuildPaths(str(tmp_path)).failure('original'))
    assert failure['error'] == 'original: no usable SER recording in original/SER'
