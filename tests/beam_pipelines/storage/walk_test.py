import os

import pytest

from beam_pipelines.storage.walk import check_regular, walk_files
from tests.support.requirements import needs_posix


def _below(folder, *args) -> list[str]:
    return [os.path.relpath(path, folder) for path in walk_files(str(folder), *args)]


@needs_posix
def test_links_to_their_own_folder_end(tmp_path):
    (tmp_path / 'inner').mkdir()
    (tmp_path / 'inner' / 'a.abf').touch()
    for name in ('a', 'b', 'inner/c', 'inner/d'):
        (tmp_path / name).symlink_to(tmp_path)
    assert _below(tmp_path) == ['inner/a.abf']


@needs_posix
def test_links_to_each_other_end(tmp_path):
    for name, other in (('one', 'two'), ('two', 'one')):
        (tmp_path / name).mkdir()
        (tmp_path / name / f'{name}.abf').touch()
        (tmp_path / name / 'link').symlink_to(tmp_path / other)
    assert sorted(_below(tmp_path)) == ['one/one.abf', 'two/two.abf']


@needs_posix
def test_a_folder_has_its_own_path_and_not_that_of_a_link(tmp_path):
    (tmp_path / 'a').symlink_to(tmp_path / 'z')
    (tmp_path / 'z').mkdir()
    (tmp_path / 'z' / '1.abf').touch()
    assert _below(tmp_path) == ['z/1.abf']


@needs_posix
def test_a_linked_folder_elsewhere_is_entered_once(tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / '1.abf').touch()
    (tmp_path / 'root').mkdir()
    for name in ('a', 'b'):
        (tmp_path / 'root' / name).symlink_to(tmp_path / 'elsewhere')
    assert _below(tmp_path / 'root') == ['a/1.abf']


def test_folders_can_be_left_out_and_missing_ones_hold_nothing(tmp_path):
    for name in ('in', 'out'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'a').touch()
    assert _below(tmp_path, lambda parent, name: name != 'out') == [os.path.join('in', 'a')]
    assert _below(tmp_path / 'gone') == []


@needs_posix
@pytest.mark.parametrize(
    ('path', 'kind'), [('pipe', 'a pipe'), ('/dev/zero', 'a device'), ('zero.csv', 'a device'), ('.', 'Is a directory')]
)
def test_what_is_no_regular_file_is_named(tmp_path, path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo('pipe')
    os.symlink('/dev/zero', 'zero.csv')
    with pytest.raises(OSError, match=kind):
        check_regular(path)
