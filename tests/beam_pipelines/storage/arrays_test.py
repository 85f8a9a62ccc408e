"""Arrays from outside: nothing is unpickled, and nothing is allocated that a file only promises."""

import io
import re
import struct
import zipfile

import numpy as np
import pytest

from beam_pipelines.errors import UserError
from beam_pipelines.storage.arrays import decode_npy, read_npz


def _npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _with_header(text: str, data: bytes = bytes(16), version: int = 1) -> bytes:
    return (
        b'\x93NUMPY'
        + bytes([version, 0])
        + struct.pack('<H' if version == 1 else '<I', len(text))
        + text.encode()
        + data
    )


def _error_of(content: bytes, kinds: str = 'f') -> str:
    with pytest.raises(UserError) as raised:
        decode_npy(content, 'd/x.npy', kinds)
    assert str(raised.value).startswith('d/x.npy: ')
    return str(raised.value)


@pytest.mark.parametrize(
    'array', [np.zeros((3, 4), '>f4'), np.arange(6.0).reshape(2, 3).T, np.array(2.5), np.zeros((0, 5))]
)
def test_an_array_is_read_as_numpy_reads_it(array):
    np.testing.assert_array_equal(decode_npy(_npy(array), 'x.npy'), array)


@pytest.mark.parametrize(
    'shape', ['(1099511627776, 160)', '(-1,)', '(4.0,)', '(True, 4)', '(5,)', '(3,)', '(0,)', '(' + '9' * 40 + ',)']
)
def test_a_shape_that_the_file_does_not_hold_is_refused(shape):
    _error_of(_with_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"))


@pytest.mark.parametrize(
    'kind', ["'|O'", "'|V4'", "[('a', '<f4')]", "('<f4', (1000, 1000, 1000))", "'<i4'", "'|S4'", "'x' * 9", '1', "'<f4"]
)
def test_what_is_no_number_is_refused(kind):
    _error_of(_with_header(f"{{'descr': {kind}, 'fortran_order': False, 'shape': (4,), }}"))


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'\x93NUMPY',
        b'cbuiltins\nopen\n(Vran\nVw\ntR.',
        _with_header('(' * 5000),
        _with_header('\0'),
        _with_header('{}', version=3),
    ],
)
def test_what_is_no_such_file_is_one_line(content):
    assert 'is not a whole .npy file' in _error_of(content)


def test_objects_are_not_unpickled(tmp_path):
    class Runs:
        def __reduce__(self):
            return open, (str(tmp_path / 'ran'), 'w')

    assert 'holds object' in _error_of(_npy(np.array([Runs()], object)))
    assert not (tmp_path / 'ran').exists()


class TestNpz:
    @pytest.fixture
    def path(self, tmp_path):
        np.savez(tmp_path / 'x.npz', a=np.arange(3.0), b=np.arange(4))
        return tmp_path / 'x.npz'

    def _error_of(self, path) -> str:
        with pytest.raises(UserError, match=re.escape(str(path))) as raised:
            read_npz(str(path), {'a': 'f', 'b': 'iu'})
        assert len(str(raised.value)) < 2000
        return str(raised.value)

    def test_arrays_are_read_by_name_and_others_are_left(self, path):
        assert read_npz(str(path), {'b': 'iu'})['b'].tolist() == [0, 1, 2, 3]

    def test_an_array_of_another_kind_is_named(self, path):
        np.savez(path, a=np.arange(3), b=np.arange(4))
        assert self._error_of(path).endswith('a: holds int64, expected numbers')

    @pytest.mark.parametrize('size', [65 << 20, 1 << 31, (1 << 32) - 1])
    @pytest.mark.parametrize('field', [20, 24], ids=['packed', 'unpacked'])
    def test_an_entry_that_promises_too_much_is_not_unpacked(self, field, size, path):
        content = bytearray(path.read_bytes())
        entry = content.index(b'PK\x01\x02')
        content[entry + field : entry + field + 4] = size.to_bytes(4, 'little')
        path.write_bytes(content)
        self._error_of(path)

    def test_a_name_as_long_as_the_file_is_left_out_of_the_line(self, path):
        content = path.read_bytes()
        at = content.index(b'a.npy') - 4  # the length of the name in front of the array
        path.write_bytes(content[:at] + b'\xff\x00' + content[at + 2 :])
        self._error_of(path)

    @pytest.mark.parametrize(
        'change', [lambda content: content[:-30], lambda content: b'x' + content, lambda content: b'']
    )
    def test_a_broken_archive_is_named(self, change, path):
        path.write_bytes(change(path.read_bytes()))
        self._error_of(path)

    def test_a_missing_array_is_named(self, path):
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('a.npy', _npy(np.zeros(3)))
        assert 'b.npy' in self._error_of(path)
