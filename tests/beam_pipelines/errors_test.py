import pathlib

import pytest

from beam_pipelines.errors import UsageError, UserError


@pytest.mark.parametrize(
    ('named', 'text'),
    [
        ({}, 'is wrong'),
        ({'file': pathlib.Path('data/x')}, 'data/x: is wrong'),
        ({'field': '--seed'}, '--seed: is wrong'),
        ({'field': '--seed', 'value': 'a'}, "--seed 'a': is wrong"),
        ({'file': 'x.json', 'field': 'seed', 'value': 0}, 'x.json: seed 0: is wrong'),
    ],
)
def test_the_message_names_file_field_and_value(named, text):
    assert str(UserError('is wrong', **named)) == text


def test_the_message_is_one_line():
    assert str(UserError('first\n  second\n', file='a\nb')) == 'a b: first second'


def test_the_status_tells_wrong_usage_from_other_mistakes():
    assert (UserError('').exit_status, UsageError('').exit_status) == (1, 2)
    assert issubclass(UsageError, UserError)


def test_what_a_library_says_at_length_is_shortened_but_not_the_file_nor_the_end():
    line = str(UserError('x' * 50_000 + ' build it anew', file='d/x.npz'))
    assert len(line) < 2_000
    assert line.startswith('d/x.npz: xxx') and ' ... ' in line and line.endswith(' build it anew')
