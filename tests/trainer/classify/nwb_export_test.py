import dataclasses
import datetime
import subprocess
import sys
import time
import unicodedata

import numpy as np
import pynwb
import pytest

from beam_pipelines.recordings.cell_files import group_files
from beam_pipelines.recordings.reading_options import ReadingOptions
from tests.support.classified_cells import make_cell
from trainer.classify.measured_cell import read_measured_cells
from trainer.classify.nwb_export import export_nwb, file_stems
from trainer.evaluation.cell_warnings import CellWarning

INFO = {
    'source': 'simulated',
    'trained_on': 'synthetic_small',
    'kernel_sizes': [5, 8],
    'protocol': 'by_cell',
    'calibration': {'method': 'temperature'},
}


# What nwbinspector finds in each file, because nobody has told sero-classify; docs/classify.md explains it.
NOT_KNOWN = {'check_subject_exists', 'check_experimenter_exists', 'check_institution'}


def found_by_inspector(path) -> set[str]:
    nwbinspector = pytest.importorskip('nwbinspector', reason="nwbinspector is not here: pip install '.[dev]'")
    return {message.check_function_name for message in nwbinspector.inspect_nwbfile(nwbfile_path=path)}


def read(path) -> pynwb.NWBFile:
    return pynwb.NWBHDF5IO(str(path), 'r').read()


@pytest.fixture
def simulated(recordings_root):
    path = next((recordings_root / 'original' / 'SER').glob('*.abf'))
    return make_cell(path.stem, path, source='simulated')


def test_file_is_valid_by_pynwb_and_holds_what_was_found(simulated, tmp_path):
    (path,) = export_nwb(tmp_path, [simulated], INFO)
    assert path == tmp_path / f'{simulated.result.cell}.nwb'
    assert pynwb.validate(path=str(path)) == []
    units = read(path).units
    assert len(units) == 1
    np.testing.assert_array_equal(units['spike_times'][0], simulated.spikes.time_s)
    # One electrode: (spikes, electrodes, samples).
    waveforms = np.asarray(units['waveforms'][0])
    np.testing.assert_allclose(waveforms[:, 0], simulated.spikes.waveform * 1e-12, rtol=1e-6)
    np.testing.assert_allclose(units['waveform_mean'][0], simulated.result.mean_waveform * 1e-12, rtol=1e-6)
    assert units.waveform_unit == 'amperes'
    assert units.waveform_rate == 40_000
    np.testing.assert_array_equal(units['obs_intervals'][0], [[0, 5]])
    for column in ('cell', 'verdict', 'p_ser', 'p_ser_low', 'p_ser_high', 'p_ser_published', 'n_spikes', 'udi_ms'):
        assert units[column][0] == getattr(simulated.result, column), column


def test_unit_survives_in_the_file_itself(simulated, tmp_path):
    import h5py

    (path,) = export_nwb(tmp_path, [simulated], INFO)
    with h5py.File(path) as file:
        for name in ('waveforms', 'waveform_mean'):
            assert file['units'][name].attrs['unit'] == 'amperes'
            assert file['units'][name].attrs['sampling_rate'] == 40_000


def test_simulated_stamps_of_recording_and_model_follow(simulated, tmp_path):
    file = read(export_nwb(tmp_path, [simulated], INFO)[0])
    assert 'SIMULATED' in file.session_description
    assert 'SIMULATED' in file.notes
    assert 'synthetic_small' in file.notes


def test_stamps_of_real_shapes_follow_and_are_read_again(recordings_root, tmp_path):
    path = next((recordings_root / 'original' / 'SER').glob('*.abf'))
    cell = make_cell(path.stem, path, source='real_shapes')
    file = read(export_nwb(tmp_path, [cell], INFO | {'source': 'real_shapes'})[0])
    assert file.session_description.startswith(
        'REAL SPIKE SHAPES, SIMULATED NOISE: it says nothing about raphe neurons'
    )
    assert 'The model was trained on recordings of REAL SPIKE SHAPES under SIMULATED NOISE.' in file.notes
    assert set(file.keywords) >= {
        'real spike shapes, simulated noise',
        'model trained on recordings of real spike shapes under simulated noise',
    }
    assert 'simulated recording' not in file.keywords[:]


def test_recorded_cell_and_model_carry_no_stamp(tmp_path):
    file = read(export_nwb(tmp_path, [make_cell('A#1', 'A#1.abf')], INFO | {'source': 'recorded'})[0])
    texts = [file.session_description, file.notes, *file.keywords]
    assert not any('simulated' in text.lower() for text in texts)


def test_model_that_is_not_calibrated_says_so(simulated, tmp_path):
    assert 'NOT calibrated' not in read(export_nwb(tmp_path, [simulated], INFO)[0]).notes
    info = INFO | {'calibration': {'method': 'none'}}
    assert 'NOT calibrated' in read(export_nwb(tmp_path, [simulated], info)[0]).notes


def test_unknown_start_is_said(simulated, tmp_path):
    file = read(export_nwb(tmp_path, [simulated], INFO)[0])
    assert file.session_start_time == datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    assert 'NOT KNOWN' in file.session_description


@pytest.mark.skipif(not hasattr(time, 'tzset'), reason='the time zone cannot be changed here')
def test_no_time_is_in_the_time_zone_of_this_machine(simulated, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv('TZ', 'Pacific/Kiritimati')
        time.tzset()
        (path,) = export_nwb(tmp_path, [simulated], INFO)
    time.tzset()
    file = read(path)
    assert {moment.utcoffset() for moment in (file.session_start_time, *file.file_create_date)} == {
        datetime.timedelta()
    }


def test_local_start_is_written_as_utc_and_this_is_said(tmp_path):
    cell = make_cell('A#1', 'A#1.abf', started=datetime.datetime(2018, 4, 25, 15, 47, 51, 40_000))
    file = read(export_nwb(tmp_path, [cell], INFO)[0])
    assert file.session_start_time.isoformat() == '2018-04-25T15:47:51.040000+00:00'
    assert file.session_description.endswith(
        'session_start_time is the local time in the recording; its time zone is not known, UTC is written.'
    )


def test_start_keeps_its_time_zone(tmp_path):
    zone = datetime.timezone(datetime.timedelta(hours=9))
    cell = make_cell('A#1', 'A#1.nwb', started=datetime.datetime(2018, 4, 25, 15, 47, 51, tzinfo=zone))
    file = read(export_nwb(tmp_path, [cell], INFO)[0])
    assert file.session_start_time.isoformat() == '2018-04-25T15:47:51+09:00'
    assert file.session_description.endswith('session_start_time is when the first sweep started.')


def test_start_is_known_though_the_recording_is_gone(nwb_model, one_cell, tmp_path):
    (files,), _ = group_files([('original', 0, str(one_cell))])
    ((measured, _),) = read_measured_cells(files, ReadingOptions(cutting=nwb_model.info.cutting))
    one_cell.unlink()
    (path,) = export_nwb(tmp_path, [nwb_model.classify_cell(measured)], nwb_model.description)
    assert read(path).session_start_time.isoformat() == '2024-03-07T12:00:00+00:00'


def test_inspector_finds_nothing_that_could_be_known(tmp_path):
    cell = make_cell('18425108', '18425108.abf', started=datetime.datetime(2018, 4, 25, 15, 47, 51))
    assert found_by_inspector(export_nwb(tmp_path, [cell], INFO)[0]) == NOT_KNOWN


def test_inspector_finds_the_unknown_start_and_width_of_the_oddest_cell(tmp_path):
    odd = make_cell(
        'a:b*', 'gone.abf', spikes=1, udi_ms=np.nan, intervals_s=(), warnings=(CellWarning('few_spikes', 'few spikes'),)
    )
    found = found_by_inspector(export_nwb(tmp_path, [odd], INFO)[0])
    assert found == NOT_KNOWN | {'check_session_start_time_old_date', 'check_col_not_nan'}


def test_inspector_is_content_once_the_subject_is_added(simulated, tmp_path):
    (path,) = export_nwb(tmp_path, [simulated], INFO)
    # As docs/classify.md says.
    with pynwb.NWBHDF5IO(path, 'r+') as io:
        file = io.read()
        file.subject = pynwb.file.Subject(subject_id='mouse 12', species='Mus musculus', sex='F', age='P60D')
        io.write(file)
    nwbinspector = pytest.importorskip('nwbinspector', reason="nwbinspector is not here: pip install '.[dev]'")
    suggestion = nwbinspector.Importance.BEST_PRACTICE_SUGGESTION
    assert {message.importance for message in nwbinspector.inspect_nwbfile(nwbfile_path=path)} == {suggestion}


def test_cells_of_the_same_name_do_not_replace_each_other(tmp_path):
    names = [('a', 'A#1', 3), ('b', 'A#1', 4), ('c', 'a#1', 5)]
    cells = [make_cell(name, f'{folder}/{name}.abf', spikes=count) for folder, name, count in names]
    paths = export_nwb(tmp_path, cells, INFO)
    assert [path.name for path in paths] == ['A#1.nwb', 'A#1-2.nwb', 'a#1-3.nwb']
    units = [read(path).units for path in paths]
    assert [table['n_spikes'][0] for table in units] == [3, 4, 5]
    assert [table['cell'][0] for table in units] == ['A#1', 'A#1', 'a#1']


@pytest.mark.parametrize(
    ('cells', 'stems'),
    [
        (['A140313#073', 'cell 2 (ß), 5 µm'], ['A140313#073', 'cell 2 (ß), 5 µm']),
        (['A', 'A', 'A-2'], ['A', 'A-2', 'A-2-2']),
        (['A-2', 'a', 'A'], ['A-2', 'a', 'A-3']),
        # Some file systems keep the accent apart from its letter.
        (['\u00e9', 'E\u0301'], ['\u00e9', 'E\u0301-2']),
        (['<b>', ':b*', '../b', '..'], ['_b_', '_b_-2', '_.._b', '_..']),
        (['CON', 'lpt1.a', 'console'], ['_CON', '_lpt1.a', 'console']),
        (['', 'a\nb', '\udcff', '.hidden'], ['_', 'a_b', '_-2', '_.hidden']),
    ],
)
def test_names_of_files_differ_and_are_allowed_everywhere(cells, stems):
    assert file_stems(cells) == stems


def test_cell_whose_name_fills_a_file_name_can_be_written_twice(tmp_path):
    name = 'µ' * 127  # 254 bytes, as the name of a folder of spike CSVs
    paths = export_nwb(tmp_path, [make_cell(name, 'gone'), make_cell(name, 'gone')], INFO)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert all(unicodedata.normalize('NFC', path.stem).startswith('µ' * 120) for path in paths)
    assert [read(path).units['cell'][0] for path in paths] == [name, name]


def test_pauses_between_sweeps_are_in_the_times(tmp_path):
    cell = make_cell('A#1', 'A#1.abf', spikes=4, intervals_s=((0.0, 0.15), (10.0, 10.15)))
    time_s = np.array([0.025, 0.125, 10.025, 10.125])
    cell = dataclasses.replace(cell, spikes=dataclasses.replace(cell.spikes, time_s=time_s))
    (path,) = export_nwb(tmp_path, [cell], INFO)
    units = read(path).units
    np.testing.assert_array_equal(units['spike_times'][0], time_s)
    np.testing.assert_array_equal(units['obs_intervals'][0], [[0, 0.15], [10, 10.15]])
    assert found_by_inspector(path) == NOT_KNOWN | {'check_session_start_time_old_date'}


def test_odd_cells_make_valid_files(tmp_path):
    odd = make_cell(
        '<img src=x onerror=alert(1)>', 'gone.abf', spikes=1, udi_ms=np.nan, duration_s=0.0, intervals_s=(),
        verdict='undecided',
        warnings=(CellWarning('noise_high', 'the noise is 12 pA'), CellWarning('few_spikes', 'few spikes')),
    )  # fmt: skip
    (path,) = export_nwb(tmp_path, [odd], INFO)
    assert pynwb.validate(path=str(path)) == []
    units = read(path).units
    assert np.isnan(units['udi_ms'][0])
    assert 'obs_intervals' not in units.colnames
    assert units['warnings'][0] == 'the noise is 12 pA; few spikes'


def test_failed_export_leaves_nothing(tmp_path):
    broken = make_cell('A#1', 'A#1.abf', p_ser_low='no number')
    with pytest.raises(ValueError):
        export_nwb(tmp_path, [broken], INFO)
    assert list(tmp_path.iterdir()) == []


def test_missing_pynwb_is_one_line():
    program = (
        'import sys; sys.modules["pynwb"] = None\n'  # as if it were not installed
        'from trainer.classify.nwb_export import UserError, export_nwb\n'
        'try: export_nwb(".", [], {})\n'
        'except UserError as error: print(error)'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == 'NWB files need pynwb, which is not installed: pip install pynwb\n'
