import asyncio
import pathlib

import pytest

from beam_pipelines.recordings.rejection import RejectedFile
from trainer.app.uploads import UploadLimits, UploadRefused, Uploads


async def chunks(*parts: bytes | BaseException):
    for part in parts:
        if isinstance(part, BaseException):
            raise part
        yield part


def receive(uploads: Uploads, name: str, *parts: bytes | BaseException) -> pathlib.Path:
    return pathlib.Path(asyncio.run(uploads.receive(name, chunks(*parts))))


@pytest.fixture
def uploads(tmp_path) -> Uploads:
    return Uploads(tmp_path, UploadLimits(file_bytes=10, all_bytes=15, files=3))


def files(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.rglob('*') if path.is_file())


def test_two_files_of_one_name_stay_apart(uploads):
    first, second = receive(uploads, 'A#1.abf', b'one', b'two'), receive(uploads, 'A#1.abf', b'three')
    assert (first.read_bytes(), second.read_bytes()) == (b'onetwo', b'three')
    assert first.name == second.name == 'A#1.abf'


@pytest.mark.parametrize('name', ['../../etc/A.abf', 'C:\\data\\A.abf', '/A.abf'])
def test_a_path_in_a_name_leads_nowhere(uploads, tmp_path, name):
    path = receive(uploads, name, b'x')
    assert path.name == 'A.abf' and path.parent.parent == tmp_path


@pytest.mark.parametrize('name', ['', '..', 'a/', '.hidden.abf', 'a\nb.abf', 'a\0.abf', 'n' * 300, 'A_trigger_4.csv'])
def test_a_name_that_cannot_be_a_recording_is_refused(uploads, tmp_path, name):
    with pytest.raises(UploadRefused):
        receive(uploads, name, b'x')
    assert files(tmp_path) == []


@pytest.mark.parametrize('end', [ConnectionError('gone'), asyncio.CancelledError()])
def test_a_browser_that_goes_away_leaves_nothing(uploads, tmp_path, end):
    with pytest.raises(type(end)):
        receive(uploads, 'A.abf', b'half', end)
    assert list(tmp_path.iterdir()) == []
    for name in 'abc':  # It does not count either.
        receive(uploads, name, b'x')


def test_limits_hold_and_nothing_stays_of_what_is_beyond_them(uploads, tmp_path):
    with pytest.raises(UploadRefused, match='larger than .* sero-classify') as caught:
        receive(uploads, 'large', b'123456', b'789012')
    assert caught.value.status == 413
    first = receive(uploads, 'first', b'1234567890')
    with pytest.raises(UploadRefused, match='all files together'):
        receive(uploads, 'second', b'123456')
    receive(uploads, 'third', b'1')
    receive(uploads, 'fourth', b'1')
    with pytest.raises(UploadRefused, match='3 files are here'):
        receive(uploads, 'fifth', b'1')
    assert files(tmp_path) == ['first', 'fourth', 'third']
    uploads.remove(str(first))
    assert receive(uploads, 'fifth', b'123456').is_file()


def test_users_see_the_names_that_they_gave(uploads):
    first, second = receive(uploads, 'A.abf', b'x'), receive(uploads, 'A.abf', b'x')
    rejected = RejectedFile(str(second), 'duplicate_cell', f'cell A is already used, from {first}')
    shown = uploads.shown_rejection(rejected)
    assert shown == RejectedFile('A.abf', 'duplicate_cell', 'cell A is already used, from A.abf')
