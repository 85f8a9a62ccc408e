import pytest

from beam_pipelines.cli.words import counted


@pytest.mark.parametrize(
    ('count', 'text'), [(0, '0 cells'), (1, '1 cell'), (2, '2 cells'), (12_700_600, '12,700,600 cells')]
)
def test_the_noun_agrees_with_the_count(count, text):
    assert counted(count, 'cell') == text
