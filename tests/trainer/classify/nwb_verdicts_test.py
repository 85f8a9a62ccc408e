"""Verdicts in the units of an existing NWB file: whole or not at all, and on the right unit."""

import csv

import h5py
import numpy as np
import pynwb
import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.recordings.abf_writer import write_abf
from tests.support.commands import error_line, run_command
from tests.support.foreign_recordings import add_units, write_nwb
from tests.support.nwb_sessions import everything_in, stays_as_it_is, units_of

COLUMNS = [
    'sero_cell', 'sero_verdict', 'sero_p_ser', 'sero_p_ser_low', 'sero_p_ser_high', 'sero_p_ser_published',
    'sero_n_spikes', 'sero_udi_ms', 'sero_warnings', 'sero_source',
]  # fmt: skip


@pytest.fixture(scope='module')
def model(nwb_model):
    return nwb_model


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
        stayed = {name: value for name, value in everything_in(session).items() if '/sero_' not in name}
        assert stayed == everything_in(original)
        with h5py.File(session) as file:
            assert 'trained on SIMULATED recordings' in file['units/sero_verdict'].attrs['description']

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

    def test_name_the_cells_by_the_link_that_was_given(self, model, session, tmp_path):
        link = tmp_path / 'links' / 'today.nwb'
        link.parent.mkdir()
        link.symlink_to(session)
        model.classify_nwb_units(link)
        assert list(units_of(session)['sero_cell']) == ['today#b', 'today#a']

    def test_are_replaced_on_demand_alone(self, model, session):
        model.classify_nwb_units(session)
        with h5py.File(session, 'r+') as file:
            file['units/sero_p_ser'][...] = 0.5
        with stays_as_it_is(session), pytest.raises(UserError) as raised:
            model.classify_nwb_units(session)
        assert str(raised.value) == (
            f'{session}: sero_cell: its units have verdicts already; --nwb_units=replace (in Python'
            ' replace=True) replaces them'
        )
        results = model.classify_nwb_units(session, replace=True)
        units = units_of(session)
        assert list(units.columns) == ['quality', 'spike_times', *COLUMNS]
        assert list(units['sero_p_ser']) == [result.p_ser for result in results]
        assert pynwb.validate(path=str(session)) == []

    def test_are_on_spikes_of_sweeps_by_the_clock_of_the_file(self, model, currents, tmp_path):
        path = tmp_path / 'sweeps.nwb'
        starts_s = {'a': 5.0, 'b': 65.0}
        write_nwb(path, {name: current_pa for name, (current_pa, _) in currents.items()}, starts_s=starts_s)
        add_units(path, [np.concatenate([starts_s[name] + currents[name][1] for name in 'ab'])])
        (result,) = model.classify_nwb_units(path)
        assert list(units_of(path)['sero_n_spikes']) == [result.n_spikes]


class TestRefusals:
    def check(self, model, path, line, **options):
        with stays_as_it_is(path), pytest.raises(UserError) as raised:
            model.classify_nwb_units(path, **options)
        assert str(raised.value).startswith(f'{path}: {line}') and '\n' not in str(raised.value)

    def test_a_unit_of_other_spikes(self, model, one_cell, currents):
        add_units(one_cell, [currents['b'][1]])
        self.check(model, one_cell, 'unit 0: ')
        with pytest.raises(UserError, match=r'\d+ of its \d+ spike times are among the \d+ spikes found in one, and'):
            model.classify_nwb_units(one_cell)

    def test_a_few_spikes_of_a_cell(self, model, one_cell, currents):
        add_units(one_cell, [currents['a'][1][:3]])
        self.check(model, one_cell, 'unit 0: 3 of its 3 spike times are among the')

    def test_all_spikes_of_a_cell_among_many_others(self, model, one_cell, currents):
        times_s = currents['a'][1]
        add_units(one_cell, [np.concatenate([times_s, times_s + 10, times_s + 20])])
        self.check(model, one_cell, f'unit 0: {len(times_s)} of its {3 * len(times_s)} spike times are among the')

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
        write_nwb(path, {'a': currents['a'][0]}, starts_s={'a': 100.0}, rate_hz=20_000)
        add_units(path, [100 + currents['a'][1] * 2])
        self.check(model, path, 'unit 0: no current of the file could be used: 20000 Hz, expected 40000 Hz (resample=')
        assert model.classify_nwb_units(path, resample=True)

    def test_what_is_no_nwb_file(self, model, tmp_path):
        (tmp_path / 'a.abf').write_bytes(b'no recording')
        self.check(model, tmp_path / 'a.abf', 'is no NWB file, so it has no units')


class TestCommand:
    def test_adds_the_verdicts_of_its_table(self, finished_run, currents, session, tmp_path):
        folder, out = tmp_path, tmp_path / 'out'
        # Each file's units are among its own cells alone; a recording without units is classified all the same.
        (folder / 'copy.nwb').write_bytes(session.read_bytes())
        write_abf(folder / 'other.abf', currents['a'][0], 40_000)
        arguments = ['--model', finished_run, '--output_dir', out]
        result = run_command('sero-classify', *arguments, '--nwb_units=add', folder)
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[-2:] == [
            f'{folder / name}: verdicts on 2 units added' for name in ('copy.nwb', 'session.nwb')
        ]
        with open(out / 'cells.csv', newline='') as file:
            rows = {row['cell']: row for row in csv.DictReader(file)}
        assert list(rows) == ['copy#a', 'copy#b', 'other', 'session#a', 'session#b']
        for name in ('copy', 'session'):
            for _, unit in units_of(folder / f'{name}.nwb').iterrows():
                row = rows[unit['sero_cell']]
                assert unit['sero_cell'].startswith(name)
                assert (unit['sero_verdict'], f'{unit["sero_p_ser"]:.4f}') == (row['verdict'], row['p_ser'])
        again = run_command('sero-classify', *arguments, '--nwb_units=add', session)
        assert (again.returncode, again.stdout) == (1, '')
        assert error_line(again).endswith('--nwb_units=replace (in Python replace=True) replaces them')
        replaced = run_command('sero-classify', *arguments, '--nwb_units=replace', session)
        assert replaced.stdout.splitlines()[-1] == f'{session}: verdicts on 2 units replaced'

    def test_names_why_a_current_of_the_same_file_could_not_be_used(self, finished_run, currents, one_cell, tmp_path):
        other = tmp_path / 'first.nwb'
        write_nwb(other, {name: current_pa for name, (current_pa, _) in currents.items()})
        add_units(other, [currents['b'][1]])
        add_units(one_cell, [currents['a'][1]])
        for path, rate_hz in ((other, 20_000.0), (one_cell, 10_000.0)):
            with h5py.File(path, 'r+') as file:
                file['acquisition/a/starting_time'].attrs['rate'] = rate_hz
        given = ['--model', finished_run, '--output_dir', tmp_path / 'out', '--nwb_units=add', other, one_cell]
        (tmp_path / 'out').mkdir()
        with stays_as_it_is(other), stays_as_it_is(one_cell):
            line = error_line(run_command('sero-classify', *given))
        assert f'{one_cell}: unit 0: no current of the file could be used: 10000 Hz, expected' in line

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
