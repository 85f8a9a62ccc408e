"""The few messages of ONNX that our graphs need, written and read as protobuf.

The package ``onnx`` does this too, but takes longer to import than a recording to classify. Field numbers are those of
``onnx.proto``: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

_IR_VERSION = 8
_OPSET = 13
_DATA_TYPES = {np.dtype('<f4'): 1, np.dtype('<i8'): 7}
_FLOAT32 = _DATA_TYPES[np.dtype('<f4')]

# How a field is stored, in the lowest bits of its key.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_VERSION_OF_MODEL, _GRAPH_OF_MODEL, _INITIALIZER_OF_GRAPH = 5, 7, 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9  # of a tensor


@dataclasses.dataclass(frozen=True)
class Node:
    """An operation of a graph.

    Attributes
    ----------
    operator : such as ``Conv``.
    inputs, outputs : names of values.
    attributes : whole numbers, or lists of them.
    """

    operator: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, int | Sequence[int]]


def encode_model(
    nodes: Sequence[Node],
    initializers: Mapping[str, np.ndarray],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    version: int,
) -> bytes:
    """Returns the content of an ``.onnx`` file; the same bytes for the same arguments.

    Parameters
    ----------
    nodes : in an order in which they can be computed.
    initializers : constant values by their names, float32 or int64.
    inputs, outputs : the shape of each, float32; lengths that vary have a name.
    version : of the model.
    """
    graph = [
        *(_field(1, _encode_node(node)) for node in nodes),
        _field(2, 'consensus'),
        *(_field(_INITIALIZER_OF_GRAPH, _encode_tensor(name, array)) for name, array in initializers.items()),
        *(_field(11, _encode_value(name, shape)) for name, shape in inputs.items()),
        *(_field(12, _encode_value(name, shape)) for name, shape in outputs.items()),
    ]
    model = [
        _field(1, _IR_VERSION),
        _field(2, 'sero-spikes'),
        _field(_VERSION_OF_MODEL, version),
        _field(_GRAPH_OF_MODEL, b''.join(graph)),
        _field(8, _field(2, _OPSET)),
    ]
    return b''.join(model)


def read_version(content: bytes) -> int | None:
    """Returns the version that an ``.onnx`` file says its model is of; None if it says none, or is no such file."""
    with contextlib.suppress(ValueError):
        for number, value in _fields(memoryview(content)):
            if number == _VERSION_OF_MODEL and isinstance(value, int):
                return value
    return None


def read_initializers(content: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the name of each float32 constant of an ``.onnx`` file, and its values: read-only, without a copy.

    Raises
    ------
    ValueError
        If the content is no such file, or a constant has another number of values than its shape says.
    """
    for number, graph in _fields(memoryview(content)):
        if number != _GRAPH_OF_MODEL:
            continue
        for number_in_graph, tensor in _fields(_as_bytes(graph)):
            if number_in_graph == _INITIALIZER_OF_GRAPH:
                yield from _decode_float32(_as_bytes(tensor))


def _decode_float32(tensor: memoryview) -> Iterator[tuple[str, np.ndarray]]:
    shape, data_type, name, raw = [], None, '', memoryview(b'')
    for number, value in _fields(tensor):
        if number == _DIMS and isinstance(value, int):
            shape.append(value)
        elif number == _DATA_TYPE:
            data_type = value
        elif number == _NAME:
            name = str(_as_bytes(value), 'utf-8')
        elif number == _RAW_DATA:
            raw = _as_bytes(value)
    if data_type != _FLOAT32:
        return
    if math.prod(shape) * 4 != len(raw):
        raise ValueError(f'{name[:80]!r} is of shape {shape[:8]} and has {len(raw):,} bytes')
    yield name, np.frombuffer(raw, '<f4').reshape(shape)


def _encode_node(node: Node) -> bytes:
    return b''.join(
        [
            *(_field(1, name) for name in node.inputs),
            *(_field(2, name) for name in node.outputs),
            _field(4, node.operator),
            *(_field(5, _encode_attribute(name, value)) for name, value in node.attributes.items()),
        ]
    )


def _encode_attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, 2)
    return _field(1, name) + b''.join(_field(8, item) for item in value) + _field(20, 7)


def _encode_tensor(name: str, array: np.ndarray) -> bytes:
    array = array.astype(array.dtype.newbyteorder('<'), order='C', copy=False)
    return b''.join(
        [
            *(_field(_DIMS, length) for length in array.shape),
            _field(_DATA_TYPE, _DATA_TYPES[array.dtype]),
            _field(_NAME, name),
            _field(_RAW_DATA, array.tobytes()),
        ]
    )


def _encode_value(name: str, shape: Sequence[int | str]) -> bytes:
    lengths = (_field(2, length) if isinstance(length, str) else _field(1, length) for length in shape)
    tensor = _field(1, _FLOAT32) + _field(2, b''.join(_field(1, length) for length in lengths))
    return _field(1, name) + _field(2, _field(1, tensor))


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Returns a whole number in groups of seven bits, the lowest first; a negative one has 64 bits."""
    value &= (1 << 64) - 1
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yields number and value of each field of a message; ValueError if it is no message."""
    at = 0
    while at < len(content):
        key, at = _read_varint(content, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _read_varint(content, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _read_varint(content, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f'byte {at:,} is of no field')
        if length > len(content) - at:
            raise ValueError(f'it ends within a field of {length:,} bytes')
        yield number, content[at : at + length]
        at += length


def _read_varint(content: memoryview, at: int) -> tuple[int, int]:
    """Returns the number at a place, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            raise ValueError('it ends within a number')
        group = content[at]
        at += 1
        value |= (group & 0x7F) << shift
        if group < 0x80:
            return value, at
    raise ValueError('a number has more than 64 bits')


def _as_bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError('a number stands where a message is expected')
    return value
