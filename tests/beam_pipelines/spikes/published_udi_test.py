import numpy as np
import pytest

from beam_pipelines.spikes import published_udi


@pytest.mark.parametrize(
    ('counts', 'n_neurons'),
    [
        (published_udi.FIGURE_2_COUNTS['SER'], 150),
        (published_udi.FIGURE_2_COUNTS['NSER'], 150),
        (published_udi.FIGURE_3_COUNTS['SER'], 120),
        (published_udi.FIGURE_3_COUNTS['NSER'], 55),
    ],
)
def test_histograms_hold_the_published_number_of_neurons(counts, n_neurons):
    sample_ms = published_udi.sample_ms(counts)
    assert sample_ms.shape == (n_neurons,)
    edges_ms = published_udi.BIN_MS * np.arange(len(counts) + 1)
    np.testing.assert_array_equal(np.histogram(sample_ms, edges_ms)[0], counts)


def test_published_classes_overlap_as_in_figure_2():
    ser_ms = published_udi.sample_ms(published_udi.FIGURE_2_COUNTS['SER'])
    nser_ms = published_udi.sample_ms(published_udi.FIGURE_2_COUNTS['NSER'])
    assert np.median(ser_ms) == pytest.approx(1.26, abs=0.02)
    assert np.median(nser_ms) == pytest.approx(0.53, abs=0.02)
    assert np.sum(ser_ms < nser_ms.max()) == 29


def test_quantiles_skip_empty_bins():
    quantile_ms = published_udi.quantile_ms((0, 1, 0, 1), np.array([0.0, 0.25, 0.5, 0.75, 1.0]))
    np.testing.assert_allclose(quantile_ms, [0.05, 0.075, 0.15, 0.175, 0.2])
