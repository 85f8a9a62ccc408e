import re
import signal
import sys
import threading

import apache_beam as beam
import grpc
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from beam_pipelines.datasets import record_layout
from beam_pipelines.errors import UserError
from beam_pipelines.launch.runners import check_dataflow_options, cluster_errors, default_runner, run_pipeline
from beam_pipelines.planning.options import BuildOptions
from tests.support.commands import run_command
from tests.support.folders import shards_of
from tests.support.ports import free_ports
from tests.support.recordings import NUM_MASKS
from tests.support.requirements import needs_gcp

_JOB = {
    'runner': 'DataflowRunner',
    'project': 'p',
    'region': 'us-central1',
    'temp_location': 'gs://b/t',
    'setup_file': __file__,
}


def _check(recordings='gs://b/r', data_dir='gs://b/d', **changes) -> None:
    arguments = [f'--{name}={value}' for name, value in {**_JOB, **changes}.items() if value]
    check_dataflow_options(BuildOptions(recordings, data_dir, ('original',)), PipelineOptions(arguments))


@needs_gcp
@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'runner': 'dataflow'},
        {'setup_file': None, 'sdk_container_image': 'i'},
        {'job_name': 'sero-1', 'region': 'northamerica-northeast2', 'machine_type': 'n2-standard-4'},
        {'machine_type': 'n2d-custom-4-16384-ext'},
        {'machine_type': 'custom-2-8192'},
        {'machine_type': 'a2-highgpu-1g'},
        {'machine_type': 'c3-standard-4-lssd'},
        {'dataflow_endpoint': 'http://localhost:1', 'temp_location': '/', 'recordings': 'r', 'data_dir': 'd'},
    ],
)
def test_a_job_that_can_be(changes):
    _check(**changes)


@needs_gcp
@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'project': None}, '--project: is needed'),
        ({'region': None}, '--region: is needed'),
        ({'temp_location': None}, '--temp_location: is needed'),
        ({'temp_location': '/tmp'}, '--temp_location=/tmp: expected a gs:// path'),
        ({'staging_location': 'b/s'}, '--staging_location=b/s: expected a gs:// path'),
        ({'template_location': 'j.json'}, '--template_location=j.json: expected a gs:// path'),
        ({'temp_location': '/no/such', 'dataflow_endpoint': 'http://localhost:1'}, 'location=/no/such: no such folder'),
        ({'recordings': 'r'}, "--recordings=r: Dataflow's workers cannot reach it"),
        ({'data_dir': '/d'}, "--data_dir=/d: Dataflow's workers cannot reach it"),
        ({'setup_file': None}, '--setup_file: is needed'),
        ({'setup_file': './no.py'}, '--setup_file=./no.py: no such file'),
        ({'dry_run': '1'}, '--dry_run: would build nothing'),
        ({'job_name': 'Sero'}, '--job_name=Sero: expected a lowercase letter, then'),
        ({'job_name': 'sero-'}, '--job_name=sero-: expected a lowercase letter, then'),
        ({'job_name': 'sero_1'}, '--job_name=sero_1: expected a lowercase letter, then'),
        ({'region': 'us-central1-a'}, '--region=us-central1-a: us-central1-a is a zone of us-central1$'),
        ({'region': 'Iowa'}, '--region=Iowa: expected such as us-central1$'),
        ({'machine_type': 'e2-small'}, '--machine_type=e2-small: expected such as n2-standard-4'),
        ({'machine_type': 'n2_standard_4'}, '--machine_type=n2_standard_4: expected such as n2-standard-4'),
    ],
)
def test_what_is_missing_or_cannot_be_is_named(monkeypatch, changes, message):
    monkeypatch.delenv('CLOUDSDK_COMPUTE_REGION', raising=False)
    with pytest.raises(UserError, match=message):
        _check(**changes)


@needs_gcp
def test_the_region_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv('CLOUDSDK_COMPUTE_REGION', 'us-central1')
    _check(region=None)


def test_the_extra_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'google.cloud.dataflow_v1beta3', None)
    with pytest.raises(UserError, match=r"--runner=DataflowRunner: needs Google's libraries; pip install '\.\[gcp\]'"):
        _check()


def test_other_runners_are_left_alone_but_have_no_templates():
    _check(runner='FlinkRunner', project=None, recordings='r')
    with pytest.raises(UserError, match='--template_location: is for --runner=DataflowRunner'):
        _check(runner='FlinkRunner', template_location='gs://b/j.json')


def test_the_runner_is_named_where_the_user_did_not():
    options = PipelineOptions([])
    assert default_runner(options) == 'FnApiRunner'
    assert options.view_as(StandardOptions).runner == 'FnApiRunner'


def test_the_runner_that_the_user_named_is_kept():
    assert default_runner(PipelineOptions(['--runner=FlinkRunner'])) == 'FlinkRunner'


def test_a_job_service_that_is_not_there_is_told_and_leaves_nothing_in_the_way(recordings_root, data_dir, tmp_path):
    build = ['sero-build', '--recordings', recordings_root, '--data_dir', tmp_path, '--configs=original']
    masks = f'--num_masks={NUM_MASKS}'
    (port,) = free_ports(1)
    on_cluster = ['--runner=PortableRunner', f'--job_endpoint=localhost:{port}', '--job_server_timeout=1']
    result = run_command(*build, masks, '--', *on_cluster)
    assert result.returncode == 1
    waiting, error = result.stderr.splitlines()
    assert (
        waiting
        == f'--job_endpoint=localhost:{port}: Connection refused; waiting up to 1 s for it (--job_server_timeout)'
    )
    assert error.startswith('sero-build: PortableRunner: FutureTimeoutError; whole shards are kept')

    assert run_command(*build, masks).returncode == 0
    folder = 'sero_spikes/original/1.1.0'
    assert shards_of(tmp_path / folder) == shards_of(data_dir / folder)


def test_what_a_cluster_says_comes_in_one_line(recordings_root, tmp_path):
    options = ['--runner=FlinkRunner', '--flink_master=localhost:9', f'--flink_job_server_jar={tmp_path}/none.jar']
    result = run_command('sero-build', '--recordings', recordings_root, '--data_dir', tmp_path, '--', *options)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        f'sero-build: FlinkRunner: Unable to parse jar URL "{tmp_path}/none.jar". If using a full URL'
    )


_ON_FLINK = ['--runner=FlinkRunner']


@pytest.mark.parametrize(
    'raised',
    [RuntimeError('Pipeline failed\n at java'), ValueError('Pipeline failed'), OSError('Pipeline failed')],
)
def test_what_beam_raises_is_one_line(raised):
    with pytest.raises(UserError, match='^FlinkRunner: Pipeline failed; whole shards are kept'):
        with cluster_errors(PipelineOptions(_ON_FLINK)):
            raise raised


def test_what_a_step_raised_on_the_cluster_is_the_line():
    raised = "OSError: [Errno 28] No space left on device: '/d/shard'"
    said = (
        'java.lang.RuntimeException: Error received from SDK harness: Traceback (most recent call last):\n'
        f'  File "x.py"\nRuntimeError: {raised} [while running \'WriteShard\']\n\tat java'
    )
    with pytest.raises(UserError, match=f'^{re.escape(f"FlinkRunner: {raised}")}; whole shards are kept'):
        with cluster_errors(PipelineOptions(_ON_FLINK)):
            raise RuntimeError(said)


@pytest.mark.parametrize('raised', [grpc.RpcError(), grpc.FutureTimeoutError()])
def test_what_grpc_raises_without_words_is_one_line(raised):
    with pytest.raises(UserError, match=f'^FlinkRunner: {type(raised).__name__}; whole shards are kept'):
        with cluster_errors(PipelineOptions(_ON_FLINK)):
            raise raised


@pytest.mark.parametrize(
    'raised', [TypeError('ours'), AttributeError('ours'), KeyError('ours'), AssertionError('ours')]
)
def test_a_programming_error_is_no_error_of_the_cluster(raised):
    with pytest.raises(type(raised), match='ours'), cluster_errors(PipelineOptions(_ON_FLINK)):
        raise raised


def test_a_value_error_of_this_package_is_no_error_of_the_cluster():
    with pytest.raises(ValueError, match='whole number of records'), cluster_errors(PipelineOptions(_ON_FLINK)):
        record_layout.view_records(np.zeros(3, np.uint8))


def _interrupt(number: int) -> int:
    signal.raise_signal(signal.SIGINT)
    return number


@pytest.mark.parametrize('mode', ['in_memory', 'multi_threading'])
def test_ctrl_c_within_a_step_is_ctrl_c(mode):
    if mode == 'multi_threading' and threading.current_thread() is not threading.main_thread():
        pytest.skip('signals reach the main thread only')
    options = PipelineOptions([f'--direct_running_mode={mode}'])
    default_runner(options)
    pipeline = beam.Pipeline(options=options)
    pipeline | beam.Create([1]) | beam.Map(_interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(pipeline, options)
