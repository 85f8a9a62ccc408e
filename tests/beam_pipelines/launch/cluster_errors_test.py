from tests.support.commands import run_command, run_installed
from tests.support.folders import shards_of
from tests.support.ports import free_ports
from tests.support.recordings import NUM_MASKS


def test_a_job_service_that_is_not_there_is_told_and_leaves_nothing_in_the_way(recordings_root, data_dir, tmp_path):
    build = ['sero-build', '--recordings', recordings_root, '--data_dir', tmp_path, '--configs=original']
    masks = f'--num_masks={NUM_MASKS}'
    (port,) = free_ports(1)
    on_cluster = ['--runner=PortableRunner', f'--job_endpoint=localhost:{port}', '--job_server_timeout=1']
    result = run_installed(*build, masks, '--', *on_cluster)
    assert result.returncode == 1
    waiting, error = result.stderr.splitlines()
    assert (
        waiting
        == f'--job_endpoint=localhost:{port}: Connection refused; waiting up to 1 s for it (--job_server_timeout)'
    )
    assert error.startswith('sero-build: PortableRunner: FutureTimeoutError; what is whole is kept')

    assert run_command(*build, masks).returncode == 0
    folder = 'sero_spikes/original/1.0.0'
    assert shards_of(tmp_path / folder) == shards_of(data_dir / folder)


def test_what_a_cluster_says_comes_in_one_line(recordings_root, tmp_path):
    options = ['--runner=FlinkRunner', '--flink_master=localhost:9', f'--flink_job_server_jar={tmp_path}/none.jar']
    result = run_installed('sero-build', '--recordings', recordings_root, '--data_dir', tmp_path, '--', *options)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        f'sero-build: FlinkRunner: Unable to parse jar URL "{tmp_path}/none.jar". If using a full URL'
    )
