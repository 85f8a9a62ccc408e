import json

import pytest

from beam_pipelines.errors import UserError
from tests.support.commands import error_line, run_command
from tests.support.training_runs import train_arguments
from tests.trainer.training.loop_test import SHORT_RUN
from trainer.models.trained import MEMBERS_FOLDER
from trainer.training import checkpoints
from trainer.training.run_places import RunPlaces, places_of_job, places_within

# As of a job with baseOutputDirectory gs://bucket/runs/one.
_ON_VERTEX = {
    'AIP_MODEL_DIR': 'gs://bucket/runs/one/model/',
    'AIP_CHECKPOINT_DIR': 'gs://bucket/runs/one/checkpoints/',
    'AIP_TENSORBOARD_LOG_DIR': 'gs://bucket/runs/one/logs/',
}


def test_the_folders_of_a_vertex_job_are_below_the_mount_of_its_buckets(tmp_path):
    (tmp_path / 'bucket').mkdir()
    run = f'{tmp_path}/bucket/runs/one'
    assert places_of_job(_ON_VERTEX, str(tmp_path)) == RunPlaces(f'{run}/model', f'{run}/checkpoints', f'{run}/logs')


def test_what_vertex_does_not_name_is_in_the_folder_of_the_model():
    assert places_of_job({'AIP_MODEL_DIR': '/m'}) == places_within('/m')
    assert places_within('/m') == RunPlaces('/m', '/m/checkpoints', '/m/tensorboard')


@pytest.mark.parametrize('variable', _ON_VERTEX)
def test_a_bucket_that_is_not_mounted_is_named(tmp_path, variable):
    (tmp_path / 'bucket').mkdir()
    environment = _ON_VERTEX | {variable: 'gs://other/x/'}
    with pytest.raises(UserError, match=f'^{variable}=gs://other/x/: the bucket is not mounted at {tmp_path}/other;'):
        places_of_job(environment, str(tmp_path))


def _arguments(data_dir, **fields) -> list[str]:
    return train_arguments(SHORT_RUN | fields, data_dir, '')[:-2]


@pytest.mark.slow
def test_a_vertex_job_writes_into_its_folders_and_goes_on_from_them(monkeypatch, data_dir, tmp_path):
    folders = {name: tmp_path / name for name in ('model', 'checkpoints', 'logs')}
    for variable, folder in zip(_ON_VERTEX, folders.values(), strict=True):
        monkeypatch.setenv(variable, f'{folder}/')
    # Vertex AI names the machine of a job that has only one, too.
    cluster = {'chief': ['cmle-training-chief-0:2222']}
    task = {'type': 'chief', 'index': 0, 'trial': '1', 'cloud': 'c'}
    config = {'cluster': cluster, 'task': task, 'environment': 'cloud', 'job': '{"scale_tier": "CUSTOM"}'}
    monkeypatch.setenv('TF_CONFIG', json.dumps(config))
    result = run_command('sero-train', *_arguments(data_dir, epochs=1))
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1].endswith(f'; model in {tmp_path}/model/')
    left = {path.name for path in folders['model'].iterdir()}
    assert {MEMBERS_FOLDER, 'config.json', 'model_info.json', 'manifest.json'} <= left
    assert not left & {'checkpoints', 'tensorboard'}
    assert checkpoints.list_steps(str(folders['checkpoints'])) == [6]
    assert [path.name for path in folders['logs'].iterdir()][0].startswith('events.out.tfevents')

    result = run_command('sero-train', *_arguments(data_dir, epochs=2))
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith('going on from step 6 ')
    assert 12 in checkpoints.list_steps(str(folders['checkpoints']))


def test_a_bucket_without_its_mount_is_one_line_before_anything_is_read(monkeypatch, tmp_path):
    monkeypatch.setenv('AIP_MODEL_DIR', 'gs://no-such-bucket/model/')
    line = error_line(run_command('sero-train', *_arguments(tmp_path)))
    assert line == (
        'sero-train: AIP_MODEL_DIR=gs://no-such-bucket/model/: the bucket is not mounted at /gcs/no-such-bucket;'
        ' give --workdir'
    )
