"""JSON from outside: what is no JSON, or holds what nothing behind it could take, is one line that names the file."""

import json
import os

import msgspec
import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.storage import files
from beam_pipelines.storage.typed_json import decode_json, parse_json, read_typed


class _Named(msgspec.Struct):
    name: str = ''
    number: int = 0


def _error_of(content: bytes) -> str:
    with pytest.raises(UserError) as raised:
        decode_json(content, 'd/x.json')
    message = str(raised.value)
    assert message.startswith('d/x.json: ') and len(message) < 200
    return message


@pytest.mark.parametrize('half', [rb'"\ud800"', rb'{"\uDFFF": 1}', rb'["a\udc00\ud800"]'])
def test_half_a_character_is_refused_wherever_it_is(half):
    assert 'surrogates not allowed' in _error_of(half)


def test_both_halves_of_a_character_are_one():
    assert decode_json(json.dumps('a 𝄞 b'), 'x.json') == 'a 𝄞 b'


@pytest.mark.parametrize(
    'digits',
    [str(2**63), str(-(2**63) - 1), '1' * 400, '-' + '1' * 5000],
    ids=lambda digits: f'{len(digits)} characters',
)
def test_a_number_that_no_array_can_hold_is_refused(digits):
    assert 'is a number of more than 64 bits' in _error_of(f'[{digits}]'.encode())


@pytest.mark.parametrize('number', [2**63 - 1, -(2**63), 0])
def test_the_largest_numbers_that_an_array_can_hold_are_read(number):
    assert decode_json(str(number), 'x.json') == number


@pytest.mark.parametrize('encoding', ['utf-16', 'utf-8-sig', 'utf-32'])
def test_other_encodings_than_ours_are_refused_by_all_who_read(encoding):
    _error_of('{}'.encode(encoding))


@pytest.mark.parametrize('opening', [b'[', b'{"a":', b'[{"a":'])
def test_nesting_without_end_is_refused(opening):
    assert 'is nested too deeply' in _error_of(opening * 100_000)


def test_a_struct_is_not_given_half_a_character(tmp_path):
    (tmp_path / 'x.json').write_bytes(rb'{"name": "\ud800"}')
    with pytest.raises(UserError, match='x.json: '):
        read_typed(tmp_path / 'x.json', _Named)


@pytest.mark.parametrize('read', [parse_json, lambda path: files.read_typed_json(str(path), _Named)])
def test_a_file_of_holes_is_not_read_into_memory(read, tmp_path):
    with open(tmp_path / 'x.json', 'wb') as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match='x.json: is larger than '):
        read(tmp_path / 'x.json')


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'x.json')
    with pytest.raises(UserError, match='is a pipe, and no regular file'):
        parse_json(tmp_path / 'x.json')


@pytest.mark.parametrize('content', ['[]', '3', '{', '\x00'])
def test_a_note_of_a_build_that_is_no_object_is_named(content, tmp_path):
    (tmp_path / 'note.json').write_text(content)
    with pytest.raises(UserError, match='note.json: '):
        files.read_json(str(tmp_path / 'note.json'))
