import numpy as np
import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.spikes.waveform_features import measure_udi_ms
from tests.support.spikes import make_spikes
from trainer.data.stored_dataset import open_split
from trainer.evaluation import training_range
from trainer.evaluation.evaluator import measure_training_range

FIELDS = ('label', 'mean_waveform', 'udi_ms', 'amplitude_pa', 'noise_pa', 'firing_rate_hz', 'n_spikes')


@pytest.fixture
def two_cells(make_split):
    """Forty spikes, every third of them of cell 3 and the others of cell 1, in two shards; one sample apart."""
    waveform, _ = make_spikes(40)
    cell = np.where(np.arange(40) % 3, 1, 3)
    return waveform, cell, measure_training_range(make_split((25, 15), waveform, (cell == 1).astype(int), cell))


def test_each_cell_is_measured_by_its_own_spikes(two_cells):
    waveform, cell, measured = two_cells
    assert measured.label.tolist() == [1, 0]
    assert measured.n_spikes.tolist() == [26, 14]
    for row, number in enumerate((1, 3)):
        mean = waveform[cell == number].mean(axis=0)
        np.testing.assert_allclose(measured.mean_waveform[row], mean, rtol=1e-5, atol=1e-5)
        assert measured.udi_ms[row] == pytest.approx(measure_udi_ms(mean, 40_000), nan_ok=True)
        # Spikes of 80 pA in noise of 3 pA, see make_spikes; the wide ones begin before the window.
        assert measured.amplitude_pa[row] == pytest.approx(80, abs=4)
        assert measured.noise_pa[row] == pytest.approx(3.3, abs=0.5)


def test_cells_are_those_that_were_trained_on(data_dir):
    split = open_split(data_dir, 'original', 'train')
    measured = measure_training_range(split)
    assert measured.n_spikes.sum() == split.examples
    assert len(measured.label) == len(split.train_cells)
    # Simulated cells fire at 0.5 to 40 a second.
    assert np.all((measured.firing_rate_hz > 0.1) & (measured.firing_rate_hz < 100))


def test_round_trip(two_cells, tmp_path):
    measured = two_cells[2]
    training_range.write(str(tmp_path), measured)
    loaded = training_range.load(str(tmp_path))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(loaded, field), getattr(measured, field))
        assert getattr(loaded, field).dtype == getattr(measured, field).dtype
    assert [path.name for path in tmp_path.iterdir() if path.suffix in ('.npz', '.tmp')] == ['training_range.npz']


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r'training_range.npz: no such file; sero-train writes it'):
        training_range.load(str(tmp_path))


@pytest.mark.parametrize(
    'damage', [lambda content: b'', lambda content: content[:-100], lambda content: b'x' + content]
)
def test_damaged_file_is_named(damage, two_cells, tmp_path):
    training_range.write(str(tmp_path), two_cells[2])
    path = tmp_path / 'training_range.npz'
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r'training_range\.npz: '):
        training_range.load(str(tmp_path))


def test_arrays_that_do_not_belong_together_are_named(two_cells, tmp_path):
    fields = {field: getattr(two_cells[2], field) for field in FIELDS}
    np.savez(tmp_path / 'training_range.npz', **fields | {'udi_ms': np.zeros(3)})
    with pytest.raises(UserError, match=r'udi_ms has the shape \(3,\), expected \(2,\)'):
        training_range.load(str(tmp_path))
