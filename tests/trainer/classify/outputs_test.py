import types

import h5py
import numpy as np
import pytest

from beam_pipelines.errors import UserError
from tests.support.classified_cells import make_cell
from tests.support.folders import files_of
from trainer.classify.batch import Findings
from trainer.classify.outputs import check_can_export, write_outputs
from trainer.evaluation.training_range import TrainingRange

INFO = {
    'source': 'recorded',
    'protocol': 'by_cell',
    'trained_on': 'synthetic_small',
    'members': ['k20'],
    'created': '2026-11-22T08:14:09+00:00',
    'calibration': {'method': 'temperature'},
}
SORTING = {'params.py', 'spike_clusters.npy', 'cluster_group.tsv'}
ALWAYS = {'cells.csv', 'spikes.csv', 'rejected.jsonl', 'report.html'}


def write(folder, exports, *names):
    """Writes the verdicts on cells of these names, by a model of which only the description is there."""
    trained = [make_cell(f'A{number}', 'a', seed=number) for number in range(4)]
    measures = {name: np.full(4, 1.0) for name in ('udi_ms', 'amplitude_pa', 'noise_pa', 'firing_rate_hz', 'n_spikes')}
    means = np.array([cell.result.mean_waveform for cell in trained])
    training_range = TrainingRange(label=np.arange(4) % 2, mean_waveform=means, **measures)
    classifier = types.SimpleNamespace(description=INFO, training_range=training_range)
    folder.mkdir(exist_ok=True)
    findings = Findings({name: make_cell(name, f'{name}.abf') for name in names})
    return write_outputs(folder, findings, classifier, exports)


def make_sorting(folder):
    folder.mkdir(parents=True)
    (folder / 'params.py').write_text("dat_path = 'raw.dat'")
    (folder / 'cluster_group.tsv').write_text('cluster_id\tgroup\n5\tgood\n')
    np.save(folder / 'spike_clusters.npy', np.array([5, 17], np.int32))
    return files_of(folder)


def test_exports_of_an_earlier_run_do_not_stay(tmp_path):
    write(tmp_path, ['nwb', 'phy'], 'A#1', 'B#2')
    assert set(files_of(tmp_path)) == ALWAYS | {'nwb/A#1.nwb', 'nwb/B#2.nwb', 'phy/cluster_sero.tsv'}
    write(tmp_path, ['nwb'], 'B#2')
    assert set(files_of(tmp_path)) == ALWAYS | {'nwb/B#2.nwb'}
    assert not (tmp_path / 'phy').exists()


@pytest.mark.parametrize('exports', [[], ['phy']])
@pytest.mark.parametrize('where', ['phy', '.'])
def test_a_sorting_keeps_all_that_is_in_it(where, exports, tmp_path):
    folder = tmp_path / 'out' / where
    sorting = make_sorting(folder)
    write(tmp_path / 'out', exports, 'cluster_5')
    after = files_of(folder)
    assert {name: after[name] for name in SORTING} == sorting
    assert ('cluster_sero.tsv' in after) == bool(exports)


def test_verdicts_in_a_sorting_stay_when_they_are_not_exported_again(tmp_path):
    make_sorting(tmp_path / 'out' / 'phy')
    write(tmp_path / 'out', ['phy'], 'cluster_5')
    exported = files_of(tmp_path / 'out' / 'phy')
    write(tmp_path / 'out', [], 'A#1')
    assert files_of(tmp_path / 'out' / 'phy') == exported


def test_row_numbers_beside_a_sorting_do_not_stay(tmp_path):
    write(tmp_path / 'out', ['phy'], 'cluster_5')
    (tmp_path / 'out' / 'cluster_info.tsv').write_text('cluster_id\n5\n')
    write(tmp_path / 'out', ['phy'], 'cluster_5')
    assert set(files_of(tmp_path / 'out')) == ALWAYS | {'cluster_info.tsv', 'cluster_sero.tsv'}


def test_other_files_in_the_folder_of_the_row_numbers_stay(tmp_path):
    write(tmp_path / 'out', ['phy'], 'A#1')
    (tmp_path / 'out' / 'phy' / 'notes.txt').write_text('keep')
    write(tmp_path / 'out', [], 'A#1')
    assert [path.name for path in (tmp_path / 'out' / 'phy').iterdir()] == ['notes.txt']


def test_nwb_files_of_others_stay(tmp_path):
    write(tmp_path, ['nwb'], 'A#1', 'B#2')
    (tmp_path / 'nwb' / 'raw.nwb').write_bytes(b'not even HDF5')
    with h5py.File(tmp_path / 'nwb' / 'other.nwb', 'w') as file:
        file['general/source_script'] = 'by another program'
    kept = {f'nwb/{name}': (tmp_path / 'nwb' / name).read_bytes() for name in ('raw.nwb', 'other.nwb')}
    write(tmp_path, ['nwb'], 'B#2')
    after = files_of(tmp_path)
    assert set(after) == ALWAYS | {'nwb/B#2.nwb', *kept}
    write(tmp_path, [])
    after = files_of(tmp_path)
    assert set(after) == ALWAYS | set(kept)
    assert {name: after[name] for name in kept} == kept


def test_nwb_file_of_another_is_not_replaced(tmp_path):
    (tmp_path / 'nwb').mkdir()
    (tmp_path / 'nwb' / 'A#1.nwb').write_bytes(b'raw')
    for refused in (write, lambda folder, exports, *cells: check_can_export(folder, cells, exports)):
        with pytest.raises(UserError, match='A#1.nwb: was not written by sero-classify; move it'):
            refused(tmp_path, ['nwb'], 'A#1')
    assert files_of(tmp_path) == {'nwb/A#1.nwb': b'raw'}
    check_can_export(tmp_path, ['A#1'], [])
    check_can_export(tmp_path, ['B#2'], ['nwb'])


def test_cells_that_the_sorting_does_not_have_leave_all_as_it_was(tmp_path):
    write(tmp_path / 'out', ['nwb'], 'A#1')
    make_sorting(tmp_path / 'out' / 'phy')
    before = files_of(tmp_path / 'out')
    with pytest.raises(UserError, match='phy has no cluster 6 here'):
        write(tmp_path / 'out', ['nwb', 'phy'], 'cluster_5', 'cluster_6')
    assert files_of(tmp_path / 'out') == before
