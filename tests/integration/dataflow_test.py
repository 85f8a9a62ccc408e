"""Dataflow as far as it goes without Google: a job is translated and staged, and what was staged is run here."""

import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import apache_beam
import pytest
from apache_beam.portability.api import beam_runner_api_pb2

from tests.support.commands import error_line, run_command
from tests.support.dataflow_stand_in import JOB_ID, dataflow_stand_in
from tests.support.folders import files_of
from tests.support.places import ROOT
from tests.support.recordings import NUM_MASKS
from tests.support.requirements import needs_gcp

pytestmark = [pytest.mark.gcp, needs_gcp]

_CONFIGS = ('original', 'synthetic_small')


def _arguments(recordings, data_dir, folder, *arguments, endpoint='http://localhost:18555', configs=_CONFIGS) -> list:
    return [
        '--recordings', recordings,
        '--data_dir', data_dir,
        '--configs', ','.join(configs),
        '--num_masks', NUM_MASKS,
        '--',
        '--runner=DataflowRunner',
        '--project=p',
        '--region=us-central1',
        '--job_name=j',
        f'--dataflow_endpoint={endpoint}',
        '--no_auth',
        f'--temp_location={folder}',
        f'--staging_location={folder}',
        f'--setup_file={ROOT}/setup.py',
        *arguments,
    ]  # fmt: skip


def _build(*arguments, **changes) -> subprocess.CompletedProcess:
    return run_command('sero-build', *_arguments(*arguments, **changes))


def _run_staged(folder: Path) -> subprocess.CompletedProcess:
    """Runs a staged job in a process that knows nothing but its files."""
    command = [sys.executable, '-m', 'tests.support.dataflow_stand_in', folder / 'pipeline.pb']
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def _dataset(data_dir: Path, config: str) -> Path:
    return data_dir / 'sero_spikes' / config / '1.1.0'


@pytest.fixture(scope='module')
def staged(recordings_root, tmp_path_factory) -> Path:
    """A folder with a staged template, `job.json`, whose datasets are to come into its `data`."""
    folder = tmp_path_factory.mktemp('staged')
    result = _build(recordings_root, folder / 'data', folder, f'--template_location={folder}/job.json')
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        f'staged job j as template {folder}/job.json, its files in {folder}; nothing has run,'
        ' and Dataflow itself runs templates on gs:// only'
    ]
    assert not (folder / 'data').exists()
    return folder


def test_the_steps_have_names_that_say_what_they_do(staged):
    pipeline = beam_runner_api_pb2.Pipeline.FromString((staged / 'pipeline.pb').read_bytes())
    transforms = pipeline.components.transforms
    (root,) = pipeline.root_transform_ids
    assert [transforms[key].unique_name for key in transforms[root].subtransforms] == [
        'RecordingsRoot',
        'Ingest',
        'RejectedPath',
        'ListRejected',
        'Build_original',
        'Build_synthetic_small',
        'Paths',
        'CleanUp',
    ]
    names = {transform.unique_name for transform in transforms.values()}
    for step in ('FindRecordings', 'Recordings/SpreadRecordings', 'Recordings/ReadRecording', 'AllFiles', 'CountFiles'):
        assert f'Ingest/{step}' in names
    for config in _CONFIGS:
        for step in ('Start', 'Plan', 'WriteShards', 'WriteShards/SpreadShards', 'WriteShards/WriteShard', 'Finish'):
            assert f'Build_{config}/{step}' in names


def test_the_template_points_to_what_is_staged(staged):
    environment = json.loads((staged / 'job.json').read_text())['environment']
    options = environment['sdkPipelineOptions']['options']
    assert options['pipelineUrl'] == f'{staged}/pipeline.pb'
    (pool,) = environment['workerPools']
    assert {'name': 'workflow.tar.gz', 'location': f'{staged}/workflow.tar.gz'} in pool['packages']
    (container,) = pool['sdkHarnessContainerImages']
    python = f'{sys.version_info.major}.{sys.version_info.minor}'
    assert container['containerImage'].endswith(f'/beam_python{python}_sdk:{apache_beam.__version__}')


def test_the_staged_package_holds_all_our_modules_and_what_they_read(staged):
    with tarfile.open(staged / 'workflow.tar.gz') as package:
        held = {name.partition('/')[2] for name in package.getnames()}
    folders = ('beam_pipelines', 'tfds_sero', 'trainer')
    tree = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }
    assert {
        'beam_pipelines/transforms/build_datasets.py',
        'tfds_sero/sero_spikes/TAGS.txt',
        'trainer/reports/templates/report.css',
    } <= tree
    # And no module that is no longer there.
    assert {path for path in held if path.startswith(folders) and Path(path).suffix} == tree
    # Nor what is a top-level name that belongs to nobody.
    assert not [path for path in held if path.startswith(('benchmarks', 'scripts', 'tests'))]
    assert {'setup.py', 'README.md'} <= held


def test_a_staged_job_gives_the_bytes_of_a_local_build_and_keeps_them_when_it_runs_again(staged, data_dir):
    result = _run_staged(staged)
    assert result.returncode == 0, result.stderr
    for config in _CONFIGS:
        assert files_of(_dataset(staged / 'data', config)) == files_of(_dataset(data_dir, config))
    left = {path.name for path in (staged / 'data/sero_spikes').iterdir()}
    assert left == {*_CONFIGS, 'rejected.jsonl'}
    written = {path: path.stat().st_mtime_ns for path in _dataset(staged / 'data', 'original').iterdir()}
    result = _run_staged(staged)
    assert result.returncode == 0, result.stderr
    assert {path: path.stat().st_mtime_ns for path in written} == written
    for config in _CONFIGS:
        assert files_of(_dataset(staged / 'data', config)) == files_of(_dataset(data_dir, config))


@pytest.mark.slow
def test_a_staged_job_fails_rather_than_replace_another_dataset(recordings_root, tmp_path):
    built = run_command(
        'sero-build', f'--recordings={recordings_root}', f'--data_dir={tmp_path}/data', '--configs=original', '--seed=1'
    )
    assert built.returncode == 0, built.stderr
    before = files_of(_dataset(tmp_path / 'data', 'original'))
    staging = tmp_path / 'staging'
    staging.mkdir()
    template = f'--template_location={staging}/job.json'
    result = _build(recordings_root, tmp_path / 'data', staging, template, configs=('original',))
    assert result.returncode == 0, result.stderr
    result = _run_staged(staging)
    assert result.returncode != 0
    assert 'original/1.1.0: exists and is kept; --overwrite replaces it' in result.stderr
    assert files_of(_dataset(tmp_path / 'data', 'original')) == before


@pytest.mark.slow
def test_a_job_that_nobody_waits_for_keeps_others_away_until_it_has_ended(recordings_root, data_dir, tmp_path):
    staging, data = tmp_path / 'staging', tmp_path / 'data'
    staging.mkdir()
    with dataflow_stand_in() as server:
        arguments = (recordings_root, data, staging, '--no_wait_until_finish')
        result = _build(*arguments, endpoint=server.endpoint, configs=('original',))
        assert result.returncode == 0, result.stderr
        assert f'submitted DataflowRunner job {JOB_ID} (project p, region us-central1), not waited' in result.stdout
        again = run_command('sero-build', f'--recordings={recordings_root}', f'--data_dir={data}', '--configs=original')
        assert 'DataflowRunner job j, submitted ' in error_line(again)
        assert [job['name'] for job in server.submitted] == ['j']
        result = _run_staged(staging)
        assert result.returncode == 0, result.stderr
        result = _build(*arguments, endpoint=server.endpoint, configs=('original',))
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith('original: 8 files = 8 used + 0 rejected; ')
        assert [job['name'] for job in server.submitted] == ['j']
    assert files_of(_dataset(data, 'original')) == files_of(_dataset(data_dir, 'original'))
    assert sorted(path.name for path in (data / 'sero_spikes').iterdir()) == ['original', 'rejected.jsonl']


@pytest.mark.slow
def test_a_job_that_is_waited_for_ends_in_the_summary(recordings_root, data_dir, tmp_path):
    staging = tmp_path / 'staging'
    staging.mkdir()
    with dataflow_stand_in() as server:
        arguments = _arguments(
            recordings_root, tmp_path / 'data', staging, endpoint=server.endpoint, configs=('original',)
        )
        command = [Path(sys.executable).parent / 'sero-build', *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not server.submitted:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        result = _run_staged(staging)
        assert result.returncode == 0, result.stderr
        server.state = 'JOB_STATE_DONE'
        summary, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert summary.startswith('original: 8 files = 8 used + 0 rejected; ')
    assert f'Job {JOB_ID} is in state JOB_STATE_' in log
    assert files_of(_dataset(tmp_path / 'data', 'original')) == files_of(_dataset(data_dir, 'original'))
