"""What --watch says about folders that it cannot read."""

import os

import pytest

from beam_pipelines.errors import UserError
from tests.support.another_user import without_privileges
from trainer.classify.watch import WatchedFolder
from trainer.classify.watched_flag import check_watched


@pytest.mark.parametrize('mode', [0o000, 0o300, 0o444])
def test_a_folder_that_cannot_be_listed_and_entered_is_not_watched(free_folder, mode):
    watched = free_folder / 'today'
    watched.mkdir()
    check_watched(str(watched))
    watched.chmod(mode)
    with without_privileges(), pytest.raises(UserError, match='today: this user may not read it'):
        check_watched(str(watched))


@pytest.mark.parametrize('mode', [0o000, 0o444], ids=['not listed', 'not entered'])
def test_a_folder_that_becomes_unreadable_is_named_each_time(free_folder, capsys, mode):
    inner = free_folder / 'rig 2'
    inner.mkdir()
    (inner / 'A#1.abf').touch()
    watched = WatchedFolder(str(free_folder), str(free_folder / 'verdicts'))
    said = []
    for present in (0o755, mode, mode, 0o755, mode):
        inner.chmod(present)
        with without_privileges():
            watched.poll()
        said.append(capsys.readouterr().err)
    words = f'{inner}: Permission denied; what is recorded there is classified when it can be read'
    assert [words in line for line in said] == [False, True, False, False, True]


def test_a_watched_folder_that_goes_is_named_and_a_file_that_goes_is_not(free_folder, capsys):
    folder = free_folder / 'today'
    folder.mkdir()
    os.symlink(folder / 'nowhere', folder / 'gone.abf')
    watched = WatchedFolder(str(folder), str(free_folder / 'verdicts'))
    watched.poll()
    assert capsys.readouterr().err == '' and watched.problems == ()
    os.symlink(folder / 'round.abf', folder / 'round.abf')
    watched.poll()
    assert f'{folder}/round.abf: Too many levels of symbolic links' in capsys.readouterr().err
    assert len(watched.problems) == 1
    folder.rename(free_folder / 'away')
    watched.poll()
    assert f'{folder}: No such file or directory' in capsys.readouterr().err
