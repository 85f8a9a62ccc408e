from beam_pipelines.recordings.sources import REAL_SHAPES, SIMULATED
from trainer.reports.terminal import source_line


def test_a_line_says_what_results_are_not_about():
    assert source_line(SIMULATED) == 'All of this is of SIMULATED recordings and says nothing about real neurons.'
    assert source_line(REAL_SHAPES) == (
        'All of this is of recordings of REAL SPIKE SHAPES under SIMULATED NOISE and says nothing about raphe neurons,'
        ' because SER and NSER stand for other types of neuron here.'
    )
