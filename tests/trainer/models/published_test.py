import hashlib
import io
import json
import pathlib
import shutil
import zipfile
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from beam_pipelines.errors import UserError
from tests.support.commands import run_command
from tests.support.training_runs import TINY_RUN, train
from trainer.errors import ModelError
from trainer.evaluation.results import ModelResult
from trainer.models import model_info
from trainer.models.ensemble import AddTimeColumn
from trainer.models.files import load_model
from trainer.models.published import describe_files, find_files, load_published_member
from trainer.reports.terminal import trained_on_warnings

pytestmark = pytest.mark.slow

PUBLISHED_RUN = TINY_RUN | {
    'train_on': 'original',
    'architecture': 'published',
    'kernel_sizes': (6, 4),
    'learning_rate': 1e-12,  # the weights stay
    'batch_size': 8,
    'examples_per_epoch': 8,
    'epochs': 1,
}


def change_file(
    path: pathlib.Path,
    config: Callable[[dict], object] = lambda config: None,
    weights: Callable[[h5py.File], object] = lambda file: None,
) -> None:
    """Writes a ``.keras`` file anew with another config or other weights."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    fields = json.loads(contents['config.json'])
    config(fields)
    contents['config.json'] = json.dumps(fields).encode()
    buffer = io.BytesIO(contents['model.weights.h5'])
    with h5py.File(buffer, 'r+') as file:
        weights(file)
    contents['model.weights.h5'] = buffer.getvalue()
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def error_of(path: pathlib.Path, kernel_size: int = 4) -> str:
    with pytest.raises(ModelError) as raised:
        load_published_member(str(path), kernel_size)
    message = str(raised.value)
    assert message.startswith(f'{path}: ')
    assert '\n' not in message
    return message.removeprefix(f'{path}: ')


def assert_scores_of_keras_2(path: pathlib.Path, kernel_size: int, authors_files: pathlib.Path) -> None:
    member = load_published_member(str(path), kernel_size)
    with_time = AddTimeColumn()(np.load(authors_files / 'spikes.npy'))
    expected = np.load(authors_files / 'scores.npz')[path.stem]
    assert member.name == f'k{kernel_size}'
    np.testing.assert_allclose(member.predict_on_batch(with_time), expected, rtol=1e-4, atol=1e-6)


@pytest.fixture
def own_file(authors_files, tmp_path) -> pathlib.Path:
    """A file of kernel size 4 to change."""
    return pathlib.Path(shutil.copy(authors_files / 'ModConvBinNormN4.keras', tmp_path))


@pytest.mark.parametrize(('name', 'kernel_size'), [('ModConvBinNormN4', 4), ('ModConvBinNormN6', 6)])
def test_member_scores_as_in_keras_2(authors_files, name, kernel_size):
    assert_scores_of_keras_2(authors_files / f'{name}.keras', kernel_size, authors_files)


def test_weights_under_the_name_that_older_keras_gave_them_are_read(authors_files, own_file):
    change_file(own_file, weights=lambda file: file.move('layers', '_layer_checkpoint_dependencies'))
    assert_scores_of_keras_2(own_file, 4, authors_files)


def test_of_several_chunks_the_last_is_taken(authors_files):
    paths = find_files(str(authors_files))
    names = {kernel_size: pathlib.Path(path).name for kernel_size, path in paths.items()}
    assert names == {4: 'ModConvBinNormN4-v10.keras', 6: 'ModConvBinNormN6.keras'}


def test_files_are_described_by_name_and_content(authors_files):
    content = (authors_files / 'ModConvBinNormN6.keras').read_bytes()
    assert describe_files(find_files(str(authors_files), [6])) == {
        'k6': {'file': 'ModConvBinNormN6.keras', 'sha256': hashlib.sha256(content).hexdigest()}
    }


def test_kernel_size_without_a_file_is_named(authors_files):
    with pytest.raises(ModelError) as raised:
        find_files(str(authors_files), [4, 5])
    assert str(raised.value) == (
        f'{authors_files}: holds no file ModConvBinNormN5.keras or ModConvBinNormN5-v{{chunk}}.keras'
    )


@pytest.mark.parametrize(
    ('folder', 'message'),
    [('.', 'holds no file ModConvBinNormN{k}.keras or ModConvBinNormN{k}-v{chunk}.keras'), ('no', 'No such file')],
)
def test_folder_without_such_files_is_named(tmp_path, folder, message):
    with pytest.raises(ModelError) as raised:
        find_files(str(tmp_path / folder))
    assert str(raised.value).startswith(f'{tmp_path / folder}: {message}')


def test_file_of_another_kernel_size_is_named(own_file):
    assert error_of(own_file, 5) == (
        'layer 2 (Conv2D) has kernel_size [4, 1], in the published network with kernel size 5 it is [5, 1]'
    )


def test_kernel_size_that_cannot_be_is_named(own_file):
    assert error_of(own_file, 60) == 'kernel_size 60: must be 1..53, or nothing is left of 160 samples'


def test_network_with_other_outputs_is_named(authors_files):
    assert error_of(authors_files / 'three_outputs.keras') == (
        'layer 8 (Dense) has units [3], in the published network with kernel size 4 it is [2]'
    )


def test_code_in_a_file_is_named_and_does_not_run(authors_files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert error_of(authors_files / 'lambda.keras') == (
        'layer 3 is Lambda, in the published network with kernel size 4 it is MaxPooling2D'
    )
    assert not (tmp_path / 'ran').exists()


def test_file_that_is_cut_off_is_named(own_file):
    own_file.write_bytes(own_file.read_bytes()[:-1000])
    assert error_of(own_file).startswith('is not a whole .keras file: ')


def test_damaged_weights_are_named(own_file):
    content = bytearray(own_file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    own_file.write_bytes(content)
    assert error_of(own_file) == "is not a whole .keras file: Bad CRC-32 for file 'model.weights.h5'"


def test_layer_that_is_missing_is_named(own_file):
    change_file(own_file, config=lambda config: config['config']['layers'].pop())
    assert error_of(own_file) == 'layer 8 is missing, in the published network with kernel size 4 it is Dense'


def test_layers_in_another_order_are_named(authors_files, tmp_path):
    path = pathlib.Path(shutil.copy(authors_files / 'ModConvBinNormN6.keras', tmp_path))

    def skip_the_normalization(config):
        layers = config['config']['layers']
        layers[2]['inbound_nodes'] = layers[1]['inbound_nodes']

    change_file(path, config=skip_the_normalization)
    assert error_of(path, 6).endswith('is not fed by the layer before it alone')


def test_config_that_describes_no_model_is_named(own_file):
    change_file(own_file, config=lambda config: config.update(config=['?']))
    assert error_of(own_file) == 'config.json does not describe a Keras model'


def test_weights_of_another_shape_are_named_with_layer_and_shapes(own_file):
    def shorten(file):
        del file['layers/conv2d_1/vars/0']
        file['layers/conv2d_1/vars/0'] = np.zeros((3, 1, 32, 64), np.float32)

    change_file(own_file, weights=shorten)
    assert error_of(own_file) == (
        'layer 4 (Conv2D) has weights of shape (3, 1, 32, 64), in the published network with kernel size 4 it is'
        ' (4, 1, 32, 64)'
    )


def test_weights_that_are_missing_are_named(own_file):
    change_file(own_file, weights=lambda file: file.pop('layers/dense'))
    assert error_of(own_file).startswith('model.weights.h5: ')


def test_weights_that_are_not_finite_are_named(own_file):
    def spoil(file):
        file['layers/dense/vars/1'][0] = np.nan

    change_file(own_file, weights=spoil)
    assert error_of(own_file) == 'layer 8 (Dense) has weights that are not finite'


def test_weights_in_another_file_are_not_read(own_file, tmp_path):
    (tmp_path / 'other').write_bytes(bytes(8))

    def point_outside(file):
        del file['layers/dense/vars/1']
        file.create_dataset('layers/dense/vars/1', (2,), np.float32, external=[(str(tmp_path / 'other'), 0, 8)])

    change_file(own_file, weights=point_outside)
    assert error_of(own_file) == 'layer 8 (Dense) has its weights outside of the file'


@pytest.fixture(scope='module')
def started_run(authors_files, data_dir, tmp_path_factory) -> pathlib.Path:
    """A run from the authors' weights, which it has not moved."""
    workdir = tmp_path_factory.mktemp('started') / 'run'
    train(PUBLISHED_RUN, str(data_dir), str(workdir), init_from=str(authors_files))
    return workdir


def test_run_starts_from_the_authors_weights(started_run, authors_files):
    for name, file in (('k4', 'ModConvBinNormN4-v10'), ('k6', 'ModConvBinNormN6')):
        member = load_model(str(started_run / 'members' / f'{name}.keras'), compile=False)
        expected = load_published_member(str(authors_files / f'{file}.keras'), int(name[1:]))
        for weight, start in zip(member.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_allclose(weight, start, rtol=1e-6, atol=1e-9)


def test_info_says_what_the_run_was_started_from(started_run, authors_files):
    info = json.loads((started_run / 'model_info.json').read_text())
    assert info['init_from'] == describe_files(find_files(str(authors_files), (6, 4)))


def test_run_that_started_from_them_is_reported_with_a_warning(started_run):
    info = model_info.read(str(started_run))
    assert trained_on_warnings([ModelResult('trained on original', info, {})]) == [
        "trained on original: started from the authors' models, and any of the cells may be among those that these were"
        ' trained on.'
    ]


def test_run_goes_on_only_from_what_it_was_started_from(started_run, authors_files, data_dir, tmp_path):
    workdir = tmp_path / 'run'
    shutil.copytree(started_run, workdir)
    config = PUBLISHED_RUN | {'epochs': 2}
    others = tmp_path / 'others'
    shutil.copytree(authors_files, others)
    (others / 'ModConvBinNormN4-v10.keras').unlink()
    with pytest.raises(UserError) as raised:
        train(config, str(data_dir), str(workdir), init_from=str(others))
    assert str(raised.value) == f'{workdir}: holds a run that was not started from the files in {others}'
    info = train(config, str(data_dir), str(workdir))
    assert info.epochs == 2
    assert info.init_from == describe_files(find_files(str(authors_files), (6, 4)))


def test_architecture_that_takes_no_time_column_cannot_start_from_them(authors_files, tmp_path):
    with pytest.raises(UserError) as raised:
        train(TINY_RUN, str(tmp_path), str(tmp_path / 'run'), init_from=str(authors_files))
    assert str(raised.value) == (
        f'architecture cnn: the networks in {authors_files} take time and current; give --config.architecture=published'
    )


@pytest.fixture(scope='module')
def evaluated(authors_files, data_dir, tmp_path_factory):
    """What sero-evaluate writes of the authors' models, and what it says."""
    folder = tmp_path_factory.mktemp('evaluated') / 'output'
    result = run_command('sero-evaluate', '--models', authors_files, '--data_dir', data_dir, '--output_dir', folder)
    assert result.returncode == 0, result.stderr
    return folder, result


def test_evaluation_of_the_authors_models_says_which_and_what_is_not_known(evaluated):
    _, result = evaluated
    assert result.stdout.startswith("authors' models: ModConvBinNormN4-v10.keras, ModConvBinNormN6.keras\n")
    title = "authors' models, trained on data unknown here"
    assert f'Verdicts on cells of other days, {title}:' in result.stdout
    assert f'WARNING: {title}: any of the cells may be among those that they were trained on.' in result.stdout
    assert result.stderr == (
        'WARNING: the probabilities are not calibrated: validation cells that are SER: 1; calibration takes two or'
        ' more a class\n'
    )


def test_metrics_of_the_authors_models_say_what_is_not_known(evaluated, authors_files):
    metrics = json.loads((evaluated[0] / 'metrics.json').read_text())
    calibration = metrics['model'].pop('calibration')
    assert (calibration['method'], calibration['fitted_by']) == ('none', 'sero-evaluate')
    assert metrics['model'] == {
        'source': 'unknown',
        'protocol': 'unknown',
        'trained_on': 'data unknown here',
        'architecture': 'published',
        'kernel_sizes': [4, 6],
        'examples_seen': None,
        'files': describe_files(find_files(str(authors_files))),
    }
    assert metrics['non_homogeneous/test']['cell']['cells_seen_in_training'] is None
    assert metrics['non_homogeneous/test']['cell']['n'] == 8


def test_report_on_the_authors_models_says_what_is_not_known(evaluated):
    page = (evaluated[0] / 'report.html').read_text()
    assert 'data unknown here' in page
    assert 'any of the cells may be among those that they were trained on' in page
    assert 'evaluated on simulated recordings' in page


def test_authors_folder_is_left_as_it_was(evaluated, authors_files):
    assert not (authors_files / 'evaluation').exists()
