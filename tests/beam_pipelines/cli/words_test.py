import pytest

from beam_pipelines.cli.words import counted, printable, shortened


@pytest.mark.parametrize(
    ('count', 'text'), [(0, '0 cells'), (1, '1 cell'), (2, '2 cells'), (12_700_600, '12,700,600 cells')]
)
def test_the_noun_agrees_with_the_count(count, text):
    assert counted(count, 'cell') == text


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('A140313#073', 'A140313#073'),
        ('Zelle für µA', 'Zelle für µA'),
        ('\x1b[2J\x1b[H', r'\x1b[2J\x1b[H'),
        ('a\nb\rc\td', r'a\nb\rc\td'),
        ('\x9b31m', r'\x9b31m'),  # the same as an escape and a bracket
        ('fba.\u202egpj', r'fba.\u202egpj'),
        ('a\u2028b', r'a\u2028b'),
        ('\udcff', r'\udcff'),
    ],
)
def test_what_a_terminal_would_act_on_is_shown_as_an_escape(text, shown):
    assert printable(text) == shown


def test_a_long_text_keeps_its_ends():
    assert shortened('short', 10) == 'short'
    text = shortened('begin' + 'x' * 1000 + 'end', 100)
    assert len(text) <= 100 and text.startswith('begin') and text.endswith('end') and ' ... ' in text
