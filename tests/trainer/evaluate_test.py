import concurrent.futures
import contextlib
import csv
import json
import pathlib
import re
import shutil
import subprocess

import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.storage.locks import written_by_one
from tests.support.commands import error_line, run_command, run_installed
from trainer.data.stored_dataset import dataset_folder, open_split
from trainer.models import trained

pytestmark = pytest.mark.slow

SPIKE_METRICS = {'accuracy', 'sensitivity', 'specificity', 'auc', 'n'}
CELL_METRICS = SPIKE_METRICS | {'accuracy_low', 'accuracy_high', 'brier', 'ece', 'coverage'}
SPLITS = ['non_homogeneous/test', 'original/test', 'original/validation']


@pytest.fixture(scope='module')
def evaluated(
    synthetic_run, original_run, data_dir, tmp_path_factory
) -> tuple[pathlib.Path, subprocess.CompletedProcess]:
    """The folder `evaluation` of a run beside a baseline, and what sero-evaluate said."""
    workdir = tmp_path_factory.mktemp('evaluated') / 'run'
    shutil.copytree(synthetic_run[0], workdir)
    result = run_installed(
        'sero-evaluate', '--workdir', workdir, '--baseline_workdir', original_run, '--data_dir', data_dir
    )
    assert result.returncode == 0, result.stderr
    return workdir / 'evaluation', result


@pytest.fixture(scope='module')
def metrics(evaluated) -> dict:
    """The content of metrics.json, which must not hold NaN or Infinity."""
    return json.loads((evaluated[0] / 'metrics.json').read_text(), parse_constant=pytest.fail)


@pytest.fixture(scope='module')
def rows(evaluated) -> list[dict[str, str]]:
    with open(evaluated[0] / 'cells.csv', newline='') as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize('split', SPLITS)
def test_metrics_have_spikes_and_cells_of_each_split(metrics, split):
    assert set(metrics[split]) == {'spike', 'cell'}
    assert SPIKE_METRICS <= set(metrics[split]['spike'])
    assert CELL_METRICS <= set(metrics[split]['cell'])


@pytest.mark.parametrize('split', SPLITS)
def test_metrics_of_the_baseline_stand_beside(metrics, split):
    assert set(metrics['baseline'][split]['spike']) == set(metrics[split]['spike'])
    assert set(metrics['baseline'][split]['cell']) == set(metrics[split]['cell'])


def test_metrics_say_what_was_trained_on_what(metrics):
    assert metrics['model']['source'] == 'simulated'
    assert metrics['model']['protocol'] == 'by_cell'
    assert metrics['model']['trained_on'] == 'synthetic_small'
    assert metrics['baseline']['model']['trained_on'] == 'original'
    assert metrics['baseline']['model']['architecture'] == 'published'


def test_no_test_cell_was_trained_on(metrics):
    assert [metrics[split]['cell']['cells_seen_in_training'] for split in SPLITS] == [0, 0, 0]


def test_trained_model_beats_chance_on_spikes(metrics):
    assert metrics['non_homogeneous/test']['spike']['accuracy'] > 0.6


def test_cells_have_the_columns_of_the_contract(evaluated):
    header = (evaluated[0] / 'cells.csv').read_text().splitlines()[0]
    assert header == 'cell,verdict,p_ser,p_ser_low,p_ser_high,n_spikes,udi_ms,label,warnings,set,source'


def test_cells_are_those_of_the_test_splits(rows, data_dir):
    expected = [
        (cell.cell_id, f'{config}/test')
        for config in ('non_homogeneous', 'original')
        for cell in open_split(data_dir, config, 'test').metadata.cells
        if cell.split == 'test'
    ]
    assert sorted((row['cell'], row['set']) for row in rows) == sorted(expected)


def test_cells_and_metrics_agree(rows, metrics):
    called = [('SER' if float(row['p_ser']) >= 0.5 else 'NSER') == row['label'] for row in rows]
    cells = [metrics[split]['cell'] for split in ('non_homogeneous/test', 'original/test')]
    assert sum(called) == pytest.approx(sum(cell['accuracy'] * cell['n'] for cell in cells))


def test_verdict_agrees_with_the_interval(rows):
    for row in rows:
        low, p_ser, high = (float(row[name]) for name in ('p_ser_low', 'p_ser', 'p_ser_high'))
        assert low <= p_ser <= high
        if row['verdict'] == 'undecided':
            assert low <= 0.5 <= high
        else:
            assert row['verdict'] == ('SER' if p_ser > 0.5 else 'NSER')


def test_report_holds_the_stamp_of_simulated_recordings(evaluated):
    assert 'simulated recordings' in (evaluated[0] / 'report.html').read_text().lower()


def test_figures_are_written_as_png(evaluated):
    figures = list(evaluated[0].glob('*.png'))
    assert figures
    assert all(figure.read_bytes()[:8] == b'\x89PNG\r\n\x1a\n' for figure in figures)


def test_command_prints_both_models_and_the_report(evaluated):
    folder, result = evaluated
    assert 'trained on synthetic_small' in result.stdout
    assert 'trained on original' in result.stdout
    assert 'SIMULATED' in result.stdout
    assert result.stdout.endswith(f'report: {folder / "report.html"}\n')
    assert result.stderr == ''


def test_controls_stand_beside_the_models_in_the_same_order_everywhere(evaluated, metrics):
    titles = ['trained on synthetic_small', 'trained on original', 'control: the day alone']
    titles += ['control: noise alone', 'control: shuffled labels']
    printed = evaluated[1].stdout.splitlines()
    first = next(number for number, line in enumerate(printed) if '95 % interval' in line) + 1
    assert [re.split('  +', line)[0] for line in printed[first : first + 5]] == titles
    opening, _, table = (evaluated[0] / 'report.html').read_text().partition('<table class="compare">')
    day_alone = metrics['controls']['non_homogeneous/test']['day_only']['cell']['accuracy']
    assert f'<span>by the recording day alone</span><strong>{100 * day_alone:.1f}\xa0%</strong>' in opening
    table = table.partition('</table>')[0]
    assert re.findall('<th scope="row">([^<]*)</th>', table)[:5] == titles
    for split in SPLITS:
        assert list(metrics['controls'][split]) == ['day_only', 'noise_alone', 'label_shuffle']
        for control in metrics['controls'][split].values():
            assert control['cell']['n'] == metrics[split]['cell']['n']
            assert control['spike']['n'] == metrics[split]['spike']['n']


def test_model_is_said_to_be_better_than_noise_alone_or_not_in_the_same_words_everywhere(evaluated, metrics):
    page = ' '.join((evaluated[0] / 'report.html').read_text().split())
    for content, title in ((metrics, 'trained on synthetic_small'), (metrics['baseline'], 'trained on original')):
        for split, which in (('non_homogeneous/test', 'cells of other days'), ('original/test', 'original test cells')):
            found = content['beside_noise_alone'][split]
            difference = (
                content[split]['cell']['accuracy'] - metrics['controls'][split]['noise_alone']['cell']['accuracy']
            )
            assert found['accuracy_difference'] == pytest.approx(difference)
            said = f'{found["words"]} on the {found["n"]} {which}'
            assert f'{title}: {said}' in evaluated[1].stdout
            assert f'The model {title} is {said}' in page


def test_examples_are_those_of_the_epochs_that_were_kept(metrics, synthetic_run):
    info = json.loads((synthetic_run[0] / 'model_info.json').read_text())
    kept = max(info['best_epoch'].values())
    assert metrics['model']['examples_seen'] == kept * info['examples_seen'] // info['epochs']


def test_without_other_days_the_original_test_cells_are_judged(evaluated, data_dir, tmp_path):
    shutil.copytree(dataset_folder(data_dir, 'original'), dataset_folder(tmp_path / 'data', 'original'))
    other = shutil.copytree(evaluated[0].parent, tmp_path / 'other')
    result = run_command(
        *('sero-evaluate', '--workdir', evaluated[0].parent, '--baseline_workdir', other),
        *('--data_dir', tmp_path / 'data', '--output_dir', tmp_path / 'out'),
    )
    assert result.returncode == 0, result.stderr
    assert 'Verdicts on test cells of the original recordings' in result.stdout
    assert 'WARNING: there is no dataset non_homogeneous' in result.stdout and '--cross_validate=day' in result.stdout
    assert '--cross_validate=day' in (tmp_path / 'out' / 'report.html').read_text()
    metrics = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert set(SPLITS) & set(metrics) == {'original/test', 'original/validation'}
    with open(tmp_path / 'out' / 'cells.csv', newline='') as file:
        assert {row['set'] for row in csv.DictReader(file)} == {'original/test'}
    # Two runs of one config are told apart by their folders.
    for title in ('trained on synthetic_small, run', 'trained on synthetic_small, other'):
        assert f'\n{title} ' in result.stdout and title in (tmp_path / 'out' / 'report.html').read_text()


def test_evaluation_can_be_repeated_with_the_same_outcome(evaluated, original_run, data_dir):
    folder, _ = evaluated
    before = {name: (folder / name).read_bytes() for name in ('metrics.json', 'cells.csv')}
    result = run_command(
        'sero-evaluate', '--workdir', folder.parent, '--baseline_workdir', original_run, '--data_dir', data_dir
    )
    assert result.returncode == 0, result.stderr
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_missing_workdir_is_named(data_dir, tmp_path):
    result = run_command('sero-evaluate', '--workdir', tmp_path / 'no', '--data_dir', data_dir)
    assert error_line(result) == f'sero-evaluate: {tmp_path}/no: no such folder'


def test_missing_data_dir_is_named(tmp_path):
    result = run_command('sero-evaluate', '--workdir', tmp_path, '--data_dir', tmp_path / 'no')
    assert error_line(result) == f'sero-evaluate: {tmp_path}/no: no such folder; sero-build or tfds build makes it'


@pytest.mark.parametrize('flag', ['workdir', 'models', 'baseline_workdir', 'data_dir', 'output_dir'])
def test_a_url_without_a_bucket_is_one_line(tmp_path, flag):
    others = ['data_dir'] if flag == 'models' else ['data_dir', 'workdir']
    folders = dict.fromkeys(others, tmp_path) | {flag: 's3:///x'}
    result = run_command('sero-evaluate', *(f'--{name}={folder}' for name, folder in folders.items()))
    assert error_line(result) == 'sero-evaluate: s3:///x: names no bucket; expected s3://BUCKET/FOLDER'


def test_missing_baseline_is_named_and_nothing_is_written(synthetic_run, data_dir, tmp_path):
    shutil.copytree(synthetic_run[0], tmp_path / 'run')
    result = run_command(
        'sero-evaluate', '--workdir', tmp_path / 'run', '--baseline_workdir', tmp_path, '--data_dir', data_dir
    )
    assert error_line(result) == f'sero-evaluate: {tmp_path}/model_info.json: no such file; sero-train makes it'
    assert not (tmp_path / 'run' / 'evaluation').exists()


def test_damaged_member_is_named(synthetic_run, data_dir, tmp_path):
    shutil.copytree(synthetic_run[0], tmp_path / 'run')
    path = tmp_path / 'run' / 'members' / 'k8.keras'
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    result = run_command('sero-evaluate', '--workdir', tmp_path / 'run', '--data_dir', data_dir)
    assert error_line(result).startswith(f'sero-evaluate: {path}: is not the file that this run ended with')


def test_missing_dataset_is_named(synthetic_run, tmp_path):
    result = run_command('sero-evaluate', '--workdir', synthetic_run[0], '--data_dir', tmp_path)
    assert error_line(result) == (
        f'sero-evaluate: {tmp_path}/sero_spikes/original/1.1.0/dataset_info.json: no such file;'
        ' sero-build or tfds build makes the dataset'
    )


def test_damaged_spike_is_no_part_of_a_verdict(synthetic_run, data_dir, tmp_path):
    data = tmp_path / 'data'
    for config in ('original', 'non_homogeneous'):
        shutil.copytree(dataset_folder(data_dir, config), dataset_folder(data, config))
    [path] = pathlib.Path(dataset_folder(data, 'non_homogeneous')).glob('*-test.tfrecord-*')
    content = bytearray(path.read_bytes())
    content[20 * record_layout.RECORD_BYTES + 300] ^= 1
    path.write_bytes(content)
    result = run_command('sero-evaluate', '--workdir', synthetic_run[0], '--data_dir', data)
    assert error_line(result) == f'sero-evaluate: {path}: record 20: CRC of the data is wrong'


def test_folder_that_cannot_be_written_is_named_before_the_evaluation(authors_files, tmp_path):
    (tmp_path / 'file').write_text('')
    folder = tmp_path / 'file' / 'evaluation'
    result = run_command('sero-evaluate', '--models', authors_files, '--data_dir', tmp_path, '--output_dir', folder)
    assert error_line(result) == f'sero-evaluate: {folder}: cannot be written; give another --output_dir'


@pytest.mark.parametrize('folders', [[], ['--workdir', 'a', '--models', 'b']])
def test_either_a_run_or_the_authors_models_are_evaluated(folders, tmp_path):
    result = run_command('sero-evaluate', *folders, '--data_dir', tmp_path)
    assert result.returncode == 1
    assert 'workdir' in result.stderr and 'models' in result.stderr
    assert 'Traceback' not in result.stderr


@pytest.mark.slow
def test_difference_to_the_baseline_has_an_interval_over_the_same_cells(metrics, evaluated):
    for split in ('non_homogeneous/test', 'original/test'):
        found = metrics['difference'][split]
        ours, baselines = (content[split]['cell']['accuracy'] for content in (metrics, metrics['baseline']))
        assert found['accuracy_difference'] == pytest.approx(ours - baselines)
        assert found['accuracy_difference_low'] <= found['accuracy_difference'] <= found['accuracy_difference_high']
        assert found['n'] == metrics[split]['cell']['n']


def test_training_that_begins_while_its_run_is_loaded_is_seen(synthetic_run, data_dir, tmp_path, monkeypatch):
    workdir = shutil.copytree(synthetic_run[0], tmp_path / 'run')
    # In another thread, because the one that holds the lock may take it again.
    with contextlib.ExitStack() as training, concurrent.futures.ThreadPoolExecutor(1) as pool:

        def load_and_begin_training(folder, load=trained.load_ensemble):
            loaded = load(folder)
            pool.submit(training.enter_context, written_by_one(workdir, 'wait')).result()
            return loaded

        monkeypatch.setattr(trained, 'load_ensemble', load_and_begin_training)
        result = run_command('sero-evaluate', '--workdir', workdir, '--data_dir', data_dir)
        pool.submit(training.close).result()
    said = f'{workdir}: another command is writing there; wait until the training has ended'
    assert error_line(result) == f'sero-evaluate: {said}'
    assert not (workdir / 'evaluation').exists()
