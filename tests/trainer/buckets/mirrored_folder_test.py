"""Folders that are kept in a bucket: whole or not at all, also if an upload is broken off or goes on elsewhere."""

import contextlib
import os
import pathlib

import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.storage.atomic_files import write_text
from tests.support.full_disk import full_disk
from trainer.buckets import store
from trainer.buckets.folder_index import INDEX_FILE, read_index
from trainer.buckets.folders import folder_to_read, results_folder, run_folder
from trainer.buckets.mirrored_folder import MirroredFolder
from trainer.buckets.shard_cache import cached_in
from trainer.errors import StoreAway


@pytest.fixture
def url(s3_bucket):
    store._open_client.cache_clear()
    return f'{s3_bucket}/runs/one'


@pytest.fixture
def open_mirror(url, tmp_path):
    """Returns a function that opens the folder as a machine of a name sees it."""
    return lambda machine, **options: MirroredFolder(url, str(tmp_path / machine), **options)


def _write(mirror: MirroredFolder, **contents: str) -> None:
    for name, text in contents.items():
        path = pathlib.Path(mirror.folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _files(mirror: MirroredFolder) -> dict[str, str]:
    root = pathlib.Path(mirror.folder)
    found = (path for path in root.rglob('*') if path.is_file() and not path.name.startswith('.'))
    return {path.relative_to(root).as_posix(): path.read_text() for path in found}


class _Broken(Exception):
    pass


def _break_after(monkeypatch, writes: int) -> None:
    """Lets so many objects be written, and then raises in the place of the next."""
    left = iter(range(writes))

    def counted(function):
        def call(*arguments):
            if next(left, None) is None:
                raise _Broken
            return function(*arguments)

        return call

    monkeypatch.setattr('trainer.buckets.mirrored_folder._AT_A_TIME', 1)
    for name in ('upload', 'write_object', 'remove_object'):
        monkeypatch.setattr(store, name, counted(getattr(store, name)))


def test_another_machine_goes_on_with_what_was_saved(open_mirror, capsys):
    here, there = open_mirror('here'), open_mirror('there')
    here.bring()
    _write(
        here, **{'config.json': '1', 'checkpoints/step_1/state.json': 'one', 'tensorboard/events': 'e', '.hidden': 'h'}
    )
    here.save()
    there.bring()
    assert _files(there) == {'config.json': '1', 'checkpoints/step_1/state.json': 'one'}
    _write(there, **{'checkpoints/step_2/state.json': 'two'})
    there.save()
    with pytest.raises(UserError, match='runs/one: another machine writes there'):
        here.save()
    here.bring()
    assert 'was continued elsewhere' in capsys.readouterr().err
    assert _files(here).keys() == {'config.json', 'checkpoints/step_1/state.json', 'checkpoints/step_2/state.json'}
    here.save()


def test_what_was_not_uploaded_goes_on_from_here(open_mirror, url, s3_stand_in, monkeypatch):
    here = open_mirror('here')
    here.bring()
    _write(here, **{'config.json': '1'})
    here.save()
    _write(here, **{'config.json': '2'})
    with monkeypatch.context() as away:
        away.setattr(s3_stand_in, 'answer', lambda method, path: '503 Slow Down')
        away.setattr(store, '_PATIENCE_S', 0.0)
        with pytest.raises(StoreAway, match=f'all is saved in {here.folder}, and the same command goes on from there$'):
            here.save()
    here.bring()
    here.save()
    assert store.read_object(f'{url}/config.json') == b'2'


def test_a_run_that_was_removed_from_the_bucket_starts_anew(open_mirror, url, capsys):
    here = open_mirror('here')
    here.bring()
    _write(here, **{'config.json': '1', 'checkpoints/step_1/state.json': 'one'})
    here.save()
    for name in store.list_objects(url):
        store.remove_object(f'{url}/{name}')
    here.bring()
    assert 'starts anew' in capsys.readouterr().err and _files(here) == {}


@pytest.mark.parametrize('writes', range(7))
def test_an_upload_that_is_broken_off_leaves_the_old_state_or_the_new(open_mirror, url, monkeypatch, writes):
    here, there = open_mirror('here'), open_mirror('there')
    here.bring()
    _write(here, **{'members/k5': 'old', 'manifest.json': 'old', 'checkpoints/step_1/state.json': 'one'})
    here.save()
    os.remove(f'{here.folder}/manifest.json')
    os.remove(f'{here.folder}/checkpoints/step_1/state.json')
    _write(here, **{'members/k5': 'new', 'checkpoints/step_2/state.json': 'two'})
    # The index, the manifest goes, two files, the index, the old checkpoint goes.
    with monkeypatch.context() as broken:
        _break_after(broken, writes)
        if writes < 6:
            with pytest.raises(_Broken):
                here.save()
        else:
            here.save()
    names = store.list_objects(url)
    there.bring()
    found = _files(there)
    steps = {name for name in found if name.startswith('checkpoints/')}
    assert steps == {'checkpoints/step_1/state.json' if writes < 5 else 'checkpoints/step_2/state.json'}
    # Whoever finds a manifest finds the members that it is of.
    if 'manifest.json' in names:
        assert found['members/k5'] == 'old'
    here.bring()
    here.save()
    assert read_index(url).files.keys() == _files(here).keys() and not read_index(url).coming
    assert store.read_object(f'{url}/members/k5') == b'new' and 'manifest.json' not in store.list_objects(url)


def test_what_an_upload_replaced_before_it_broke_off_is_put_back_if_the_run_is_back_at_its_old_state(
    open_mirror, url, monkeypatch
):
    here = open_mirror('here')
    here.bring()
    _write(here, **{'members/k5': 'old'})
    here.save()
    _write(here, **{'members/k5': 'new'})
    with monkeypatch.context() as broken, pytest.raises(_Broken):
        _break_after(broken, 2)
        here.save()
    _write(here, **{'members/k5': 'old'})
    here.save()
    assert store.read_object(f'{url}/members/k5') == b'old'


def test_of_files_of_one_making_no_two_of_different_makings_are_seen_together(open_mirror, url, monkeypatch):
    results = open_mirror('here', is_set=True)
    _write(results, **{'metrics.json': 'old', 'cells.csv': 'old', 'gone.png': 'old'})
    results.save()
    os.remove(f'{results.folder}/gone.png')
    _write(results, **{'metrics.json': 'new', 'cells.csv': 'new'})
    for writes in range(8):
        with monkeypatch.context() as broken, pytest.raises(_Broken) if writes < 7 else contextlib.nullcontext():
            _break_after(broken, writes)
            results.save()
        seen = {store.read_object(f'{url}/{name}') for name in store.list_objects(url) if not name.startswith('.')}
        assert len(seen) <= 1
    assert store.list_objects(url).keys() == {'metrics.json', 'cells.csv', INDEX_FILE}


@pytest.mark.parametrize(
    'damage, line',
    [
        (lambda url: store.remove_object(f'{url}/config.json'), 'is missing, the index of the folder names it'),
        (lambda url: store.write_object(f'{url}/config.json', b'2'), 'CRC-32C .{8}, the index .* promises .{8}'),
    ],
)
def test_an_object_that_is_missing_or_changed_is_one_line(open_mirror, url, damage, line, tmp_path):
    here = open_mirror('here')
    here.bring()
    _write(here, **{'config.json': '1'})
    here.save()
    damage(url)
    with pytest.raises(UserError, match=f'^{url}/config.json: {line}$'):
        open_mirror('there').bring()
    with (
        cached_in(str(tmp_path / 'cache'), 1.0),
        pytest.raises(UserError, match=f'^{url}/config.json: {line}$'),
        folder_to_read(url),
    ):
        pass


def test_a_folder_that_other_programs_have_copied_is_read(url, tmp_path):
    store.write_object(f'{url}/members/k5.keras', b'5')
    store.write_object(f'{url}/checkpoints/step_1/state.json', b'1')
    with cached_in(str(tmp_path), 1.0), folder_to_read(f'{url}/') as folder:
        assert {path.relative_to(folder).as_posix() for path in pathlib.Path(folder).rglob('*.*')} == {
            'members/k5.keras'
        }


def test_a_full_disk_is_an_error_of_the_cache(open_mirror, url, tmp_path):
    here = open_mirror('here')
    _write(here, **{'config.json': 'c' * 10_000})
    here.save()
    full = 'the cache cannot be used: File too large; make room there, or name another folder by --cache_dir$'
    there = open_mirror('there')
    with full_disk(9_000), pytest.raises(UserError, match=f'^{there.folder}: {full}'):
        there.bring()
    with (
        cached_in(str(tmp_path / 'cache'), 1.0),
        full_disk(9_000),
        pytest.raises(UserError, match=f'^{tmp_path}/cache/read-.*: {full}'),
        folder_to_read(url),
    ):
        pass


def test_a_run_that_fills_the_disk_of_the_cache_names_the_cache(url, tmp_path):
    with (
        cached_in(str(tmp_path), 1.0),
        pytest.raises(UserError, match=f'^{tmp_path}/folders/.*: the cache cannot be used: File too large; '),
        run_folder(url, writes=True) as run,
        full_disk(10),
    ):
        write_text(f'{run.folder}/members', 'm' * 100)


def test_a_cache_that_is_a_file_is_no_fault_of_the_bucket(url, tmp_path):
    (tmp_path / 'file').touch()
    for open_folder in (folder_to_read, lambda url: run_folder(url, writes=True), results_folder):
        with (
            cached_in(f'{tmp_path}/file', 1.0),
            pytest.raises(UserError, match=f'^{tmp_path}/file.*: the cache cannot be used: '),
            open_folder(url),
        ):
            pass
