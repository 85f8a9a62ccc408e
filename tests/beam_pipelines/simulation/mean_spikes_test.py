import collections

import numpy as np
import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.simulation.mean_spikes import read_mean_spikes
from tests.support.mean_spikes import write_mean_spikes
from tests.support.places import SHARED
from tests.support.requirements import needs_shared

LABELS = ['E  4.0', 'FS 5.0', 'SOMnan']


@pytest.fixture
def folder(tmp_path):
    return write_mean_spikes(tmp_path / 'spikes', LABELS)


def test_spikes_are_turned_downward_and_have_a_trough_of_one(folder):
    spikes = read_mean_spikes(folder)
    assert [(spike.row, spike.cell_type) for spike in spikes] == [(1, 'E'), (2, 'FS'), (3, 'SOM')]
    for spike in spikes:
        assert spike.waveform[spike.trough] == -1
        assert abs(spike.trough - 100) <= 2
        assert spike.interval_share.sum() == pytest.approx(1)


def test_a_spike_that_points_downward_already_stays_so(folder):
    before = read_mean_spikes(folder)
    path = folder / 'waveforms.csv'
    rows = np.loadtxt(path, delimiter=',', skiprows=1)
    np.savetxt(path, -rows, delimiter=',', header='0', comments='')
    for spike, upward in zip(read_mean_spikes(folder), before, strict=True):
        np.testing.assert_allclose(spike.waveform, upward.waveform, atol=1e-5)


@pytest.mark.parametrize(
    ('name', 'text', 'problem'),
    [
        ('waveforms.csv', None, 'waveforms.csv: cannot be read: No such file'),
        ('waveforms.csv', 'a\n1,two\n', 'waveforms.csv: cannot be read: '),
        ('waveforms.csv', '', 'waveforms.csv: expected rows of finite numbers'),
        ('waveforms.csv', 'a\n' + '1,2\n' * 3, 'waveforms.csv: 2 samples a spike; expected at least 111'),
        ('waveforms.csv', 'a\n' + ','.join(['0'] * 120) + '\n' + ','.join(['1'] * 120) * 1, 'have 2, 3 and 3'),
        ('waveforms.csv', 'a\n' + (','.join(['0'] * 120) + '\n') * 3, 'row 1: no peak near sample 100'),
        ('labels.csv', None, 'labels.csv: cannot be read: No such file'),
        ('labels.csv', 'label\nE  4.0\nVIP 4\nE\n', "labels.csv: row 2: unknown type 'VIP 4'; expected E, FS, SOM"),
        ('labels.csv', 'label\nE  4.0\n', 'have 3, 3 and 1 rows'),
        ('isi_dist.csv', 'a\n' + '0.5,0.7\n' * 3, 'isi_dist.csv: row 1: the shares sum to 1.2'),
        ('isi_dist.csv', 'a\n' + '0.5,nan\n' * 3, 'isi_dist.csv: expected rows of finite numbers'),
    ],
)
def test_what_cannot_be_used_is_named(folder, name, text, problem):
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(UserError, match=problem):
        read_mean_spikes(folder)


@needs_shared
def test_the_juxtacellular_neurons_are_read():
    spikes = read_mean_spikes(SHARED / 'data' / 'juxtacellular')
    assert collections.Counter(spike.cell_type for spike in spikes) == {'E': 101, 'FS': 54, 'SOM': 69}
    assert {spike.trough for spike in spikes} == {100}
