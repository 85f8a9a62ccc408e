import joblib
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.errors import UserError
from beam_pipelines.launch.preflight import check_beam_options, cores_of_this_process


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
    )  # fmt: skip


def test_a_value_that_beam_refuses_is_one_line():
    with pytest.raises(UserError, match="^--num_workers: invalid int value: 'two'$"):
        check_beam_options(['--num_workers=two'])


@pytest.mark.parametrize('workers', ['-1', '-100'])
def test_fewer_workers_than_none_are_refused(workers):
    with pytest.raises(UserError, match=f'^--direct_num_workers={workers}: must be 0'):
        check_beam_options([f'--direct_num_workers={workers}'])


@pytest.mark.parametrize('arguments', [['--direct_num_workers=2', '--direct_num_workers', '3'], ['--region=a'] * 2])
def test_an_option_that_is_given_twice_is_refused(arguments):
    with pytest.raises(UserError, match='^--[a-z_]+: is given twice$'):
        check_beam_options(arguments)


def test_an_option_that_makes_a_list_may_be_given_twice():
    check_beam_options(['--experiments=a', '--experiments=b'])


@pytest.mark.parametrize(('workers', 'cores'), [(None, joblib.cpu_count()), (1, 1), (5, 5)])
def test_a_build_in_one_process_uses_all_cores_or_as_many_as_asked_for(workers, cores):
    assert cores_of_this_process(PipelineOptions([]), workers) == cores


@pytest.mark.parametrize(
    'options', [['--direct_running_mode=multi_processing'], ['--direct_num_workers=2'], ['--runner=FlinkRunner']]
)
def test_workers_of_beam_are_asked_for_with_its_own_option(options):
    assert cores_of_this_process(PipelineOptions(options), None) is None
    with pytest.raises(UserError, match='^--workers: is for a build in one process; .* -- --direct_num_workers=2$'):
        cores_of_this_process(PipelineOptions(options), 3)
