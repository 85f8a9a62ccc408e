"""Outputs that belong together, and what may happen in the moments of their replacement."""

import os
import pathlib

import pytest

from tests.support.folders import files_of
from tests.support.mounted_bucket import refuse_folder_renames
from trainer.evaluation import output_set
from trainer.evaluation.output_set import OutputSet

OLD = {'cells.csv': b'old', 'report.html': b'old', 'nwb/a.nwb': b'old', 'notes.txt': b"the user's"}
NEW = {'cells.csv': b'new', 'report.html': b'new', 'nwb/b.nwb': b'new', 'spikes.csv': b'new'}
AFTER = NEW | {'notes.txt': b"the user's"}


def write(folder: pathlib.Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def outputs_of(folder: pathlib.Path) -> OutputSet:
    return OutputSet(folder, 'sero-x', lambda: sorted((folder / 'nwb').glob('*')))


def replace(folder: pathlib.Path) -> None:
    with outputs_of(folder).replacing() as partial:
        write(partial, NEW)


def visible(folder: pathlib.Path) -> dict[str, bytes]:
    return {name: content for name, content in files_of(folder).items() if not name.startswith('.')}


def replace_killed_at(folder: pathlib.Path, rename: int) -> bool:
    """Replaces the outputs in a process that ends at a rename as by kill -9; tells whether it came so far."""
    child = os.fork()
    if not child:
        renames = iter(range(rename))
        move = os.replace

        def killed(source, target):
            if next(renames, None) is None:
                os._exit(9)
            move(source, target)

        os.replace = killed
        try:
            replace(folder)
            os._exit(0)
        finally:
            os._exit(1)  # An error must not let the child go on with the tests of its parent.
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_set_is_replaced_where_folders_cannot_be_renamed(tmp_path, monkeypatch):
    refuse_folder_renames(monkeypatch)
    write(tmp_path, OLD)
    replace(tmp_path)
    assert files_of(tmp_path) == AFTER


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='kills a process that it has forked')
def test_wherever_it_is_killed_no_new_file_is_beside_an_old_one_and_the_next_command_ends_it(tmp_path):
    for rename in range(100):
        folder = tmp_path / str(rename)
        folder.mkdir()
        write(folder, OLD)
        was_killed = replace_killed_at(folder, rename)
        seen = visible(folder)
        assert len({content for name, content in seen.items() if name != 'notes.txt'}) <= 1
        assert seen['notes.txt'] == b"the user's"
        outputs_of(folder).prepare()
        assert files_of(folder) == AFTER
        if not was_killed:
            break
    assert 7 < rename < 20  # Three files are taken away, four put there, and the mark is renamed.


@pytest.mark.parametrize('rename', range(8))
def test_a_rename_that_fails_leaves_the_earlier_outputs(rename, tmp_path, monkeypatch):
    write(tmp_path, OLD)
    renames = iter(range(rename))
    move, has_failed = os.replace, []

    def failing(source, target):
        if not has_failed and next(renames, None) is None:
            has_failed.append(True)
            raise OSError(5, 'Input/output error', str(source))
        move(source, target)

    monkeypatch.setattr(output_set.os, 'replace', failing)
    with pytest.raises(OSError, match='Input/output error'):
        replace(tmp_path)
    assert files_of(tmp_path) == OLD
    replace(tmp_path)
    assert files_of(tmp_path) == AFTER


@pytest.mark.parametrize('rename', range(8))
def test_a_disk_that_allows_nothing_any_more_loses_neither_set(rename, tmp_path, monkeypatch):
    write(tmp_path, OLD)
    renames, move = iter(range(rename)), os.replace

    def failing(source, target):
        if next(renames, None) is None:
            raise OSError(5, 'Input/output error', str(source))
        move(source, target)

    monkeypatch.setattr(output_set.os, 'replace', failing)
    with pytest.raises(OSError, match='Input/output error'):
        replace(tmp_path)
    monkeypatch.undo()
    contents = list(files_of(tmp_path).values())
    assert (contents.count(b'old'), contents.count(b'new')) in ((3, 0), (3, 4))
    outputs_of(tmp_path).prepare()
    assert files_of(tmp_path) in (OLD, AFTER)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='kills a process that it has forked')
@pytest.mark.parametrize('renames_until_killed', range(8))
def test_a_process_that_is_killed_while_it_undoes_leaves_whole_sets(renames_until_killed, tmp_path):
    write(tmp_path, OLD)
    child = os.fork()
    if not child:
        move, calls = os.replace, iter(range(100))

        def failing(source, target):
            call = next(calls)
            if call == 6:  # Three are taken away, the mark is renamed, and two of four are in place.
                raise OSError(5, 'Input/output error', str(source))
            if call == 7 + renames_until_killed:
                os._exit(9)
            move(source, target)

        os.replace = failing
        try:
            replace(tmp_path)
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    outputs_of(tmp_path).prepare()
    assert files_of(tmp_path) in (OLD, AFTER)


@pytest.mark.parametrize(('state', 'left'), [('complete', OLD), ('placed', {'notes.txt': b"the user's"})])
def test_what_an_earlier_version_of_this_package_has_begun_is_ended(state, left, tmp_path):
    write(tmp_path, left)
    (tmp_path / f'.sero-x.{state}').mkdir()
    write(tmp_path / f'.sero-x.{state}', NEW)
    outputs_of(tmp_path).prepare()
    assert files_of(tmp_path) == AFTER


def test_the_new_set_is_on_the_disk_before_the_earlier_one_is_removed(tmp_path, monkeypatch):
    write(tmp_path, OLD)
    flushed, fsync = set(), os.fsync

    def logged_fsync(descriptor: int) -> None:
        fsync(descriptor)
        if (tmp_path / '.sero-x.replaced').exists():
            flushed.add(os.readlink(f'/proc/self/fd/{descriptor}'))

    monkeypatch.setattr(os, 'fsync', logged_fsync)
    replace(tmp_path)
    assert {str(tmp_path), str(tmp_path / 'nwb')} <= flushed
    assert visible(tmp_path) == AFTER
