"""sero-train and sero-evaluate on buckets give what they give on folders, also if they are killed."""

import contextlib
import json
import os
import pathlib
import signal
import time

import pytest

from tests.support.commands import error_line, run_command
from tests.support.folders import files_of
from tests.support.started_commands import start_command
from tests.support.training_runs import TINY_RUN, train_arguments
from trainer.buckets import store
from trainer.buckets.folder_index import INDEX_FILE, read_index

_STORES = [pytest.param('bucket', marks=pytest.mark.gcs, id='gcs'), pytest.param('s3_bucket', id='s3')]


def _put(folder: pathlib.Path, url: str) -> None:
    for name in files_of(folder):
        store.upload(str(folder / name), f'{url}/{name}')


def _kill_when(process, seen) -> None:
    """Kills a command as soon as something is seen."""
    while not seen() and process.is_alive():
        time.sleep(0.02)
    assert process.is_alive(), 'it ended before it could be killed'
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()


@pytest.mark.slow
@pytest.mark.parametrize('store_fixture', _STORES)
def test_a_run_in_a_bucket_is_killed_and_goes_on_elsewhere_and_is_evaluated(
    store_fixture, request, data_dir, synthetic_run, tmp_path
):
    url = request.getfixturevalue(store_fixture)
    expected, _ = synthetic_run
    _put(data_dir, f'{url}/data')
    run = f'{url}/runs/one'

    def training(cache):
        arguments = train_arguments(TINY_RUN | {'checkpoint_steps': 20}, f'{url}/data', run)
        return ['sero-train', *arguments, f'--cache_dir={tmp_path / cache}']

    def has_checkpoint():
        index = read_index(run)
        return index is not None and any(name.endswith('000040/state.json') for name in index.files)

    _kill_when(start_command(*training('killed'), errors=tmp_path / 'said'), has_checkpoint)
    # Another cache is another machine: all that it knows is in the bucket.
    result = run_command(*training('other'))
    assert result.returncode == 0, result.stderr
    assert 'going on from step' in result.stderr
    info, of_folder = (json.loads(text) for text in (store.read_object(f'{run}/model_info.json'), _text(expected)))
    assert info['best_epoch'] == of_folder['best_epoch']
    assert info['validation_loss'] == pytest.approx(of_folder['validation_loss'], rel=1e-4)
    assert f'model in {run}' in result.stdout
    assert not read_index(run).coming

    evaluating = ['sero-evaluate', f'--workdir={run}', f'--data_dir={url}/data', f'--cache_dir={tmp_path / "third"}']
    results = f'{run}/evaluation'
    _kill_when(start_command(*evaluating, errors=tmp_path / 'said'), lambda: store.exists(f'{results}/{INDEX_FILE}'))
    result = run_command(*evaluating)
    assert result.returncode == 0, result.stderr
    local = run_command(
        'sero-evaluate', f'--workdir={expected}', f'--data_dir={data_dir}', f'--output_dir={tmp_path / "local"}'
    )
    assert local.returncode == 0, local.stderr
    names = {name for name in files_of(tmp_path / 'local') if not name.startswith('.')}
    assert store.list_objects(results).keys() - {INDEX_FILE} == names == read_index(results).files.keys()
    assert f'report: {results}/report.html' in result.stdout
    assert _verdicts(store.read_object(f'{results}/cells.csv')) == _verdicts(
        (tmp_path / 'local/cells.csv').read_bytes()
    )


@pytest.mark.parametrize('store_fixture', _STORES)
def test_a_run_that_is_not_there_is_one_line(store_fixture, request, tmp_path):
    url = request.getfixturevalue(store_fixture)
    store._open_client.cache_clear()
    scheme = url.partition('://')[0]
    arguments = [f'--data_dir={tmp_path}', f'--cache_dir={tmp_path}']
    result = run_command('sero-evaluate', f'--workdir={scheme}://no-such-bucket/run', *arguments)
    assert error_line(result) == f'sero-evaluate: {scheme}://no-such-bucket: no such bucket'
    result = run_command('sero-evaluate', f'--workdir={url}/none', *arguments)
    assert error_line(result) == f'sero-evaluate: {url}/none/model_info.json: no such file; sero-train makes it'


def test_a_cross_validation_in_a_bucket_trains_no_fold_twice(s3_bucket, data_dir, tmp_path):
    config = TINY_RUN | {'train_on': 'original', 'kernel_sizes': (4,), 'examples_per_epoch': 64, 'epochs': 1}
    arguments = train_arguments(config, data_dir, f'{s3_bucket}/runs/days')
    outputs = []
    for cache in ('here', 'there'):
        result = run_command('sero-evaluate', '--cross_validate=spike', *arguments, f'--cache_dir={tmp_path / cache}')
        assert result.returncode == 0, result.stderr
        assert ('1 of 1: ' in result.stderr) == (cache == 'here')
        outputs.append(result.stdout)
    assert outputs[0] == outputs[1]
    cells = f'{s3_bucket}/runs/days/cross_validation/spike/cells.csv'
    assert f'cells: {cells}' in outputs[0] and store.exists(cells)


def _text(run: pathlib.Path) -> str:
    return (run / 'model_info.json').read_text()


def _verdicts(cells: bytes) -> list[list[str]]:
    return [line.split(',')[:2] for line in cells.decode().splitlines()]
