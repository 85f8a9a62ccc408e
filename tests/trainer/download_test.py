import concurrent.futures
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.storage.locks import written_by_one
from tests.support import drive_stand_in
from tests.support.commands import error_line, run_command, run_installed
from tests.support.folders import files_of
from tests.support.full_disk import full_disk
from tests.support.recordings import write_spike_csv
from trainer.published.counts import PUBLISHED, Count, count_root, describe_counts
from trainer.published.drive import MODELS, RECORDINGS, fetch_folder


@pytest.fixture
def drive(tmp_path, monkeypatch):
    folder = tmp_path / 'drive'
    folder.mkdir()
    with drive_stand_in.running(folder) as drive:
        for name, value in drive.environment.items():
            monkeypatch.setenv(name, value)
        yield drive


def spike_csv(folder: pathlib.Path, cell: str, trigger: int) -> bytes:
    return write_spike_csv(folder / cell, trigger, np.where(np.arange(160) < 40, -1.0, -60.0)).read_bytes()


@pytest.fixture
def published(drive, tmp_path) -> drive_stand_in.Drive:
    """The stand-in with one cell of two spikes in each folder, and one .abf beside the first."""
    for number, drive_id in enumerate(RECORDINGS.values()):
        cell = f'A14031{number}#073'
        cell_id = f'folder-{number}'.ljust(33, '_')
        drive.folders[drive_id] = {cell: cell_id}
        drive.folders[cell_id] = {
            f'{cell}_trigger_{trigger}.csv': spike_csv(tmp_path / 'spikes', cell, trigger) for trigger in (400, 900)
        }
    return drive


def test_files_come_as_a_recordings_root_and_differing_counts_are_status_1(published, tmp_path):
    root = tmp_path / 'recordings'
    result = run_installed('sero-download', '--recordings', root)
    assert result.returncode == 1
    assert set(files_of(root)) == {
        f'{name}/A14031{number}#073/A14031{number}#073_trigger_{trigger}.csv'
        for number, name in enumerate(RECORDINGS)
        for trigger in (400, 900)
    }
    expected = files_of(tmp_path / 'spikes').values()
    assert sorted(files_of(root).values()) == sorted(expected)
    assert result.stdout.count('DIFFERS') == 4
    assert 'original/SER: 2 files, 2 of them fetched now' in result.stdout
    assert result.stderr.splitlines()[-1] == (
        f'sero-download: {root}: not the published numbers of cells and spikes in original/SER, original/NSER,'
        ' non_homogeneous/SER, non_homogeneous/NSER'
    )


@pytest.mark.parametrize(
    ('page', 'what'), [(b'\n<!DOCTYPE html><html><p>Quota exceeded</p></html>', 'a web page'), (b'', 'nothing')]
)
def test_a_page_or_nothing_in_place_of_a_file_is_not_kept(published, tmp_path, page, what):
    root = tmp_path / 'recordings'
    lost = {f'A140311#073_trigger_{trigger}.csv' for trigger in (400, 900)}
    published.pages = dict.fromkeys(lost, page)
    first = run_command('sero-download', '--recordings', root)
    assert first.returncode == 1
    assert f'Google Drive sent {what} in place of the file' in first.stderr
    assert len(files_of(root)) == 6  # those of the other folders
    published.pages = {}
    run_command('sero-download', '--recordings', root)
    assert len(files_of(root)) == 8


@pytest.mark.parametrize('page_type', ['application/octet-stream', 'text/csv', 'text/html; charset=utf-8'])
def test_no_page_is_kept_whatever_it_starts_with_and_its_headers_say(drive, tmp_path, page_type):
    pages = [
        b'\xef\xbb\xbf\r\n <HTML><p>Quota exceeded</p></HTML>',
        b'<!-- 2026 --><html></html>',
        '\ufeff<html></html>'.encode('utf-16-le'),
        b'<?xml version="1.0"?><html></html>',
        b'<head><title>Quota exceeded</title>',
        b' ' * 1000 + b'<html></html>',
        b'\r\n',
    ]
    drive.page_type = page_type
    drive.pages = {f'{number}.csv': page for number, page in enumerate(pages)}
    # A file between them, because five failures in a row end the download.
    drive.folders[MODELS] = {name: b'1' for number in range(len(pages)) for name in (f'{number}.csv', f'{number}.good')}
    with pytest.raises(UserError, match=r'7 of 14 files could not be fetched, the first: 0.csv: .* sent a web page'):
        fetch_folder('models', MODELS, tmp_path / 'authors')
    assert files_of(tmp_path / 'authors') == {f'{number}.good': b'1' for number in range(len(pages))}


def test_a_full_disk_is_an_error_with_the_file_that_did_not_come(drive, tmp_path, capsys):
    drive.folders[MODELS] = {'a.h5': b'1' * 5000}
    with full_disk(), pytest.raises(OSError, match='File too large') as raised:
        fetch_folder('models', MODELS, tmp_path / 'authors')
    assert raised.value.filename == str(tmp_path / 'authors' / 'a.h5')


def test_a_quota_that_ends_within_a_folder_is_one_line_and_the_next_run_fetches_the_rest(published, tmp_path):
    root = tmp_path / 'recordings'
    cell_id = published.folders[RECORDINGS['original/NSER']]['A140311#073']
    spikes = {
        f'A140311#073_trigger_{trigger}.csv': spike_csv(tmp_path / 'spikes', 'A140311#073', trigger)
        for trigger in range(1000, 61_000, 1000)
    }
    published.folders[cell_id] = spikes
    lost = list(spikes)[30:]
    published.refused = set(lost)
    first = run_command('sero-download', '--recordings', root)
    assert first.returncode == 1
    (line,) = [line for line in first.stderr.splitlines() if line.startswith('sero-download: ')]
    assert line.startswith('sero-download: original/NSER (Drive folder ')
    assert 'stopped after 5 failures in a row' in line and line.endswith('the same command goes on')
    assert 'Too many users' in line
    fetched = files_of(root)
    assert len(fetched) == 30 + 6  # and those of the other folders
    assert not [path for path, content in fetched.items() if b'<html' in content]
    published.refused, published.served[:] = set(), []
    second = run_command('sero-download', '--recordings', root)
    assert sorted(published.served) == sorted(lost)
    assert 'original/NSER: 60 files, 30 of them fetched now' in second.stdout
    assert {path: files_of(root)[path] for path in fetched} == fetched and len(files_of(root)) == 60 + 6


def test_a_page_that_asks_for_confirmation_is_answered_and_one_that_never_ends_is_given_up(drive, tmp_path):
    once, always = 'ModConvBinNormN20.keras', 'ModConvBinNormN21.keras'
    drive.folders[MODELS] = {once: b'model 20', always: b'model 21'}
    drive.confirmations.update({once: 1, always: 10**9})
    result = run_command('sero-download', '--models', tmp_path / 'authors')
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert f'1 of 2 files could not be fetched, the first: {always}: Google Drive sent no file in 8 tries' in line
    assert drive.requests == {once: 2, always: 8}
    assert files_of(tmp_path / 'authors') == {once: b'model 20'}


def test_second_run_fetches_what_is_missing_and_no_more(published, tmp_path):
    root = tmp_path / 'recordings'
    lost = 'A140311#073_trigger_900.csv'
    published.refused = {lost}
    first = run_command('sero-download', '--recordings', root)
    assert first.returncode == 1
    assert f'1 of 2 files could not be fetched, the first: A140311#073/{lost}: ' in first.stderr
    assert 'Too many users' in first.stderr
    before = files_of(root)
    assert not any(lost in path for path in before)
    published.refused, published.served[:] = set(), []
    run_command('sero-download', '--recordings', root)
    assert published.served == [lost]
    assert len(files_of(root)) == 8
    assert before.items() <= files_of(root).items()


def test_drive_that_refuses_one_file_after_the_other_is_not_asked_for_all(drive, tmp_path):
    names = [f'ModConvBinNormN{k}.keras' for k in range(20, 30)]
    drive.folders[MODELS] = dict.fromkeys(names, b'model')
    drive.refused = set(names)
    result = run_command('sero-download', '--models', tmp_path / 'authors')
    assert result.returncode == 1
    assert 'stopped after 5 failures in a row' in result.stderr.splitlines()[-1]


def test_models_are_complete_if_the_kernel_sizes_of_the_consensus_are_there(drive, tmp_path):
    folder = tmp_path / 'authors'
    drive.folders[MODELS] = {f'ModConvBinNormN{k}.keras': b'model' for k in range(20, 31)}
    result = run_command('sero-download', '--models', folder)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in folder.iterdir()) == sorted(drive.folders[MODELS])
    (folder / 'ModConvBinNormN25.keras').unlink()
    missing = run_command('sero-download', '--models', folder, '--nodownload')
    assert error_line(missing).endswith('no folder has all models of the published consensus; the fullest lacks 25')
    shutil.rmtree(folder)
    none = run_command('sero-download', '--models', folder, '--nodownload')
    assert 'holds no file ModConvBinNormN{k}.keras' in error_line(none)


def test_answer_that_gdown_does_not_understand_is_one_line(drive, tmp_path):
    drive.answers_without_type = True
    drive.folders[MODELS] = {'ModConvBinNormN20.keras': b'model'}
    drive.refused = {'ModConvBinNormN20.keras'}
    result = run_command('sero-download', '--models', tmp_path / 'authors')
    assert result.returncode == 1
    assert 'gdown: ' in result.stderr.splitlines()[-1]
    assert 'Traceback' not in result.stderr


@pytest.mark.parametrize('name', ['--recordings', '--models'])
def test_second_download_into_a_folder_is_refused_and_so_is_a_build_of_what_is_incomplete(published, tmp_path, name):
    published.folders[MODELS] = {'ModConvBinNormN20.keras': b'model'}
    folder = tmp_path / 'folder'
    with written_by_one(folder, 'wait'), concurrent.futures.ThreadPoolExecutor() as pool:
        # Of this process, the same thread may take the lock again.
        refused = pool.submit(run_command, 'sero-download', name, folder).result()
        builds = ['--recordings', folder, '--data_dir', tmp_path / 'data']
        built = pool.submit(run_command, 'sero-build', *builds).result()
    said = f'{folder}: another command is writing there; wait for it, or choose another folder'
    assert error_line(refused) == f'sero-download: {said}'
    assert error_line(built) == f'sero-build: {folder}: another command is writing there; wait until it is complete'
    assert not list(folder.iterdir()) and not published.served
    run_command('sero-download', name, folder)
    assert published.served and not list(folder.glob('.*'))


def test_folder_that_is_not_public_any_more_is_one_line(drive, tmp_path):
    drive.folders[MODELS] = {}
    line = error_line(run_command('sero-download', '--models', tmp_path / 'authors'))
    assert line.startswith(f'sero-download: models (Drive folder {MODELS}): Google Drive lists no files')


def test_no_network_is_one_line_and_makes_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HTTPS_PROXY', 'http://127.0.0.1:9')
    root = tmp_path / 'recordings'
    line = error_line(run_command('sero-download', '--recordings', root))
    assert line.startswith(
        f'sero-download: original/SER (Drive folder {RECORDINGS["original/SER"]}): Google Drive cannot'
    )
    assert not root.exists()


def test_missing_gdown_is_one_line():
    program = (
        'import sys; sys.modules["gdown"] = None\n'  # as if it were not installed
        'from trainer import download; sys.argv = ["sero-download", "--recordings", "r"]; download.run()'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr == "sero-download: downloads need gdown, which is not installed: pip install '.[drive]'\n"


def test_recordings_that_are_there_are_counted_without_gdown(recordings_root, tmp_path):
    root = shutil.copytree(recordings_root, tmp_path / 'recordings')
    bad = root / 'original' / 'SER' / 'B1#1.abf'
    bad.write_bytes(b'no recording')
    result = run_command('sero-download', '--recordings', root, '--nodownload')
    assert result.returncode == 1
    assert 'SIMULATED' in result.stdout
    lines = result.stdout.splitlines()
    assert sum(line.startswith('original/') and 'published' in line.partition(': ')[2] for line in lines) == 40
    assert f'... {153 + 8 - 40} more cells of original not as published' in lines
    assert f'1 file cannot be used, the first: {bad}: not_abf' in result.stdout


def test_count_is_of_what_can_be_used(recordings_root):
    import json

    truth = json.loads((recordings_root / 'SIMULATED.json').read_text())['recordings']
    found = count_root(recordings_root)
    for name in PUBLISHED:
        of_folder = [recording for recording in truth if recording['path'].startswith(f'{name}/')]
        triggers = [len([t for t in recording['spike_samples'] if t is not None]) for recording in of_folder]
        assert found.folders[name] == Count(len(of_folder), sum(triggers))
    assert found.made_files == {'simulated': len(truth)}
    assert found.rejected == ()


def test_published_counts_are_not_different():
    from trainer.published.counts import RootCount

    assert 'DIFFERS' not in describe_counts(RootCount(PUBLISHED, (), 0))
    more = {**PUBLISHED, 'original/SER': Count(108, 29_774)}
    lines = describe_counts(RootCount(more, (), 0)).splitlines()
    assert [line.split()[0] for line in lines if line.endswith('DIFFERS')] == ['original/SER']
    assert '29,774' in lines[1] and '29,773' in lines[1]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'give --recordings, --models or both: folders to download into'),
        (['all'], "unexpected argument 'all'"),
        (['--recordings', 'gone', '--nodownload'], 'gone: no such folder'),
    ],
)
def test_user_mistakes_are_one_line(arguments, message):
    assert error_line(run_command('sero-download', *arguments)) == f'sero-download: {message}'


def test_neither_beam_nor_tensorflow_is_loaded_to_count():
    program = (
        'import sys; import trainer.published.counts, trainer.published.drive, trainer.download\n'
        'print([name for name in ("apache_beam", "tensorflow", "keras", "gdown") if name in sys.modules])'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert result.stdout == '[]\n'
