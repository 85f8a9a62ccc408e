"""Columns of an existing NWB file: whole or not at all, and all else as it was."""

import contextlib
import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pynwb
import pytest

from beam_pipelines.errors import UserError
from tests.support.another_user import IS_ROOT, NOBODY, without_privileges
from tests.support.full_disk import full_disk
from tests.support.nwb_sessions import everything_in, left_behind, stays_as_it_is, units_of
from tests.support.places import ROOT
from trainer.classify.inputs import find_recordings
from trainer.classify.nwb_columns import UNITS_COLUMNS
from trainer.classify.nwb_copies import Column, adding_columns
from trainer.classify.nwb_units import read_units

COLUMN = Column('sero_verdict', UNITS_COLUMNS['sero_verdict'], ['SER', 'NSER'])


def add(path, column=COLUMN):
    with adding_columns([(read_units(str(path)), [column])]):
        pass


class WatchedColumns(list):
    """Columns that call a function when they are about to be written into the copy."""

    def __init__(self, columns, call):
        super().__init__(columns)
        self._call = call

    def __iter__(self):
        self._call()
        return super().__iter__()


@pytest.fixture
def two_files(original, tmp_path):
    paths = [tmp_path / 'one' / 'a.nwb', tmp_path / 'two' / 'a.nwb']
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(original.read_bytes())
    return paths


class TestAllElse:
    def test_stays_though_its_name_begins_alike(self, session):
        with h5py.File(session, 'r+') as file:
            file['units/sero_ihc'] = ['5-HT', 'TH']
            file['units/sero_raw'] = [1.5, 2.5]
            file['units'].attrs['colnames'] = [*file['units'].attrs['colnames'], 'sero_ihc']
        before = everything_in(session)
        for _ in range(2):
            add(session)
            after = everything_in(session)
            assert after.pop('/units/sero_verdict')
            assert after == before
            with h5py.File(session) as file:
                assert list(file['units'].attrs['colnames']) == ['quality', 'spike_times', 'sero_ihc', 'sero_verdict']

    def test_permissions_attributes_and_link(self, session, tmp_path):
        session.chmod(0o640)
        os.utime(session, (1e9, 1e9))
        if hasattr(os, 'setxattr'):
            os.setxattr(session, 'user.rig', b'2')
        link = tmp_path / 'links' / 'today.nwb'
        link.parent.mkdir()
        link.symlink_to(session)
        add(link)
        assert link.is_symlink() and session.stat().st_mode & 0o777 == 0o640
        assert not hasattr(os, 'getxattr') or os.getxattr(session, 'user.rig') == b'2'
        assert session.stat().st_mtime > 1.1e9  # Backups by date find it.

    @pytest.mark.skipif(not IS_ROOT, reason='only root gives files away')
    def test_owner_and_group(self, session):
        os.chown(session, NOBODY, NOBODY - 1)
        add(session)
        assert (session.stat().st_uid, session.stat().st_gid) == (NOBODY, NOBODY - 1)

    @pytest.mark.skipif(not IS_ROOT, reason='only root makes files of several users')
    @pytest.mark.parametrize('of_other', ['owner', 'group'])
    def test_an_owner_or_group_that_cannot_be_kept(self, of_other, session, free_folder):
        path = free_folder / 'session.nwb'
        path.write_bytes(session.read_bytes())
        path.chmod(0o666)
        os.chown(path, *((0, -1) if of_other == 'owner' else (NOBODY, 12_345)))
        line = r'session\.nwb: a copy cannot have its owner and group \(Operation not permitted\); let them run'
        with without_privileges(), stays_as_it_is(path), pytest.raises(UserError, match=line):
            add(path)

    def test_nobody_else_reads_the_copy_while_it_is_made(self, session):
        session.chmod(0o604)
        modes = []

        def note_mode():
            modes.extend(copy.stat().st_mode & 0o777 for copy in session.parent.glob('.*.partial.nwb'))

        with adding_columns([(read_units(str(session)), WatchedColumns([COLUMN], note_mode))]):
            pass
        assert set(modes) == {0o600} and session.stat().st_mode & 0o777 == 0o604


class TestWholeOrNotAtAll:
    # HDF5 cannot tell Python of all that goes wrong, and may crash.
    @pytest.mark.filterwarnings('error::pytest.PytestUnraisableExceptionWarning')
    @pytest.mark.parametrize('missing', ['the copy', 'the columns'])
    def test_a_full_disk(self, missing, session):
        disk = full_disk(0 if missing == 'the copy' else session.stat().st_size + 1000)
        with stays_as_it_is(session), disk, pytest.raises(OSError, match='File too large') as raised:
            add(session)
        assert raised.value.filename == str(session)

    # HDF5 itself would need less: it is not let near the end of the disk.
    @pytest.mark.parametrize(
        ('count', 'page_bytes', 'room_bytes'), [(2, None, 900_000), (1000, None, 3 << 20), (2, 1 << 20, 9 << 19)]
    )
    def test_a_disk_that_is_nearly_full(self, count, page_bytes, room_bytes, tmp_path):
        path = tmp_path / 'units.nwb'
        with h5py.File(
            path, 'w', **({'fs_strategy': 'page', 'fs_page_size': page_bytes} if page_bytes else {})
        ) as file:
            units = file.create_group('units')
            units.attrs['colnames'] = ['spike_times']
            columns = {
                'id': np.arange(count),
                'spike_times': np.zeros(count),
                'spike_times_index': np.arange(count) + 1,
            }
            for name, values in columns.items():
                units[name] = values
        disk = full_disk(path.stat().st_size + room_bytes)
        with stays_as_it_is(path), disk, pytest.raises(OSError, match='File too large'):
            add(path, Column('sero_p_ser', 'probability', [0.5] * count))

    def test_a_file_that_was_written_before(self, session):
        table = read_units(str(session))
        with h5py.File(session, 'r+') as file:
            del file['units']
        with stays_as_it_is(session), pytest.raises(UserError, match='was written meanwhile'):
            with adding_columns([(table, [COLUMN])]):
                pytest.fail('the block writes what belongs to the verdicts')

    def test_a_file_that_is_written_meanwhile(self, session):
        with pytest.raises(UserError, match='was written meanwhile, and stays as it is; run the command again'):
            with adding_columns([(read_units(str(session)), [COLUMN])]):
                with h5py.File(session, 'r+') as file:
                    file['units/spike_times'][0] += 0.001
        assert 'sero_verdict' not in units_of(session) and left_behind(session) == []

    def test_a_file_that_this_process_opens_for_writing_meanwhile(self, session):
        """It would go on writing the file that has been replaced, without an error of HDF5."""
        with pynwb.NWBHDF5IO(session, 'r') as reader, contextlib.ExitStack() as stack:
            assert reader.read()
            with pytest.raises(UserError, match='is open for writing in this process; close it'):
                with adding_columns([(read_units(str(session)), [COLUMN])]):
                    reader.close()
                    writer = stack.enter_context(pynwb.NWBHDF5IO(session, 'a'))
            file = writer.read()
            file.add_acquisition(pynwb.TimeSeries(name='added', data=[1.0], unit='V', rate=1.0))
            writer.write(file)
        with pynwb.NWBHDF5IO(session, 'r') as reader:
            assert 'added' in reader.read().acquisition
        assert left_behind(session) == []

    @pytest.mark.parametrize('written', [0, 1])
    def test_of_two_files_none_changes_if_one_was_written(self, written, two_files):
        tables = [read_units(str(path)) for path in two_files]
        with contextlib.ExitStack() as stack:
            stack.enter_context(stays_as_it_is(two_files[1 - written]))
            os.utime(two_files[written])
            stack.enter_context(pytest.raises(UserError, match='was written meanwhile'))
            stack.enter_context(adding_columns([(table, [COLUMN]) for table in tables]))

    def test_the_block_does_not_begin_if_a_file_is_written_during_the_copies(self, two_files):
        first, second = two_files
        tables = [read_units(str(path)) for path in two_files]

        columns = WatchedColumns([COLUMN], lambda: os.utime(second))  # The second file is copied first.
        with stays_as_it_is(first), pytest.raises(UserError, match='was written meanwhile') as raised:
            with adding_columns([(tables[0], columns), (tables[1], [COLUMN])]):
                pytest.fail('the block writes what belongs to the verdicts')
        assert str(second) in str(raised.value)

    def test_an_error_names_the_files_that_are_replaced_already(self, two_files):
        first, second = two_files
        with stays_as_it_is(second), pytest.raises(OSError) as raised:
            with adding_columns([(read_units(str(path)), [COLUMN]) for path in two_files]):
                (copy,) = second.parent.glob('.*.partial.nwb')
                copy.unlink()
        assert raised.value.filename == str(second)
        assert raised.value.strerror == f'No such file or directory; the verdicts are in {first} already'
        assert list(units_of(first)['sero_verdict']) == ['SER', 'NSER'] and left_behind(first) == []

    def test_a_process_that_is_killed(self, session):
        program = (
            'import sys, time\n'
            'from trainer.classify.nwb_copies import Column, adding_columns\n'
            'from trainer.classify.nwb_units import read_units\n'
            'table = read_units(sys.argv[1])\n'
            'with adding_columns([(table, [Column("sero_verdict", "verdict", ["SER", "NSER"])])]):\n'
            '    print("copied", flush=True); time.sleep(60)\n'
        )
        before = session.read_bytes()
        with subprocess.Popen([sys.executable, '-c', program, session], stdout=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout.readline() == b'copied\n'
            with pytest.raises(UserError, match='another command is writing there; wait for it'):
                add(session)
            process.send_signal(signal.SIGKILL)
        assert session.read_bytes() == before
        # What is left is hidden, and no recording.
        (found,), rejected = find_recordings([str(session.parent)], str(session.parent / 'out'))
        assert found.paths == (str(session),) and not rejected
        add(session)
        assert list(units_of(session)['sero_verdict']) == ['SER', 'NSER']
