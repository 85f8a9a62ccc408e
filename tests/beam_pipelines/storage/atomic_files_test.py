import json
import os
import signal
import subprocess
import sys

import pytest

from beam_pipelines.storage.atomic_files import (
    remove_folder,
    remove_left_behind,
    staged,
    staged_folder,
    write_files,
    write_json,
    write_text,
)
from tests.support.folders import files_of
from tests.support.full_disk import full_disk
from tests.support.mounted_bucket import refuse_folder_renames


def _names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_is_written_as_given(tmp_path):
    write_text(str(tmp_path / 'cells.csv'), 'µ,1\r\n')
    assert (tmp_path / 'cells.csv').read_bytes() == 'µ,1\r\n'.encode()


def test_earlier_file_is_replaced(tmp_path):
    (tmp_path / 'cells.csv').write_text('a longer text than the new one')
    write_text(str(tmp_path / 'cells.csv'), 'new')
    assert (tmp_path / 'cells.csv').read_text() == 'new'


def test_nothing_is_left_beside_it(tmp_path):
    write_text(str(tmp_path / 'cells.csv'), 'text')
    assert _names(tmp_path) == ['cells.csv']


def test_json_is_read_back_and_ends_with_a_line_end(tmp_path):
    write_json(tmp_path / 'a.json', {'b': 1, 'a': [2]})
    assert json.loads((tmp_path / 'a.json').read_text()) == {'a': [2], 'b': 1}
    assert (tmp_path / 'a.json').read_text().endswith('}\n')


def test_an_error_leaves_the_earlier_file_and_nothing_beside_it(tmp_path):
    (tmp_path / 'a').write_text('old')
    with pytest.raises(ZeroDivisionError), staged(tmp_path / 'a') as temporary:
        with open(temporary, 'w') as file:
            file.write('half')
        _ = 1 / 0
    assert _names(tmp_path) == ['a'] and (tmp_path / 'a').read_text() == 'old'


def test_an_error_leaves_no_part_of_a_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), staged(tmp_path / 'a') as temporary:
        os.mkdir(temporary)
        write_text(os.path.join(temporary, 'file'), 'half')
        _ = 1 / 0
    assert _names(tmp_path) == []


def test_the_temporary_name_is_hidden_and_has_the_extension(tmp_path):
    with staged(tmp_path / 'model.keras') as temporary:
        name = os.path.basename(temporary)
        assert name.startswith('.') and name.endswith('.keras')
        open(temporary, 'w').close()


def test_two_that_write_the_same_file_do_not_meet(tmp_path):
    with staged(tmp_path / 'a') as first, staged(tmp_path / 'a') as second:
        assert first != second
        for temporary, text in ((first, 'first'), (second, 'second')):
            with open(temporary, 'w') as file:
                file.write(text)
    assert (tmp_path / 'a').read_text() == 'first'  # the outer one ends last


_KILLED = """
import os, signal, sys
from beam_pipelines.storage.atomic_files import staged
with staged(sys.argv[1]) as temporary:
    with open(temporary, 'w') as file:
        file.write('half')
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_the_earlier_file_and_a_part_that_can_be_removed(tmp_path):
    (tmp_path / 'a.csv').write_text('old')
    (tmp_path / '.hidden').write_text('of someone else')
    killed = subprocess.run([sys.executable, '-c', _KILLED, str(tmp_path / 'a.csv')])
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / 'a.csv').read_text() == 'old'
    assert len(_names(tmp_path)) == 3
    remove_left_behind(tmp_path)
    assert _names(tmp_path) == ['.hidden', 'a.csv']


def test_a_staged_folder_that_was_left_behind_is_removed(tmp_path):
    left = tmp_path / '.0123abcd.partial'
    left.mkdir()
    (left / 'file').write_text('half')
    remove_left_behind(tmp_path)
    assert _names(tmp_path) == []


def _write_folder(folder, names: str, text: str) -> None:
    with staged_folder(folder, 'last') as temporary:
        for name in names.split():
            path = os.path.join(temporary, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w') as file:
                file.write(text)


def test_a_folder_replaces_another_where_folders_cannot_be_renamed(tmp_path, monkeypatch):
    refuse_folder_renames(monkeypatch)
    _write_folder(tmp_path / 'a', 'last first deep/old', 'old')
    _write_folder(tmp_path / 'a', 'last first deep/new', 'new')
    assert files_of(tmp_path) == {f'a/{name}': b'new' for name in ('last', 'first', 'deep/new')}


def test_whoever_finds_the_last_file_of_a_folder_finds_the_others_of_its_making(tmp_path, monkeypatch):
    states = []

    def looking(function):
        def call(*arguments, **further):
            function(*arguments, **further)
            states.append({name: text for name, text in files_of(tmp_path).items() if not name.startswith('.')})

        return call

    _write_folder(tmp_path / 'a', 'last b c', 'old')
    with monkeypatch.context() as patch:
        for name in ('replace', 'remove', 'unlink'):
            patch.setattr(os, name, looking(getattr(os, name)))
        _write_folder(tmp_path / 'a', 'last b c', 'new')
    remove_folder(tmp_path / 'a', 'last')
    assert not (tmp_path / 'a').exists()
    whole = [state for state in states if 'a/last' in state]
    assert len(states) > len(whole) and whole == [dict.fromkeys(['a/b', 'a/c', 'a/last'], b'new')] * len(whole)


def test_a_folder_that_cannot_be_written_stays_as_it_was_and_the_error_names_it(tmp_path):
    _write_folder(tmp_path / 'a', 'last b', 'old')
    with full_disk(), pytest.raises(OSError, match=f"File too large: '{tmp_path}/a'"):
        _write_folder(tmp_path / 'a', 'last b', 'new')
    assert files_of(tmp_path) == {'a/last': b'old', 'a/b': b'old'}


def test_files_are_written_into_a_folder_that_is_made(tmp_path):
    write_files(tmp_path / 'a' / 'b', {'x': b'1', 'y': b'2'})
    assert {path.name: path.read_bytes() for path in (tmp_path / 'a' / 'b').iterdir()} == {'x': b'1', 'y': b'2'}


def test_files_appear_in_their_order(tmp_path, monkeypatch):
    replace, order = os.replace, []
    monkeypatch.setattr(os, 'replace', lambda source, target: (order.append(target), replace(source, target)))
    write_files(tmp_path, {'c': b'', 'a': b'', 'b': b''})
    assert [os.path.basename(path) for path in order] == ['c', 'a', 'b']


def test_no_file_appears_if_one_cannot_be_written(tmp_path):
    with pytest.raises(TypeError):
        write_files(tmp_path, {'a': b'1', 'b': 'no bytes'})
    assert _names(tmp_path) == []
