"""Changes arrays in ``.npy`` files: what the header promises, what is behind it, or the values."""

from __future__ import annotations

import io
import random
import struct

import numpy as np

from tests.fuzz.mutation import mutate

_KINDS = ("'<f4'", "'>f4'", "'<f8'", "'<f2'", "'<i8'", "'|u1'", "'|b1'", "'<c8'", "'|O'", "'|S5'", "'<U3'", "'<M8[ns]'")
_ODD_KINDS = ("'|V4'", "'|V0'", "'|S0'", "[('a', '<f4')]", "('<f4', (999, 999, 999))", "[('a', '|O')]", '1', "'x' * 9")
_LENGTHS = (0, 1, 3, 4, 159, 160, 161, 2**31, 2**40, 2**62, 2**64, 10**30, -1, True, 1.0)
_VALUES = (0.0, 1e-320, 3e38, -3e38, float('nan'), float('inf'), -1.0, 2.0**63)


def mutate_npy(content: bytes, chance: random.Random) -> bytes:
    """Returns an ``.npy`` file's content with a change of its bytes, its header or its values."""
    kind = chance.randrange(3)
    if kind == 0:
        return mutate(content, chance)
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if kind == 1:
        if array.size:
            with np.errstate(all='ignore'):
                array.flat[chance.randrange(array.size)] = np.float64(chance.choice(_VALUES)).astype(array.dtype)
        buffer = io.BytesIO()
        np.save(buffer, array[: chance.choice((len(array), len(array), 1, 3))] if array.ndim else array)
        return buffer.getvalue()
    return _with_odd_header(array, chance)


def _with_odd_header(array: np.ndarray, chance: random.Random) -> bytes:
    shape: list = list(array.shape)
    descr = repr(array.dtype.str)
    if chance.random() < 1 / 2:
        descr = chance.choice(_KINDS + _ODD_KINDS)
    for _ in range(chance.randrange(3)):
        at = chance.randrange(len(shape) + 1)
        shape[at : at + chance.choice((0, 1, 1))] = [chance.choice(_LENGTHS)]
    order = chance.choice(('False', 'False', 'True', 'None', '[]'))
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {tuple(shape)!r}, }}\n".encode('latin1')
    version = chance.choice((1, 1, 1, 2, 3, 4))
    length = struct.pack('<H' if version == 1 else '<I', len(text))
    return b'\x93NUMPY' + bytes([version, 0]) + length + text + array.tobytes()
