from beam_pipelines.recordings.sources import REAL_SHAPES, SIMULATED
from tests.support.classified_cells import make_cell
from trainer.evaluation.calibration import Calibration
from trainer.evaluation.cell_warnings import CellWarning
from trainer.reports.terminal import source_line, verdict_lines


def test_a_line_says_what_results_are_not_about():
    assert source_line(SIMULATED) == 'All of this is of SIMULATED recordings and says nothing about real neurons.'
    assert source_line(REAL_SHAPES) == (
        'All of this is of recordings of REAL SPIKE SHAPES under SIMULATED NOISE and says nothing about raphe neurons,'
        ' because SER and NSER stand for other types of neuron here.'
    )


def test_no_name_or_warning_reaches_the_terminal_raw():
    warning = CellWarning('several_currents', 'channel \x1b[31mIm')
    cell = make_cell('a\x1b[2J\nA1#1  SER', 'a.abf', warnings=(warning,)).result
    lines = verdict_lines([cell], Calibration(), 'cells.csv')
    assert len(lines) == 2 and all(line.isprintable() for line in lines)
