import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from beam_pipelines.datasets import record_layout
from tests.support.commands import error_line, help_of, run_command, run_installed
from tests.support.training_runs import CONFIG_FILE, TINY_RUN, train_arguments
from trainer.data.stored_dataset import dataset_folder


@pytest.mark.parametrize(
    ('command', 'shown'),
    [
        ('sero-train', ['--config', '--data_dir', '--workdir', 'sero-train --config trainer/configs/demo.py']),
        ('sero-evaluate', ['--workdir', '--baseline_workdir', '--data_dir', 'sero-evaluate --workdir']),
    ],
)
def test_help_is_there_in_half_a_second_and_shows_flags_and_an_example(command, shown):
    text = help_of(command)
    for part in shown:
        assert part in text


@pytest.mark.parametrize('module', ['trainer.train', 'trainer.evaluate'])
def test_importing_a_command_loads_neither_beam_nor_tensorflow(module):
    program = (
        f'import sys, {module}; print(sorted(name for name in ("apache_beam", "tensorflow", "keras", "sklearn",'
        ' "matplotlib", "tensorflow_datasets") if name in sys.modules))'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == '[]', result.stderr


@pytest.mark.slow
def test_training_and_evaluating_load_no_beam():
    modules = 'trainer.training.loop, trainer.evaluation.evaluator, trainer.reports.evaluation_report'
    program = f'import sys, {modules}; print("apache_beam" in sys.modules)'
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=120)
    assert result.stdout.strip() == 'False', result.stderr


def test_missing_config_file_is_named(tmp_path):
    result = run_command('sero-train', '--config', tmp_path / 'nope.py', '--data_dir', tmp_path, '--workdir', tmp_path)
    assert error_line(result).startswith('sero-train: --config: ')
    assert f"'{tmp_path}/nope.py'" in error_line(result)


def test_config_with_a_syntax_error_is_named_with_the_line(tmp_path):
    (tmp_path / 'broken.py').write_text('\nx = (\n')
    result = run_command(
        'sero-train', '--config', tmp_path / 'broken.py', '--data_dir', tmp_path, '--workdir', tmp_path
    )
    assert error_line(result) == "sero-train: --config: '(' was never closed (broken.py, line 2)"


def test_unknown_config_field_is_named_with_the_nearest(tmp_path):
    result = run_command('sero-train', *train_arguments({'batchsize': 256}, tmp_path, tmp_path / 'run'))
    assert (
        error_line(result)
        == 'sero-train: --config: no field \'batchsize\'. Did you mean "batch_size" instead of "batchsize"?'
    )
    assert result.returncode == 2


@pytest.mark.parametrize(
    ('field', 'value', 'expected'),
    [
        ('batch_size', '1.5', 'a whole number'),
        ('learning_rate', 'high', 'a number'),
        ('kernel_sizes', '(20,', 'whole numbers such as 20,25,30'),
    ],
)
def test_config_value_of_another_type_is_named(tmp_path, field, value, expected):
    result = run_command('sero-train', *train_arguments({field: value}, tmp_path, tmp_path / 'run'))
    assert error_line(result) == f'sero-train: --config.{field}={value}: expected {expected}'
    assert result.returncode == 2


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        (
            'config.kernel_sizs = (5,)',
            'no field \'kernel_sizs\'. Did you mean "kernel_sizes" instead of "kernel_sizs"?',
        ),
        ('del config.patience', 'field patience is missing; trainer/configs/default.py has all fields'),
        ("config.kernel_sizes = ('a',)", "kernel_sizes ('a',): expected whole numbers such as 20,25,30"),
        (
            "config.seed = 'x'",
            "TypeError: Could not override field 'seed' (reference). x is of original type <class 'str'>"
            " and cannot be casted to type <class 'int'>",
        ),
        ('config = {}', 'get_config() returned a dict, expected an ml_collections.ConfigDict'),
    ],
)
def test_mistake_in_an_own_config_file_is_named(tmp_path, line, message):
    text = f'from trainer.configs import default\ndef get_config():\n    config = default.get_config()\n    {line}\n'
    (tmp_path / 'own.py').write_text(f'{text}    return config\n')
    result = run_command('sero-train', '--config', tmp_path / 'own.py', '--data_dir', tmp_path, '--workdir', tmp_path)
    assert error_line(result) == f'sero-train: --config: {message}'
    assert result.returncode == 2


def test_config_field_like_no_other_is_named(tmp_path):
    result = run_command('sero-train', *train_arguments({'zzz': 1}, tmp_path, tmp_path / 'run'))
    line = error_line(result)
    assert line.startswith("sero-train: --config: no field 'zzz'. There are architecture, augment, batch_size,")


@pytest.mark.parametrize('flag', ['config', 'data_dir', 'workdir'])
def test_flag_that_is_missing_is_named_without_a_traceback(flag, tmp_path):
    arguments = {'config': CONFIG_FILE, 'data_dir': tmp_path, 'workdir': tmp_path / 'run'}
    del arguments[flag]
    result = run_command('sero-train', *(f'--{name}={value}' for name, value in arguments.items()))
    assert result.returncode == 1
    assert f'--{flag}' in result.stderr
    assert 'Traceback' not in result.stderr


@pytest.mark.parametrize('command', ['sero-train', 'sero-evaluate'])
def test_argument_that_is_no_flag_is_named(command, tmp_path):
    config = ['--config', CONFIG_FILE] if command == 'sero-train' else []
    result = run_command(command, *config, '--data_dir', tmp_path, '--workdir', tmp_path, 'surplus')
    assert error_line(result) == f"{command}: unexpected argument 'surplus'"


def test_missing_data_dir_is_named(tmp_path):
    result = run_command('sero-train', *train_arguments(TINY_RUN, tmp_path / 'nodata', tmp_path / 'run'))
    assert error_line(result) == f'sero-train: {tmp_path}/nodata: no such folder; sero-build or tfds build makes it'
    assert result.returncode == 1


@pytest.mark.slow
def test_missing_dataset_is_named(tmp_path):
    result = run_command('sero-train', *train_arguments(TINY_RUN, tmp_path, tmp_path / 'run'))
    assert error_line(result) == (
        f'sero-train: {tmp_path}/sero_spikes/synthetic_small/1.1.0/dataset_info.json: no such file;'
        ' sero-build or tfds build makes the dataset'
    )
    assert result.returncode == 1


@pytest.mark.slow
def test_damaged_record_is_one_line(data_dir, tmp_path):
    own = tmp_path / 'data'
    shutil.copytree(dataset_folder(data_dir, 'original'), dataset_folder(own, 'original'))
    [path] = pathlib.Path(dataset_folder(own, 'original')).glob('*-train.tfrecord-*')
    content = bytearray(path.read_bytes())
    content[40 * record_layout.RECORD_BYTES + 300] ^= 1
    path.write_bytes(content)
    config = TINY_RUN | {'train_on': 'original', 'kernel_sizes': (5,)}
    result = run_command('sero-train', *train_arguments(config, own, tmp_path / 'run'), '--verify_records')
    assert result.stderr.splitlines()[-1] == f'sero-train: {path}: record 40: CRC of the data is wrong'
    assert result.returncode == 1
    content[40 * record_layout.RECORD_BYTES] ^= 1
    path.write_bytes(content)
    result = run_command('sero-train', *train_arguments(config, own, tmp_path / 'run'))
    assert result.stderr.splitlines()[-1].startswith(f'sero-train: {path}: record 40 starts with ')
    assert 'Traceback' not in result.stderr


@pytest.mark.slow
def test_folder_that_cannot_be_written_is_named(data_dir, tmp_path):
    (tmp_path / 'file').write_text('')
    workdir = tmp_path / 'file' / 'run'
    result = run_installed('sero-train', *train_arguments(TINY_RUN, data_dir, workdir))
    assert error_line(result) == f'sero-train: {workdir}: cannot be written: Not a directory'


@pytest.mark.slow
def test_config_value_that_cannot_be_used_is_one_line(data_dir, tmp_path):
    result = run_command('sero-train', *train_arguments(TINY_RUN | {'batch_size': 0}, data_dir, tmp_path / 'run'))
    assert error_line(result) == 'sero-train: batch_size 0: must be 1..2147483647'


@pytest.mark.slow
def test_progress_shows_rate_and_time_left_where_the_output_is_a_file(synthetic_run):
    _, result = synthetic_run
    lines = [line for line in result.stderr.splitlines() if line.startswith('epoch ')]
    ended = [line for line in lines if 'worst member' in line]  # Epochs on a busy machine have more lines.
    assert len(ended) == 3
    for number, line in enumerate(ended, 1):
        assert re.match(rf'epoch {number}/3  [\d,]+ examples/s  [\d,]+ s left  loss \d\.\d{{4}}', line), line


@pytest.mark.slow
def test_command_says_what_it_trains_on_what_and_nothing_else(synthetic_run):
    _, result = synthetic_run
    first, *others, last = result.stderr.splitlines()
    assert first.startswith('training 2 members on synthetic_small/train (127,006 spikes, simulated recordings, input')
    assert all(line.startswith('epoch ') for line in others), result.stderr
    assert last.startswith('WARNING: the probabilities are not calibrated: validation cells that are SER: 1;')


@pytest.mark.slow
def test_command_ends_with_where_the_model_is(synthetic_run):
    workdir, result = synthetic_run
    kept, where, calibrated = result.stdout.splitlines()
    assert re.fullmatch(r'ended after epoch 3; kept of each member .* \(k5: [123], k8: [123]\)', kept)
    assert where == (
        f'2 members trained on synthetic_small (simulated recordings), {3 * 46 * 32:,} examples; model in {workdir}'
    )
    assert calibrated == 'not calibrated, the probabilities are the published consensus; no confidence is chosen'


@pytest.mark.slow
def test_folder_of_a_run_holds_what_the_next_commands_look_for(synthetic_run):
    workdir: pathlib.Path = synthetic_run[0]
    assert sorted(path.name for path in workdir.iterdir()) == [
        'calibration.json',
        'checkpoints',
        'config.json',
        'consensus.keras',
        'consensus.onnx',
        'manifest.json',
        'members',
        'model_info.json',
        'saved_model',
        'tensorboard',
        'training_range.npz',
    ]
    assert sorted(path.name for path in (workdir / 'members').iterdir()) == ['k5.keras', 'k8.keras']


@pytest.mark.parametrize('field', [[], ['--config.seed=1'], ['--config.batch_size=8', '--config.seed=1']])
@pytest.mark.parametrize('kind', ['missing', 'folder', 'name', 'zero', 'bytes'])
def test_a_config_that_is_none_is_one_line_with_and_without_fields(tmp_path, kind, field):
    path = tmp_path / 'own.py'
    if kind == 'folder':
        path.mkdir()
    elif kind != 'missing':
        text = {'name': 'x = nowhere', 'zero': 'def get_config(): return 1 / 0', 'bytes': '\0\1'}[kind]
        path.write_text(text)
    result = run_command('sero-train', '--config', path, *field, '--data_dir', tmp_path, '--workdir', tmp_path)
    assert error_line(result).startswith('sero-train: --config: ')


@pytest.mark.parametrize(
    'twice', ['--config.seed=1', '--workdir=elsewhere', '--config=trainer/configs/fast.py', '--noprofile']
)
def test_a_flag_that_is_given_twice_is_one_line(tmp_path, twice):
    once = ['--config', CONFIG_FILE, '--config.seed=1', '--profile', '--data_dir', tmp_path, '--workdir', tmp_path]
    name = twice.partition('=')[0].replace('--no', '--')
    assert error_line(run_command('sero-train', *once, twice)) == f'sero-train: {name}: is given twice'


@pytest.mark.parametrize('flag', ['data_dir', 'workdir', 'init_from'])
@pytest.mark.parametrize('url', ['s3://', 'gs:///run'])
def test_a_url_without_a_bucket_is_one_line(tmp_path, flag, url):
    folders = {'data_dir': tmp_path, 'workdir': tmp_path / 'run'} | {flag: url}
    arguments = [f'--{name}={folder}' for name, folder in folders.items()]
    result = run_command('sero-train', '--config', CONFIG_FILE, *arguments)
    assert error_line(result) == f'sero-train: {url}: names no bucket; expected {url[:2]}://BUCKET/FOLDER'


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / 'file').touch()
    arguments = ['--config', CONFIG_FILE, '--data_dir', 's3://bucket/data', '--workdir', tmp_path / 'run']
    for folder, problem in ((tmp_path / 'file/x', 'Not a directory'), (tmp_path / 'file', 'File exists')):
        assert error_line(run_command('sero-train', *arguments, '--cache_dir', folder)) == (
            f'sero-train: {folder}: the cache cannot be used: {problem}; name another folder by --cache_dir'
        )


def test_a_workdir_in_no_bucket_is_one_line_and_leaves_no_folder(tmp_path, monkeypatch, s3_bucket):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data').mkdir()
    arguments = ['--config', CONFIG_FILE, '--data_dir', 'data', '--cache_dir', tmp_path / 'cache']
    result = run_command('sero-train', *arguments, '--workdir', 'ftp://host/run')
    assert error_line(result) == 'sero-train: ftp://host/run: there is no store ftp://; there are gs://, s3://'
    result = run_command('sero-train', *arguments, '--workdir', 's3://no-such-bucket/run')
    assert error_line(result) == 'sero-train: s3://no-such-bucket: no such bucket'
    result = run_command('sero-train', *arguments, '--workdir', f'{s3_bucket}/run')
    assert error_line(result).startswith('sero-train: data/sero_spikes/')
    result = run_command('sero-train', *arguments, '--workdir', 'run', '--cache_gb', '0')
    assert error_line(result) == 'sero-train: --cache_gb=0.0: must be more than 0'
    assert {path.name for path in tmp_path.iterdir()} == {'cache', 'data'}
