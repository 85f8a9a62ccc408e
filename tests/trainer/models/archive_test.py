"""A .zip from outside is unpacked only if it holds the files of a model and nothing else."""

import os
import re
import shutil
import stat
import subprocess
import zipfile

import pytest

from trainer.errors import ModelError
from trainer.models import archive
from trainer.models.archive import pack_model, unpack_model

FILES = {'README.md': b'# model', 'model_info.json': b'{}', 'members/k5.keras': b'weights' * 1000}


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / 'model' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / 'model'


def unpacked(path) -> dict[str, bytes]:
    folder = path.parent / 'unpacked'
    folder.mkdir()
    unpack_model(str(path), str(folder))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob('*') if file.is_file()}


def error_of(path) -> str:
    """Returns the one line that refuses an archive, of which nothing is left: neither in the folder nor beside it."""
    folder = path.parent / 'outer' / 'unpacked'
    folder.mkdir(parents=True)
    with pytest.raises(ModelError) as raised:
        unpack_model(str(path), str(folder))
    assert [file for file in (path.parent / 'outer').rglob('*') if file.is_file()] == []
    message = str(raised.value)
    assert '\n' not in message and message.startswith(f'{path}: ')
    return message.removeprefix(f'{path}: ')


def write_zip(path, *entries: tuple[str | zipfile.ZipInfo, bytes]):
    with zipfile.ZipFile(path, 'w') as file:
        for name, content in [*FILES.items(), *entries]:
            file.writestr(name, content)
    return path


def test_what_was_packed_comes_out_again_and_is_the_same_bytes_each_time(folder, tmp_path):
    pack_model(str(folder), FILES, str(tmp_path / 'one.zip'))
    os.utime(folder / 'README.md', (0, 0))
    pack_model(str(folder), reversed(FILES), str(tmp_path / 'two.zip'))
    assert (tmp_path / 'one.zip').read_bytes() == (tmp_path / 'two.zip').read_bytes()
    assert unpacked(tmp_path / 'one.zip') == FILES


def test_an_archive_of_another_program_lists_its_folder_too(tmp_path):
    path = write_zip(tmp_path / 'model.zip', ('members/', b''))
    assert unpacked(path) == FILES


@pytest.mark.skipif(shutil.which('zip') is None, reason='Info-ZIP is not here')
def test_the_folder_of_a_model_can_be_packed_by_another_program(folder, tmp_path):
    subprocess.run(['zip', '-q', '-r', 'other.zip', 'model'], cwd=tmp_path, check=True)
    assert unpacked(tmp_path / 'other.zip') == FILES


def test_what_macos_adds_to_the_folder_is_left_out(tmp_path):
    path = tmp_path / 'model.zip'
    with zipfile.ZipFile(path, 'w') as file:
        for name in ('model/', 'model/.DS_Store', '__MACOSX/', '__MACOSX/model/._README.md', '__MACOSX/._model'):
            file.writestr(name, b'')
        for name, content in FILES.items():
            file.writestr(f'model/{name}', content)
    assert unpacked(path) == FILES


@pytest.mark.parametrize(
    ('top', 'other'),
    [
        ('m/', 'm/../../outside'), ('m/', '../outside'), ('m/', 'n/README.md'), ('m/', 'm/weights.pkl'),
        ('m/', 'm/m/x'), ('m/', 'm/.DS_Store/x'), ('m/', '/README.md'), ('../', '../x'), ('./', './x'),
        ('/', '/x'), ('..\\', '..\\x'), ('m/m/', 'm/m/x'),
    ],
)  # fmt: skip
def test_the_folder_of_a_model_holds_nothing_else(tmp_path, top, other):
    path = tmp_path / 'model.zip'
    with zipfile.ZipFile(path, 'w') as file:
        for name in (*(f'{top}{name}' for name in FILES), other):
            file.writestr(name, b'x')
    assert re.match(r"holds '.*', which is no file of a model", error_of(path))


@pytest.mark.parametrize(
    'name',
    [
        '../outside', '/etc/passwd', 'members/../../outside', 'C:\\outside', '..\\outside', 'members\\k5.keras', 'x',
        'weights.pkl', 'members/k5.pickle', 'members/k5.keras/x', 'readme.md', 'README.md ', 'calibration.json\n',
        'other/',
    ],
)  # fmt: skip
def test_a_member_that_no_model_has_is_refused(tmp_path, name):
    path = write_zip(tmp_path / 'model.zip', (name, b'x'))
    assert error_of(path) == (
        f'holds {name!r}, which is no file of a model: give the .zip of sero-export-model, or one of its folder alone'
    )


def test_a_name_that_ends_at_a_zero_byte_is_refused(tmp_path):
    path = write_zip(tmp_path / 'model.zip', ('calibration.jsonXhidden', b'x'))
    path.write_bytes(path.read_bytes().replace(b'jsonXhidden', b'json\x00hidden'))
    assert error_of(path).startswith(r"holds 'calibration.json\x00hidden', which is no file of a model")


@pytest.mark.parametrize('kind', [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_a_link_or_a_device_is_refused(tmp_path, kind):
    entry = zipfile.ZipInfo('calibration.json')
    entry.external_attr = (kind | 0o777) << 16
    path = write_zip(tmp_path / 'model.zip', (entry, b'/etc/passwd'))
    assert error_of(path) == 'calibration.json: is a link, or another kind of file that no model has'


@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_a_second_member_of_the_same_name_is_refused(tmp_path):
    path = write_zip(tmp_path / 'model.zip', ('model_info.json', b'other'))
    assert error_of(path) == 'holds model_info.json twice'


def test_a_bomb_is_refused_by_what_it_says_it_has(tmp_path):
    path = tmp_path / 'model.zip'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file, file.open('consensus.onnx', 'w') as member:
        for _ in range(65):
            member.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    assert error_of(path) == 'consensus.onnx: 68,157,440 bytes are more than 67,108,864'


def test_members_that_are_too_large_together_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, 'MOST_BYTES', 5_000)
    assert error_of(write_zip(tmp_path / 'model.zip')) == '7,009 bytes unpacked are more than 5,000'


@pytest.mark.parametrize('size', [7_001, 6_999, 10])
def test_a_member_that_lies_about_its_size_is_refused(tmp_path, size):
    path = tmp_path / 'model.zip'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('members/k5.keras', b'weights' * 1000)
    content = path.read_bytes()
    assert content.count((7_000).to_bytes(4, 'little')) == 2  # of the member, and of the list of members
    path.write_bytes(content.replace((7_000).to_bytes(4, 'little'), size.to_bytes(4, 'little')))
    folder = tmp_path / 'unpacked'
    folder.mkdir()
    with pytest.raises(ModelError, match='is not a whole .zip of sero-export-model, nor a folder: '):
        unpack_model(str(path), str(folder))


def test_too_many_members_are_refused(tmp_path):
    path = write_zip(tmp_path / 'model.zip', *((f'members/k{size}.keras', b'') for size in range(100, 400)))
    assert error_of(path) == 'holds 303 files, more than 256'


def test_a_list_of_very_many_members_is_not_read(tmp_path, monkeypatch):
    path = write_zip(tmp_path / 'model.zip', *((f'{number}', b'') for number in range(6_000)))
    monkeypatch.setattr(zipfile, 'ZipFile', None)
    assert error_of(path) == 'lists more files than a model has'


def test_an_archive_of_the_large_kind_is_not_read(tmp_path):
    path = write_zip(tmp_path / 'model.zip')
    content = path.read_bytes()
    end = content.rindex(b'PK\x05\x06')
    path.write_bytes(content[:end] + b'PK\x06\x07' + bytes(16) + content[end:])
    assert error_of(path) == 'lists more files than a model has'


@pytest.mark.parametrize('compression', [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, compression):
    entry = zipfile.ZipInfo('calibration.json')
    entry.compress_type = compression
    path = write_zip(tmp_path / 'model.zip', (entry, b'{}'))
    assert error_of(path).startswith('calibration.json: is compressed in a way (number ')


def test_an_encrypted_member_is_refused(tmp_path):
    path = write_zip(tmp_path / 'model.zip')
    content = bytearray(path.read_bytes())
    start = content.index(b'PK\x01\x02')
    content[start + 8] |= 1
    path.write_bytes(content)
    assert error_of(path) == 'README.md: is encrypted'


@pytest.mark.parametrize('content', [b'', b'PK', b'x' * 1000])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / 'model.zip').write_bytes(content)
    assert error_of(tmp_path / 'model.zip').startswith('is not a whole .zip of sero-export-model, nor a folder: ')


def test_a_cut_or_changed_archive_is_refused(tmp_path):
    path = write_zip(tmp_path / 'model.zip')
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    assert error_of(path).startswith('is not a whole .zip')
    changed = tmp_path / 'changed' / 'model.zip'
    changed.parent.mkdir()
    changed.write_bytes(content.replace(b'weightsweights', b'wEightsweights'))
    with pytest.raises(ModelError, match='Bad CRC-32'):
        unpack_model(str(changed), str(tmp_path / 'changed'))


def test_a_large_file_is_not_opened(tmp_path):
    path = tmp_path / 'model.zip'
    with open(path, 'wb') as file:
        file.truncate(129 << 20)
    assert error_of(path) == '135,266,304 bytes are more than 134,217,728'


@pytest.mark.skipif(os.name != 'posix', reason='pipes of POSIX')
def test_a_pipe_is_not_read(tmp_path):
    os.mkfifo(tmp_path / 'model.zip')
    with pytest.raises(OSError, match='is a pipe'):
        unpack_model(str(tmp_path / 'model.zip'), str(tmp_path))
