"""What the units of an NWB file are read as, and which files are refused before any work."""

import io
import os
import subprocess
import sys

import h5py
import numpy as np
import pynwb
import pytest

from beam_pipelines.errors import UserError
from tests.support.another_user import without_privileges
from tests.support.foreign_recordings import add_units
from tests.support.nwb_sessions import stays_as_it_is
from trainer.classify.nwb_units import read_units
from trainer.classify.nwb_verdicts import read_tables


def check_refused(path, line):
    with stays_as_it_is(path):
        check_refused_unread(path, line)


def check_refused_unread(path, line):
    with pytest.raises(UserError) as raised:
        read_units(str(path))
    assert str(raised.value).startswith(f'{path}: {line}') and '\n' not in str(raised.value)


def test_spike_times_ascend_whatever_their_order(session):
    expected = read_units(str(session)).spike_times_s
    with h5py.File(session, 'r+') as file:
        first = file['units/spike_times_index'][0]
        file['units/spike_times'][:first] = file['units/spike_times'][:first][::-1]
    found = read_units(str(session)).spike_times_s
    for times_s, expected_s in zip(found, expected, strict=True):
        np.testing.assert_array_equal(times_s, expected_s)


class TestFile:
    def test_without_units(self, one_cell):
        check_refused(one_cell, 'has no units, to which verdicts could be added; --export nwb writes files of its own')

    def test_that_is_none(self, tmp_path):
        (tmp_path / 'notes.nwb').write_bytes(b'no recording')
        check_refused(tmp_path / 'notes.nwb', '')

    def test_that_is_write_protected(self, session):
        session.chmod(0o440)
        check_refused(session, 'is write-protected; allow writing, or give a copy')

    def test_of_two_names(self, session, tmp_path):
        os.link(session, tmp_path / 'other.nwb')
        check_refused(session, 'has 2 names (hard links), and only one would get the verdicts; give a copy')

    def test_in_a_folder_that_is_write_protected(self, session, free_folder):
        path = free_folder / 'session.nwb'
        path.write_bytes(session.read_bytes())
        path.chmod(0o666)
        link = free_folder / 'links' / 'today.nwb'
        link.parent.mkdir(mode=0o777)
        link.symlink_to(path)
        free_folder.chmod(0o555)
        with without_privileges():
            for given in (path, link):
                check_refused(given, f'nothing can be written into {free_folder}, where a copy takes its place; allow')

    def test_that_another_program_writes(self, session):
        program = 'import h5py, sys; file = h5py.File(sys.argv[1], "r+"); print("open", flush=True); sys.stdin.read()'
        pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
        with subprocess.Popen([sys.executable, '-c', program, session], **pipes) as writer:
            assert writer.stdout.readline() == b'open\n'
            check_refused(session, 'is open in another program, which may write it; close it there')
            writer.kill()

    @pytest.mark.parametrize('driver', [None, 'core'])
    @pytest.mark.parametrize('mode', ['a', 'r+'])
    def test_that_this_process_writes(self, session, tmp_path, monkeypatch, mode, driver):
        monkeypatch.chdir(tmp_path)
        with h5py.File(session.name, mode, driver=driver):
            if driver is None:
                monkeypatch.chdir('/')
            check_refused(session, 'is open for writing in this process; close it, or what is written there would be')
        assert read_units(str(session)).ids == (0, 1)

    def test_that_this_process_reads_or_another_that_it_writes(self, session, tmp_path):
        with h5py.File(session, 'r'), h5py.File(tmp_path / 'other.nwb', 'w'), h5py.File(io.BytesIO(), 'w'):
            assert read_units(str(session)).ids == (0, 1)

    @pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='Windows has no such pipes')
    def test_that_is_a_folder_or_a_pipe(self, tmp_path):
        (tmp_path / 'folder.nwb').mkdir()
        check_refused_unread(tmp_path / 'folder.nwb', 'is a folder; name one NWB file')
        os.mkfifo(tmp_path / 'pipe.nwb')
        check_refused_unread(tmp_path / 'pipe.nwb', 'is a device or pipe; name one NWB file')

    def test_where_h5py_is_missing(self, session, monkeypatch):
        monkeypatch.setitem(sys.modules, 'h5py', None)  # as if it were not installed
        with pytest.raises(UserError) as raised:
            read_units(str(session))
        assert str(raised.value) == f'{session}: .nwb files need pynwb: pip install pynwb'


class TestTable:
    def test_without_times(self, one_cell):
        add_units(one_cell, [None])
        check_refused(one_cell, 'its units have no spike_times, by which a unit is told from another')

    def test_that_contradicts_itself(self, session):
        with h5py.File(session, 'r+') as file:
            file['units/spike_times_index'][-1] = 1
        check_refused(session, 'units/spike_times: 2 units and an index of 2 do not share out')

    @pytest.mark.parametrize(
        ('name', 'kind'), [('id', 'whole numbers'), ('spike_times', 'numbers'), ('spike_times_index', 'whole numbers')]
    )
    @pytest.mark.parametrize('content', ['a group', 'text', 'a table', 'nothing'])
    def test_that_is_damaged(self, name, kind, content, session):
        with h5py.File(session, 'r+') as file:
            del file[f'units/{name}']
            if content == 'a group':
                file.create_group(f'units/{name}')
            else:
                values = {'text': ['one', 'two'], 'a table': np.zeros((2, 2), np.int64), 'nothing': h5py.Empty('i8')}
                file[f'units/{name}'] = values[content]
        check_refused(session, f'units/{name}: is damaged, or of another kind: it is no column of {kind}')


class TestWhatOthersPutUnderNamesOfVerdicts:
    def check(self, session, name):
        line = f'units/{name}: was not written by sero-classify, which needs this name; rename it'
        for mode in ('add', 'replace'):
            with stays_as_it_is(session), pytest.raises(UserError) as raised:
                read_tables([str(session)], mode)
            assert str(raised.value) == f'{session}: {line}'

    def test_a_column(self, session):
        with pynwb.NWBHDF5IO(str(session), 'a') as io:
            file = io.read()
            file.add_unit_column('sero_verdict', 'of the histologist', data=['5-HT', 'TH'])
            io.write(file)
        self.check(session, 'sero_verdict')

    def test_a_ragged_column(self, session):
        with h5py.File(session, 'r+') as file:
            file['units/sero_warnings_index'] = [1, 2]
        self.check(session, 'sero_warnings')

    @pytest.mark.parametrize('content', ['a group', 'a link', 'a link to nothing', 'numbers'])
    def test_what_is_in_no_column(self, content, session):
        with h5py.File(session, 'r+') as file:
            links = {'a link': '/units/id', 'a link to nothing': '/nothing'}
            if content == 'a group':
                file.create_group('units/sero_p_ser')
            else:
                file['units/sero_p_ser'] = h5py.SoftLink(links[content]) if content in links else [0.5, 0.7]
        self.check(session, 'sero_p_ser')
