import numpy as np
import pytest

from beam_pipelines.recordings.published_arrays import ArrayFiles, SpikeArrays, cell_of, group_arrays
from beam_pipelines.recordings.rejection import RecordingRejected
from tests.support.published_arrays import write_arrays


def _files(tmp_path) -> ArrayFiles:
    (files,), _ = group_arrays(map(str, tmp_path.glob('*.npy')))
    return files


def test_a_set_differs_in_the_words_only():
    names = [
        'r/x_observations_1.npy',
        'r/x_labels_1.npy',
        'r/x_cells_1.npy',
        'r/Labels.npy',
        'r/cells.npy',
        'r/readme.txt',
    ]
    sets, rejected = group_arrays(names)
    assert sets == [ArrayFiles(*names[:3])]
    assert {file.path: file.reason for file in rejected} == {
        'r/Labels.npy': 'bad_name', 'r/cells.npy': 'bad_name', 'r/readme.txt': 'unknown_format'
    }  # fmt: skip


def test_the_last_word_tells_the_part_and_a_second_file_of_a_part_is_rejected():
    names = [f'r/synthetic_cells_{kind}.npy' for kind in ('observations', 'labels', 'cells')]
    sets, rejected = group_arrays([*names, 'r/synthetic_cells_Labels.npy'])
    assert len(sets) == 1 and [file.reason for file in rejected] == ['bad_name']


@pytest.mark.parametrize(
    'name',
    ['A140313#073', 'A140313#073.abf', 'A140313#073_trigger_5.csv', r'C:\A140313#073.abf', 'r/A140313#073.ABF'],
)
def test_a_name_in_the_arrays_is_that_of_its_cell(name):
    assert cell_of(name) == 'A140313#073'


def test_rows_come_in_the_order_asked_for(tmp_path):
    current_pa = write_arrays(tmp_path, 'a', {'A#1.abf': 3, 'A#2.abf': 4}, 1)
    arrays = SpikeArrays(_files(tmp_path))
    assert arrays.count_spikes() == {'A#1': (1, 3), 'A#2': (1, 4)}
    found, labels, names = arrays.read(np.array([6, 0, 3]))
    np.testing.assert_array_equal(found, current_pa[[6, 0, 3]])
    assert labels.tolist() == [1, 1, 1]
    assert names == ['A#2.abf', 'A#1.abf', 'A#2.abf']


@pytest.mark.parametrize(
    ('kind', 'array', 'reason'),
    [
        ('observations', np.zeros((7, 160)), 'bad_array'),
        ('observations', np.zeros((6, 160, 2, 1)), 'bad_array'),
        ('labels', np.zeros((6, 1)), 'bad_array'),
        ('labels', np.full((7, 1), 2), 'bad_array'),
        ('labels', np.full((7, 1), 0.5), 'bad_array'),
        ('labels', np.array([0] + [1] * 6), 'contradictory_label'),
        ('cells', np.array(['A'] * 7, object), 'bad_array'),
        ('cells', np.zeros(7), 'bad_array'),
        ('cells', np.array(['a\nb'] * 7), 'bad_name'),
    ],
)
def test_arrays_that_do_not_fit_are_rejected(tmp_path, kind, array, reason):
    write_arrays(tmp_path, 'a', {'A#1': 3, 'A#2': 4}, 1)
    np.save(tmp_path / f'a_{kind}.npy', array)
    with pytest.raises(RecordingRejected) as raised:
        SpikeArrays(_files(tmp_path)).count_spikes()
    assert raised.value.reason == reason


def test_a_value_that_is_not_finite_is_named_by_its_row(tmp_path):
    write_arrays(tmp_path, 'a', {'A#1': 7}, 1)
    observations = np.load(tmp_path / 'a_observations.npy', mmap_mode='r+')
    observations[5, 3, 1, 0] = np.inf
    observations.flush()
    with pytest.raises(RecordingRejected, match='row 5'):
        SpikeArrays(_files(tmp_path)).read(np.arange(7))


def test_the_fingerprint_changes_with_each_array(tmp_path):
    write_arrays(tmp_path, 'a', {'A#1': 7}, 1)
    fingerprints = {SpikeArrays(_files(tmp_path)).fingerprint()}
    for kind, change in (('observations', 1.0), ('labels', -1), ('cells', 'B')):
        array = np.load(tmp_path / f'a_{kind}.npy')
        array.reshape(-1)[0] = change
        np.save(tmp_path / f'a_{kind}.npy', array)
        fingerprints.add(SpikeArrays(_files(tmp_path)).fingerprint())
    assert len(fingerprints) == 4
