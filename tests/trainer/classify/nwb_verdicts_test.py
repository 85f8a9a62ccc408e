"""Verdicts in the units of an existing NWB file: whole or not at all, and on the right unit."""

import contextlib
import csv
import hashlib
import os
import pathlib
import signal
import subprocess
import sys

import h5py
import numpy as np
import pynwb
import pytest

from beam_pipelines.errors import UserError
from tests.support.commands import run_command
from tests.support.foreign_recordings import add_units, write_nwb
from tests.support.full_disk import full_disk
from tests.support.places import ROOT
from tests.support.simulated_current import simulated_current
from trainer import classify
from trainer.classify.inputs import find_recordings
from trainer.classify.nwb_units import Column, adding_columns, read_units

COLUMNS = [
    'sero_cell', 'sero_verdict', 'sero_p_ser', 'sero_p_ser_low', 'sero_p_ser_high', 'sero_p_ser_published',
    'sero_n_spikes', 'sero_udi_ms', 'sero_warnings', 'sero_source',
]  # fmt: skip
STARTS_S = {'a': 0.0, 'b': 100.0}
COLUMN = Column('sero_verdict', 'verdict', ['SER', 'NSER'])


@pytest.fixture(scope='module')
def model(finished_run):
    return classify.load(finished_run)


@pytest.fixture(scope='module')
def currents():
    """Two cells: {series: (current, times of the troughs in s from its start)}."""
    cells = {'a': simulated_current(6.0, 'SER', seed=1, udi_ms=2.0), 'b': simulated_current(6.0, 'NSER', seed=2)}
    return {name: (current_pa, troughs / 40_000) for name, (current_pa, troughs) in cells.items()}


@pytest.fixture(scope='module')
def original(currents, tmp_path_factory) -> pathlib.Path:
    """A session of two cells, recorded one after the other, and their units in the other order. Read only."""
    path = tmp_path_factory.mktemp('original') / 'session.nwb'
    write_nwb(path, {name: current_pa for name, (current_pa, _) in currents.items()})
    with h5py.File(path, 'r+') as file:
        for name, start_s in STARTS_S.items():
            file[f'acquisition/{name}/starting_time'][()] = start_s
    add_units(path, [STARTS_S[name] + currents[name][1] for name in ('b', 'a')])
    return path


@pytest.fixture
def session(original, tmp_path) -> pathlib.Path:
    path = tmp_path / 'session.nwb'
    path.write_bytes(original.read_bytes())
    return path


@pytest.fixture
def one_cell(currents, tmp_path) -> pathlib.Path:
    path = tmp_path / 'one.nwb'
    write_nwb(path, {'a': currents['a'][0]})
    return path


def units_of(path):
    with pynwb.NWBHDF5IO(str(path), 'r') as io:
        return io.read().units.to_dataframe()


def left_behind(path: pathlib.Path) -> list[str]:
    return sorted(other.name for other in path.parent.iterdir() if other != path)


@contextlib.contextmanager
def stays_as_it_is(path: pathlib.Path):
    before, times = path.read_bytes(), os.stat(path)
    yield
    assert path.read_bytes() == before
    assert (os.stat(path).st_ino, os.stat(path).st_mtime_ns) == (times.st_ino, times.st_mtime_ns)
    assert left_behind(path) == []


class TestVerdicts:
    def test_are_those_of_the_cells_whose_spikes_the_units_are(self, model, currents, session):
        (of_b, of_a) = model.classify_nwb_units(session)
        units = units_of(session)
        assert list(units['sero_cell']) == ['session#b', 'session#a'] == [of_b.cell, of_a.cell]
        for row, (name, result) in enumerate((('b', of_b), ('a', of_a))):
            alone = model.classify(currents[name][0], 40_000)
            unit = units.iloc[row]
            assert unit['sero_verdict'] == result.verdict == alone.verdict
            assert unit['sero_p_ser'] == result.p_ser == pytest.approx(alone.p_ser, abs=1e-3)
            assert unit['sero_n_spikes'] == alone.n_spikes
            assert unit['sero_udi_ms'] == pytest.approx(alone.udi_ms, abs=1e-3)
        assert list(units['sero_source']) == ['simulated'] * 2

    def test_stand_beside_all_that_was_there(self, model, original, session):
        model.classify_nwb_units(session)
        before, after = units_of(original), units_of(session)
        assert list(after.columns) == [*before.columns, *COLUMNS]
        for name in before.columns:
            for one, other in zip(before[name], after[name], strict=True):
                np.testing.assert_array_equal(one, other)
        with h5py.File(original) as one, h5py.File(session) as other:
            assert everything_in(one) == {
                name: value for name, value in everything_in(other).items() if '/sero_' not in name
            }
            assert 'trained on SIMULATED recordings' in other['units/sero_verdict'].attrs['description']

    def test_make_a_valid_file_to_which_more_units_can_be_added(self, model, session):
        nwbinspector = pytest.importorskip('nwbinspector', reason="nwbinspector is not here: pip install '.[dev]'")
        found_before = {message.check_function_name for message in nwbinspector.inspect_nwbfile(nwbfile_path=session)}
        model.classify_nwb_units(session)
        assert pynwb.validate(path=str(session)) == []
        found = {message.check_function_name for message in nwbinspector.inspect_nwbfile(nwbfile_path=session)}
        assert found == found_before
        with pynwb.NWBHDF5IO(str(session), 'a') as io:
            file = io.read()
            same = {name: file.units[name][0] for name in (*COLUMNS, 'quality')}
            file.add_unit(spike_times=[1.0], **same)
            io.write(file)
        assert len(units_of(session)) == 3 and pynwb.validate(path=str(session)) == []

    def test_keep_the_permissions_and_the_link(self, model, session, tmp_path):
        session.chmod(0o640)
        link = tmp_path / 'links' / 'today.nwb'
        link.parent.mkdir()
        link.symlink_to(session)
        model.classify_nwb_units(link)
        assert link.is_symlink() and session.stat().st_mode & 0o777 == 0o640
        assert list(units_of(session)['sero_cell']) == ['today#b', 'today#a']

    def test_are_replaced_on_demand_alone(self, model, session):
        odd = Column('sero_of_another_version', 'no longer written', [1, 2])
        with adding_columns([(read_units(str(session)), [odd, COLUMN])]):
            pass
        with stays_as_it_is(session), pytest.raises(UserError) as raised:
            model.classify_nwb_units(session)
        assert str(raised.value) == (
            f'{session}: sero_of_another_version: its units have verdicts already; --nwb_units=replace (in Python'
            ' replace=True) replaces them'
        )
        for _ in range(2):
            results = model.classify_nwb_units(session, replace=True)
            units = units_of(session)
            assert list(units.columns) == ['quality', 'spike_times', *COLUMNS]
            assert list(units['sero_p_ser']) == [result.p_ser for result in results]
        with h5py.File(session) as file:
            assert {name for name in file['units'] if name.startswith('sero_')} == set(COLUMNS)
        assert pynwb.validate(path=str(session)) == []


def everything_in(file: h5py.File) -> dict[str, str]:
    """Returns a digest of each dataset and group with its attributes."""
    found = {}

    def add(name, item):
        is_numbers = isinstance(item, h5py.Dataset) and item.dtype.kind != 'O'
        digest = hashlib.sha256(item[()].tobytes() if is_numbers else b'')
        attributes = {key: str(value) for key, value in item.attrs.items() if (name, key) != ('units', 'colnames')}
        found[f'/{name}'] = digest.hexdigest() + str(sorted(attributes.items()))

    file.visititems(add)
    return found


class TestRefusals:
    def check(self, model, path, line, **options):
        with stays_as_it_is(path), pytest.raises(UserError) as raised:
            model.classify_nwb_units(path, **options)
        assert str(raised.value).startswith(f'{path}: {line}') and '\n' not in str(raised.value)

    def test_no_units(self, model, one_cell):
        self.check(model, one_cell, 'has no units, to which verdicts could be added; --export nwb writes files of its')

    def test_units_without_times(self, model, one_cell):
        add_units(one_cell, [None])
        self.check(model, one_cell, 'its units have no spike_times, by which a unit is told from another')

    def test_a_unit_of_other_spikes(self, model, one_cell, currents):
        add_units(one_cell, [currents['b'][1]])
        self.check(model, one_cell, 'unit 0: ')
        with pytest.raises(UserError, match=r'\d+ of its \d+ spike times are among the \d+ spikes found in one, and'):
            model.classify_nwb_units(one_cell)

    def test_a_few_spikes_of_a_cell(self, model, one_cell, currents):
        add_units(one_cell, [currents['a'][1][:3]])
        self.check(model, one_cell, 'unit 0: 3 of its 3 spike times are among the')

    def test_times_on_another_clock(self, model, session):
        with h5py.File(session, 'r+') as file:
            file['units/spike_times'][...] += 1.0
        self.check(model, session, 'unit 0: ')

    def test_two_units_of_one_cell(self, model, one_cell, currents):
        add_units(one_cell, [currents['a'][1], currents['a'][1] + 0.0005])
        self.check(model, one_cell, 'unit 1: is one, and so is unit 0')

    def test_one_unit_of_two_copies_of_a_current(self, model, currents, tmp_path):
        path = tmp_path / 'copies.nwb'
        write_nwb(path, {'raw': currents['a'][0], 'filtered': currents['a'][0]})
        add_units(path, [currents['a'][1]])
        self.check(model, path, 'unit 0: is equally copies#filtered and copies#raw; name one with --channel')
        assert model.classify_nwb_units(path, channel='raw')

    def test_a_current_that_cannot_be_used(self, model, currents, tmp_path):
        path = tmp_path / 'slow.nwb'
        write_nwb(path, {'a': currents['a'][0]}, rate_hz=20_000)
        add_units(path, [currents['a'][1] * 2])
        self.check(model, path, 'unit 0: no current of the file could be used: 20000 Hz, expected 40000 Hz (resample=')
        assert model.classify_nwb_units(path, resample=True)

    def test_a_table_that_contradicts_itself(self, model, session):
        with h5py.File(session, 'r+') as file:
            file['units/spike_times_index'][-1] = 1
        self.check(model, session, 'units/spike_times: 2 units and an index of 2 do not share out')

    def test_a_table_that_is_damaged(self, model, session):
        with h5py.File(session, 'r+') as file:
            del file['units/spike_times']
            file.create_group('units/spike_times')
        self.check(model, session, 'h5py: AttributeError: ')

    def test_a_file_that_is_write_protected(self, model, session):
        session.chmod(0o440)
        self.check(model, session, 'is write-protected; allow writing, or give a copy')

    def test_a_file_that_another_program_writes(self, model, session):
        program = 'import h5py, sys; file = h5py.File(sys.argv[1], "r+"); print("open", flush=True); sys.stdin.read()'
        pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
        with subprocess.Popen([sys.executable, '-c', program, session], **pipes) as writer:
            assert writer.stdout.readline() == b'open\n'
            self.check(model, session, 'is open in another program, which may write it; close it there')
            writer.kill()

    @pytest.mark.parametrize('name', ['notes.nwb', 'a.abf'])
    def test_what_is_no_nwb_file(self, name, model, tmp_path):
        (tmp_path / name).write_bytes(b'no recording')
        self.check(model, tmp_path / name, '')


class TestWholeOrNotAtAll:
    def add(self, path):
        with adding_columns([(read_units(str(path)), [COLUMN])]):
            pass

    # HDF5 cannot tell Python of all that goes wrong, and may crash.
    @pytest.mark.filterwarnings('error::pytest.PytestUnraisableExceptionWarning')
    @pytest.mark.parametrize('missing', ['the copy', 'the columns'])
    def test_a_full_disk(self, missing, session):
        disk = full_disk(0 if missing == 'the copy' else session.stat().st_size + 1000)
        with stays_as_it_is(session), disk, pytest.raises(OSError, match='File too large') as raised:
            self.add(session)
        assert raised.value.filename == str(session)

    @pytest.mark.parametrize('when', ['before', 'after'])
    def test_a_file_that_was_written_meanwhile(self, when, session, currents):
        table = read_units(str(session))

        def write():
            with h5py.File(session, 'r+') as file:
                file['units/spike_times'][0] += 0.001

        if when == 'before':
            write()
        with pytest.raises(UserError, match='was written meanwhile, and stays as it is; run the command again'):
            with adding_columns([(table, [COLUMN])]):
                if when == 'after':
                    write()
        assert 'sero_verdict' not in units_of(session) and left_behind(session) == []

    def test_of_two_files_none_changes_if_one_cannot(self, original, tmp_path):
        paths = [tmp_path / 'one' / 'a.nwb', tmp_path / 'two' / 'a.nwb']
        for path in paths:
            path.parent.mkdir()
            path.write_bytes(original.read_bytes())
        tables = [read_units(str(path)) for path in paths]
        with contextlib.ExitStack() as stack:
            stack.enter_context(stays_as_it_is(paths[0]))
            os.utime(paths[1])
            stack.enter_context(pytest.raises(UserError, match='was written meanwhile'))
            stack.enter_context(adding_columns([(table, [COLUMN]) for table in tables]))

    def test_a_process_that_is_killed(self, session):
        program = (
            'import sys, time\n'
            'from trainer.classify.nwb_units import Column, adding_columns, read_units\n'
            'table = read_units(sys.argv[1])\n'
            'with adding_columns([(table, [Column("sero_verdict", "verdict", ["SER", "NSER"])])]):\n'
            '    print("copied", flush=True); time.sleep(60)\n'
        )
        before = session.read_bytes()
        with subprocess.Popen([sys.executable, '-c', program, session], stdout=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout.readline() == b'copied\n'
            with pytest.raises(UserError, match='another command is writing there; wait for it'):
                self.add(session)
            process.send_signal(signal.SIGKILL)
        assert session.read_bytes() == before
        # What is left is hidden, and no recording.
        (found,), rejected = find_recordings([str(session.parent)], str(session.parent / 'out'))
        assert found.paths == (str(session),) and not rejected
        self.add(session)
        assert list(units_of(session)['sero_verdict']) == ['SER', 'NSER']


class TestCommand:
    def test_adds_the_verdicts_of_its_table(self, finished_run, session, tmp_path):
        out = tmp_path / 'out'
        arguments = ['--model', finished_run, '--output_dir', out, '--nwb_units=add', session]
        result = run_command('sero-classify', *arguments)
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[-1] == f'{session}: verdicts on 2 units added'
        with open(out / 'cells.csv', newline='') as file:
            rows = {row['cell']: row for row in csv.DictReader(file)}
        for _, unit in units_of(session).iterrows():
            row = rows[unit['sero_cell']]
            assert (unit['sero_verdict'], f'{unit["sero_p_ser"]:.4f}') == (row['verdict'], row['p_ser'])
        again = run_command('sero-classify', *arguments)
        assert (again.returncode, again.stdout) == (1, '')
        assert again.stderr.endswith('--nwb_units=replace (in Python replace=True) replaces them\n')

    def test_refusal_leaves_no_output(self, finished_run, session, tmp_path):
        with h5py.File(session, 'r+') as file:
            file['units/spike_times'][...] += 1.0
        out = tmp_path / 'out'
        result = run_command('sero-classify', '--model', finished_run, '--output_dir', out, '--nwb_units=add', session)
        assert result.returncode == 1 and result.stderr.count('\n') == 1 and 'unit 0: ' in result.stderr
        assert not list(out.iterdir())

    @pytest.mark.parametrize(
        ('arguments', 'status', 'line'),
        [
            (['--watch', '.'], 2, '--nwb_units changes the recordings, which --watch would classify again'),
            (['a.abf'], 1, 'a.abf: is no NWB file, so it has no units'),
        ],
    )
    def test_what_does_not_fit_together(self, arguments, status, line, finished_run, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / 'a.abf').write_bytes(b'no recording')
        given = ['--model', finished_run, '--output_dir', tmp_path, '--nwb_units=add', *arguments]
        result = run_command('sero-classify', *given)
        assert result.returncode == status and line in result.stderr
