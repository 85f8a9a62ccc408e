"""A model is passed on: its folder and .zip give the verdicts of its run, and its card says what there is to know."""

import concurrent.futures
import contextlib
import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from huggingface_hub import ModelCard

from beam_pipelines.citation import BIBTEX
from beam_pipelines.storage.locks import written_by_one
from tests.support.commands import error_line, run_command
from tests.support.places import ROOT
from trainer import classify
from trainer.sharing import export

pytestmark = pytest.mark.slow  # for the run that is trained first

FILES = {
    'README.md', 'metrics.json', 'manifest.json', 'model_info.json', 'calibration.json', 'training_range.npz',
    'consensus.onnx', 'consensus.keras', 'members/k5.keras', 'members/k8.keras',
}  # fmt: skip


@pytest.fixture(scope='module')
def run(synthetic_run, data_dir, tmp_path_factory):
    """A run that was evaluated; not to be changed: copy it."""
    workdir = tmp_path_factory.mktemp('exported') / 'run'
    shutil.copytree(synthetic_run[0], workdir)
    result = run_command('sero-evaluate', '--workdir', workdir, '--data_dir', data_dir)
    assert result.returncode == 0, result.stderr
    return workdir


@pytest.fixture(scope='module')
def exported(run):
    """The folder of the exported run, with `serotonin.zip` beside it."""
    folder = run.parent / 'out' / 'serotonin'
    result = run_command('sero-export-model', run, folder)
    assert result.returncode == 0 and result.stderr == '', result.stderr
    assert result.stdout.splitlines() == [
        f'folder: {folder}',
        f'archive: {folder}.zip',
        'The model was trained on SIMULATED recordings; its verdicts say nothing about real neurons.',
    ]
    return folder


@pytest.fixture(scope='module')
def card(exported):
    return ModelCard.load(exported / 'README.md')


@pytest.fixture(scope='module')
def recording(recordings_root):
    return sorted((recordings_root / 'non_homogeneous').rglob('*.abf'))[0]


def error_of(*arguments) -> str:
    return error_line(run_command('sero-export-model', *arguments)).removeprefix('sero-export-model: ')


def test_the_folder_and_the_archive_hold_the_same_files_and_nothing_else(run, exported):
    files = {path.relative_to(exported).as_posix(): path for path in exported.rglob('*') if path.is_file()}
    assert set(files) == FILES
    with zipfile.ZipFile(f'{exported}.zip') as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: path.read_bytes() for name, path in files.items()
        }
    of_run = FILES - {'README.md', 'metrics.json'}
    assert {name: files[name].read_bytes() for name in of_run} == {name: (run / name).read_bytes() for name in of_run}
    assert sorted(os.listdir(exported.parent)) == ['serotonin', 'serotonin.zip']


def test_what_was_exported_is_the_same_when_it_is_exported_again(exported, tmp_path):
    result = run_command('sero-export-model', exported, tmp_path / 'again')
    assert result.returncode == 0 and 'not evaluated' not in result.stdout, result.stderr
    assert (tmp_path / 'again.zip').read_bytes() == (exported.parent / 'serotonin.zip').read_bytes()


def test_verdicts_by_the_folder_and_by_the_archive_are_those_of_the_run(
    run, exported, recording, tmp_path, monkeypatch
):
    monkeypatch.setenv('TMPDIR', str(tmp_path / 'temporary'))
    monkeypatch.setattr('tempfile.tempdir', None)
    (tmp_path / 'temporary').mkdir()
    told = {}
    for name, model in {'run': run, 'folder': exported, 'archive': f'{exported}.zip'}.items():
        result = run_command('sero-classify', '--model', model, '--output_dir', tmp_path / name, recording)
        assert result.returncode == 0, result.stderr
        told[name] = [(tmp_path / name / file).read_text() for file in ('cells.csv', 'spikes.csv')]
    assert told['folder'] == told['archive'] == told['run']
    assert os.listdir(tmp_path / 'temporary') == []


def test_python_loads_the_archive_and_names_it(exported):
    archive = classify.load(f'{exported}.zip')
    assert archive.info == classify.load(exported).info
    assert archive.path == archive.description['path'] == f'{exported}.zip'


def test_passing_on_and_unpacking_load_neither_tensorflow_nor_beam(run, exported, tmp_path):
    program = (
        'import sys\n'
        'from trainer import classify\n'
        'from trainer.sharing.export import export_model\n'
        f'export_model({str(run)!r}, {str(tmp_path / "out")!r})\n'
        f'classify.load({str(tmp_path / "out.zip")!r})\n'
        'print({"tensorflow", "keras", "apache_beam", "sklearn", "huggingface_hub"} & set(sys.modules))'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout == 'set()\n', result.stderr
    assert (tmp_path / 'out' / 'README.md').read_bytes() == (exported / 'README.md').read_bytes()


def test_the_hub_reads_the_header_of_the_card(card, exported):
    assert card.data.library_name == 'sero-spikes'
    assert card.data.license == 'mit'
    assert {'electrophysiology', 'serotonin', 'simulated'} <= set(card.data.tags)
    metrics = json.loads((exported / 'metrics.json').read_text())
    found = {
        (f'{result.dataset_config}/{result.dataset_split}', result.metric_type): result.metric_value
        for result in card.data.eval_results
    }
    assert found == {
        (name, kind): pytest.approx(metrics[name]['cell'][field], abs=1e-4)
        for name in ('non_homogeneous/test', 'original/test')
        for field, kind in (('accuracy', 'accuracy'), ('auc', 'roc_auc'), ('brier', 'brier_score'))
    }


def test_the_card_says_what_the_model_is_worth(card, exported):
    text = card.text
    assert '**Trained on SIMULATED recordings.** Its verdicts say nothing about real neurons.' in text
    assert BIBTEX in text and 'doi     = {10.1016/j.jneumeth.2024.110158}' in text
    metrics = json.loads((exported / 'metrics.json').read_text())
    day_only = metrics['controls']['non_homogeneous/test']['day_only']['cell']
    for who, cell in (
        ('**this model**', metrics['non_homogeneous/test']['cell']),
        ('control: the day alone', day_only),
    ):
        (row,) = (line for line in text.splitlines() if line.startswith(f'| {who} | cells of other days |'))
        shown = [part.strip() for part in row.strip('|').split('|')]
        assert shown[2:4] == [str(cell['n']), f'{cell["accuracy"]:.3f}']
    info = json.loads((exported / 'model_info.json').read_text())
    assert f'fingerprint `{info["dataset_fingerprint"]}`' in text
    assert 'a cell is undecided if it has fewer than' in text
    for trait in ('spike width (UDI), ms', 'amplitude, pA', 'noise, pA', 'firing rate, Hz', 'spikes'):
        (row,) = (line for line in text.splitlines() if line.startswith(f'| {trait} |'))
        assert row.count(' to ') == 2


def test_a_model_of_recorded_cells_has_no_stamp_and_no_licence_of_ours(run, tmp_path):
    recorded = shutil.copytree(run, tmp_path / 'run')
    shutil.rmtree(recorded / 'evaluation')
    change_json(recorded / 'model_info.json', source='recorded')
    rewrite_manifest(recorded)
    result = run_command('sero-export-model', recorded, tmp_path / 'out')
    assert 'not evaluated: the model card says so' in result.stdout and 'SIMULATED' not in result.stdout
    card = ModelCard.load(tmp_path / 'out' / 'README.md')
    assert card.data.license is None and card.data.eval_results is None
    assert 'SIMULATED' not in card.content and 'simulated' not in card.content
    assert 'This model was not evaluated' in card.text and '| recordings | recorded |' in card.text


@pytest.mark.parametrize('there', ['out', 'out.zip'])
def test_what_is_there_is_kept(run, tmp_path, there):
    (tmp_path / there).write_text('mine')
    assert error_of(run, tmp_path / 'out') == (
        f'{tmp_path / there}: exists and is kept; give another name, or remove it'
    )
    assert (tmp_path / there).read_text() == 'mine' and os.listdir(tmp_path) == [there]


def test_what_cannot_be_passed_on_ends_in_one_line_and_leaves_nothing(run, tmp_path):
    other = shutil.copytree(run, tmp_path / 'run')
    before = set(os.listdir(tmp_path))

    def error() -> str:
        line = error_of(other, tmp_path / 'out')
        assert set(os.listdir(tmp_path)) == before
        return line

    change_json(other / 'evaluation' / 'metrics.json', model={'calibration': {'method': 'none'}})
    assert error() == (
        f'{other}/evaluation/metrics.json: is of another state of the run; give sero-evaluate the same command again'
    )
    change_json(other / 'calibration.json', temperature=9.0)
    assert 'calibration.json: is not the file that this run ended with' in error()
    (other / 'consensus.onnx').unlink()
    assert error() == (
        f'{other}/consensus.onnx: no such file; sero-train writes it when it is given the same command again'
    )
    change_json(other / 'model_info.json', finished=False)
    assert 'model_info.json: the training was interrupted' in error()


@pytest.mark.parametrize('begins', ['before', 'meanwhile'])
def test_a_run_that_is_being_trained_is_not_passed_on(run, tmp_path, monkeypatch, begins):
    with contextlib.ExitStack() as training, concurrent.futures.ThreadPoolExecutor(1) as pool:

        def begin_training(*arguments: object) -> str:
            pool.submit(training.enter_context, written_by_one(run, 'wait')).result()
            return ''

        if begins == 'before':
            begin_training()
        monkeypatch.setattr(export, 'write_card', begin_training)
        line = error_of(run, tmp_path / 'out')
        pool.submit(training.close).result()
    assert line == f'{run}: another command is writing there; wait until the training has ended'
    assert os.listdir(tmp_path) == []


def test_wrong_arguments_end_in_one_line(run, tmp_path):
    assert error_of(run) == 'give two folders: that of a finished run, and the one to write'
    assert error_of(run, 'hf://owner/name') == 'hf://owner/name: must be a folder of this machine'
    assert error_of(run, tmp_path / 'out.zip').endswith('give the name of the folder; the .zip is written beside it')
    assert error_of(tmp_path, tmp_path / 'out').endswith('model_info.json: no such file; sero-train makes it')


def test_what_is_wrong_in_an_archive_is_named_in_it(exported, recording, tmp_path):
    path = tmp_path / 'model.zip'
    with zipfile.ZipFile(f'{exported}.zip') as source, zipfile.ZipFile(path, 'w') as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content.replace(b'"method"', b'"mothod"') if name == 'calibration.json' else content)
    result = run_command('sero-classify', '--model', path, '--output_dir', tmp_path / 'verdicts', recording)
    assert error_line(result) == (
        f'sero-classify: {path}/calibration.json: is not the file that this run ended with, by manifest.json; copy the'
        ' whole folder of the run'
    )


def test_another_address_is_refused(recording, tmp_path):
    result = run_command('sero-classify', '--model', 'gs://bucket/model', '--output_dir', tmp_path / 'out', recording)
    assert error_line(result) == (
        'sero-classify: gs://bucket/model: expected a folder, a .zip of sero-export-model, or hf://OWNER/NAME'
    )


def change_json(path, **fields) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def rewrite_manifest(folder) -> None:
    from trainer.models import manifest

    manifest.write(str(folder))
