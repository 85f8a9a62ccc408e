"""sero-app as a user starts and ends it."""

import pathlib
import re
import shutil
import signal
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from tests.support.commands import error_line, run_command

pytestmark = pytest.mark.slow


def send(app, path: pathlib.Path, **fields: str) -> None:
    query = urllib.parse.urlencode({'name': path.name, 'sampling_rate_hz': '40000', 'polarity': 'auto'} | fields)
    urllib.request.urlopen(urllib.request.Request(f'{app.url}files?{query}', path.read_bytes()), timeout=30).close()


def rows(app, until: str) -> str:
    """Returns all rows as soon as they hold a text."""
    for _ in range(600):
        with urllib.request.urlopen(f'{app.url}state?since=0', timeout=30) as answer:
            text = answer.read().decode()
        if until in text:
            return text
        time.sleep(0.1)
    raise AssertionError(f'{until} never came')


def left(folder: pathlib.Path) -> list[str]:
    """Returns what is there; the telemetry of ONNX Runtime, if it runs, leaves ``.ses``."""
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGHUP])
def test_ending_it_removes_all_uploads(start_app, recordings, number):
    with start_app() as app:
        send(app, recordings / 'nser.npy')
        rows(app, 'NSER')
        (private,) = app.temporary.glob('sero-app-*')
        assert app.uploaded() == ['nser.npy'] and private.stat().st_mode & 0o777 == 0o700
        mapped = pathlib.Path(f'/proc/{app.process.pid}/maps').read_text()
        assert app.stop(number) == 0
        assert left(app.temporary) == []
    # The program had no need of what trains.
    assert 'onnxruntime' in mapped and 'tensorflow' not in mapped and 'apache_beam' not in mapped


def test_what_a_killed_program_leaves_goes_with_the_next(start_app, recordings, tmp_path):
    with start_app(temporary=tmp_path) as killed, start_app(temporary=tmp_path) as running:
        send(killed, recordings / 'nser.npy')
        assert len(left(tmp_path)) == 2
        killed.stop(signal.SIGKILL)
        with start_app(temporary=tmp_path) as next_one:
            assert len(left(tmp_path)) == 2 and next_one.uploaded() == []
            next_one.stop()
        assert running.stop(signal.SIGTERM) == 0
        assert 'removing the uploaded recordings' in running.process.stderr.read()
    assert left(tmp_path) == []


def test_a_model_that_was_passed_on_as_one_file_is_taken(start_app, model, recordings, tmp_path):
    assert run_command('sero-export-model', model, tmp_path / 'passed_on').returncode == 0
    with start_app(place=tmp_path / 'passed_on.zip') as app:
        send(app, recordings / 'ser.npy')
        rows(app, 'SER')


def test_recordings_of_a_watched_folder_appear_and_disappear(start_app, recordings_root, tmp_path):
    first, *_ = sorted(recordings_root.rglob('*.abf'))
    today, moved, away = tmp_path / 'today.abf', tmp_path / 'sorted' / 'today.abf', tmp_path / 'away'
    moved.parent.mkdir()
    with start_app('--watch', tmp_path) as app:
        shutil.copy(first, today)
        assert str(today) not in rows(app, '>today</bdi>')  # The name of the cell is enough.
        assert not app.uploaded()
        request = urllib.request.Request(f'{app.url}files/1', method='DELETE')
        with pytest.raises(urllib.error.HTTPError, match='409'):
            urllib.request.urlopen(request, timeout=30)
        today.rename(moved)
        rows(app, '"removed":[1]')
        moved.rename(today)
        (number,) = re.findall('"number":(.)', rows(app, '"removed":[1,2]'))
        # Nobody finds anything new in what is gone, whatever the form says.
        today.rename(away)
        read_again = urllib.request.Request(f'{app.url}files/{number}/reading?scale=1000&polarity=auto', method='POST')
        urllib.request.urlopen(read_again, timeout=30).close()
        rows(app, '"busy":false')
        opened = urllib.request.urlopen(f'{app.url}cells/{number}-0', timeout=30).read().decode()
        assert 'The recording is no longer there' in opened and 'value="1000"' not in opened
        app.stop()
    assert sorted(left(tmp_path)) == ['away', 'sorted']


def test_a_watched_recording_is_read_as_the_form_says_also_if_it_was_away(start_app, recordings, tmp_path):
    with start_app('--watch', tmp_path, '--sampling_rate_hz', 40_000) as app:
        with urllib.request.urlopen(app.url, timeout=30) as answer:
            assert 'value="40000"' in answer.read().decode()
        shutil.copy(recordings / 'ser.npy', tmp_path)
        rows(app, '>ser</bdi>')
        with app.reading_halted():
            late = shutil.copy(recordings / 'nser.npy', tmp_path / 'late.npy')
            rows(app, '"busy":true')
            late.rename(tmp_path / 'away')
        rows(app, '"busy":false')
        (tmp_path / 'away').rename(late)
        rows(app, '>late</bdi>')
        urllib.request.urlopen(f'{app.url}reading?polarity=auto', data=b'', timeout=30).close()
        shutil.copy(recordings / 'upward.npy', tmp_path)
        assert '--sampling_rate_hz' in rows(app, 'upward.npy</bdi></a>')
        app.stop()


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--host', '0.0.0.0'], '--host=0.0.0.0: other machines could reach the page, unencrypted; --allow_remote'),
        (['--allow_remote'], '--allow_remote: --host=127.0.0.1 is for this machine alone'),
        (['--watch', 'nowhere'], 'nowhere: no such folder'),
        (['--watch='], '--watch=: names no folder'),
        (['--scale', '-1'], '--scale: The scale is above zero'),
        (['a.abf'], "unexpected argument 'a.abf'"),
        (['--host', '192.0.2.1', '--allow_remote'], 'choose others'),
        (['--host=', '--allow_remote'], '--host=: expected an address, such as 127.0.0.1'),
        (['--host', 'ä..lab', '--allow_remote'], 'choose others'),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(model, arguments, said):
    result = run_command('sero-app', '--model', model, *arguments)
    lines = [line for line in result.stderr.splitlines() if 'WARNING: whoever' not in line]
    assert result.returncode in (1, 2) and len(lines) == 1 and said in lines[0], result.stderr


def test_a_folder_without_a_model_is_one_line(tmp_path):
    assert 'sero-train makes it' in error_line(run_command('sero-app', '--model', tmp_path))


def test_other_machines_are_let_in_only_with_a_warning(start_app):
    with start_app('--host', '0', '--allow_remote') as app:
        assert 'http://0' not in app.url
        port, path = urllib.parse.urlsplit(app.url).port, urllib.parse.urlsplit(app.url).path
        urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', timeout=30).close()
        app.stop()
        assert 'nothing is encrypted' in app.process.stderr.read()
