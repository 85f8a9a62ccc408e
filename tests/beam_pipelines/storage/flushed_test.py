"""What is renamed into place is on the disk before, so that a power cut leaves no file that is empty or half."""

import os
import pathlib

import pytest

from beam_pipelines.simulation.root import write_root
from beam_pipelines.storage import files, publishing
from beam_pipelines.storage.atomic_files import staged


@pytest.fixture
def log(monkeypatch) -> list[tuple[str, str]]:
    """What this process does to files from now on: ('flush', path) or ('rename', new path)."""
    events: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def logged_fsync(descriptor: int) -> None:
        events.append(('flush', os.readlink(f'/proc/self/fd/{descriptor}')))
        fsync(descriptor)

    def logged_replace(source: str, target: str) -> None:
        replace(source, target)
        events.append(('rename', os.fspath(target)))

    monkeypatch.setattr(os, 'fsync', logged_fsync)
    monkeypatch.setattr(os, 'replace', logged_replace)
    return events


def _write_folder(path: pathlib.Path) -> None:
    with staged(path) as temporary:
        _fill(pathlib.Path(temporary))


def _fill(folder: pathlib.Path) -> None:
    (folder / 'below').mkdir(parents=True)
    (folder / 'below' / 'file').write_text('whole')


def _publish(path: pathlib.Path) -> None:
    built = path.with_name('built')
    (built / 'below').mkdir(parents=True)
    files.write_bytes(str(built / 'below' / 'file'), b'whole')
    publishing.replace_folder(str(built), str(path), aside=f'{path}.replaced')


def _write_file(path: pathlib.Path) -> None:
    files.write_bytes(str(path), b'whole')


def _write_recordings(path: pathlib.Path) -> None:
    write_root(path, _fill)


@pytest.mark.parametrize('write', [_write_file, _write_folder, _write_recordings, _publish])
def test_content_and_name_are_on_the_disk_before_the_next_step(log, tmp_path, monkeypatch, write):
    monkeypatch.setattr(pathlib.Path, 'replace', os.replace)
    write(tmp_path / 'new')
    renamed = log.index(('rename', str(tmp_path / 'new')))
    assert any(what == 'flush' and path != str(tmp_path) for what, path in log[:renamed])
    assert ('flush', str(tmp_path)) in log[renamed:]
    if (tmp_path / 'new').is_dir():
        flushed = {pathlib.PurePath(path).name for what, path in log[:renamed] if what == 'flush'}
        assert any(name.startswith('file') for name in flushed) and 'below' in flushed
