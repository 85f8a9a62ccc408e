import sys

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.build import check_beam_options
from beam_pipelines.errors import UserError
from beam_pipelines.launch.runners import check_dataflow_options
from beam_pipelines.planning.options import BuildOptions
from tests.support.requirements import needs_gcp

_JOB = {'runner': 'DataflowRunner', 'project': 'p', 'region': 'r', 'temp_location': 'gs://b/t', 'setup_file': __file__}


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
    ],
)
def test_what_is_missing_or_cannot_be_is_named(monkeypatch, changes, message):
    monkeypatch.delenv('CLOUDSDK_COMPUTE_REGION', raising=False)
    with pytest.raises(UserError, match=message):
        _check(**changes)


@needs_gcp
def test_the_region_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv('CLOUDSDK_COMPUTE_REGION', 'r')
    _check(region=None)


def test_the_extra_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'google.cloud.dataflow_v1beta3', None)
    with pytest.raises(UserError, match=r"--runner=DataflowRunner: needs Google's libraries; pip install '\.\[gcp\]'"):
        _check()


def test_other_runners_are_left_alone_but_have_no_templates():
    _check(runner='FlinkRunner', project=None, recordings='r')
    with pytest.raises(UserError, match='--template_location: is for --runner=DataflowRunner'):
        _check(runner='FlinkRunner', template_location='gs://b/j.json')


def test_options_of_dataflow_are_let_through_to_beam():
    check_beam_options(
        [
            '--num_workers=2',
            '--max_num_workers', '100',
            '--worker_machine_type=n2-standard-4',
            '--machine_type=n2-standard-4',
            '--disk_size_gb=50',
            '--no_use_public_ips',
            '--subnetwork=regions/r/subnetworks/s',
            '--service_account_email=a@b',
            '--label=a=b',
            '--experiment=use_sibling_sdk_workers',
            '--experiments=a,b',
            '--dataflow_service_options=enable_prime',
            '--sdk_container_image=r-docker.pkg.dev/p/r/i:1',
            '--sdk_location=container',
            '--prebuild_sdk_container_engine=cloud_build',
            '--docker_registry_push_url=r-docker.pkg.dev/p/r',
            '--autoscaling_algorithm=THROUGHPUT_BASED',
            '--number_of_worker_harness_threads=2',
            '--flexrs_goal=COST_OPTIMIZED',
        ],
        PipelineOptions,
    )  # fmt: skip


def test_a_value_that_beam_refuses_is_one_line():
    with pytest.raises(UserError, match="^--num_workers: invalid int value: 'two'$"):
        check_beam_options(['--num_workers=two'], PipelineOptions)
