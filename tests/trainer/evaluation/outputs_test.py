"""The outputs of an evaluation appear together."""

import pytest

from trainer.evaluation.outputs import appearing_together


@pytest.mark.parametrize('end', [KeyboardInterrupt, OSError, ValueError])
def test_an_evaluation_that_ends_early_leaves_the_earlier_outputs(tmp_path, end):
    (tmp_path / 'metrics.json').write_text('earlier')
    with pytest.raises(end), appearing_together(tmp_path) as partial:
        (partial / 'metrics.json').write_text('new')
        raise end
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {'metrics.json': 'earlier'}


def test_new_outputs_replace_earlier_ones_and_nothing_is_left_behind(tmp_path):
    (tmp_path / 'metrics.json').write_text('earlier')
    (tmp_path / 'notes.txt').write_text("the user's")
    (tmp_path / '.sero-evaluate.partial').mkdir()
    (tmp_path / '.sero-evaluate.partial' / 'cells.csv').write_text('of a command that was killed')
    with appearing_together(tmp_path) as partial:
        (partial / 'metrics.json').write_text('new')
        (partial / 'report.html').write_text('new')
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {'metrics.json': 'new', 'report.html': 'new', 'notes.txt': "the user's"}
