import types

import pytest

from beam_pipelines.recordings.sources import find_source
from tests.support.classified_cells import make_cell
from trainer.classify.batch import Findings, findings_lines
from trainer.evaluation.calibration import Calibration


@pytest.mark.parametrize(
    ('source', 'said'),
    [
        (
            'simulated',
            [
                '1 of the recordings is SIMULATED; its verdict says nothing about real neurons.',
                'The model was trained on SIMULATED recordings; its verdicts say nothing about real neurons.',
            ],
        ),
        (
            'real_shapes',
            [
                '1 of the recordings is of REAL SPIKE SHAPES under SIMULATED NOISE; its verdict says nothing about'
                ' raphe neurons, because SER and NSER stand for other types of neuron here.',
                'The model was trained on recordings of REAL SPIKE SHAPES under SIMULATED NOISE; its verdicts say'
                ' nothing about raphe neurons, because SER and NSER stand for other types of neuron here.',
            ],
        ),
        ('recorded', []),
    ],
)
def test_the_summary_says_what_nobody_recorded(source, said):
    cells = {name: make_cell(name, f'{name}.abf', source=of) for name, of in (('A#1', source), ('A#2', 'recorded'))}
    classifier = types.SimpleNamespace(
        info=types.SimpleNamespace(title='model'), calibration=Calibration(), source=find_source([source])
    )
    assert findings_lines(Findings(rejected=[], cells=cells), classifier)[4:] == said
