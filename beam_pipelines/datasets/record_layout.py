"""The record layout: every record is one ``tf.train.Example`` of exactly the same length.

A shard is therefore both a standard TFRecord file and an array of fixed-size rows. Integers are varints padded with
continuation bytes to a fixed width, which protobuf allows; the record length and the offset of the waveform are
multiples of 4. ``docs/record_layout.md`` shows how to read a shard from NumPy, PyTorch and JAX.

>>> rows = encode_records(waveform, label, cell, trigger, mask)      # (n, 756) uint8, CRCs included
>>> open('shard', 'wb').write(rows.data)
>>> records = view_records(np.memmap('shard', np.uint8, 'r'))        # structured array, no copy
>>> records['waveform'].shape, decode_varints(records['label'])
"""

from __future__ import annotations

import struct

import google_crc32c
import numpy as np

from beam_pipelines import domain
from beam_pipelines.errors import UserError

FORMAT_VERSION = 1

# Width in bytes of each padded varint; a byte carries 7 bits. The values need at least 12 bytes. 15 is the smallest sum
# for which both the offset of the waveform and the length of the record are multiples of 4.
_VARINT_BYTES = {'label': 1, 'cell': 3, 'trigger': 5, 'mask': 6}

# A TFRecord frame: uint64 length, masked CRC of the length, the data, masked CRC of the data.
_HEADER_BYTES = 12
_FOOTER_BYTES = 4
_WAVEFORM_BYTES = 4 * domain.SPIKE_SAMPLES

# What TFRecord adds to a CRC after rotating it by 15 bits.
CRC_MASK_DELTA = 0xA282EAD8

# Protobuf wire format: (field number << 3) | wire type, length-delimited being type 2.
_TAG_FIELD_1 = 0x0A  # Example.features, Features.feature, map key, list value (packed)
_TAG_FIELD_2 = 0x12  # map value, Feature.float_list
_TAG_FIELD_3 = 0x1A  # Feature.int64_list


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(tag: int, payload: bytes) -> bytes:
    return bytes([tag]) + _varint(len(payload)) + payload


def _feature(name: str, list_tag: int, payload: bytes) -> bytes:
    value = _field(list_tag, _field(_TAG_FIELD_1, payload))
    return _field(_TAG_FIELD_1, _field(_TAG_FIELD_1, name.encode()) + _field(_TAG_FIELD_2, value))


def masked_crc(data: bytes) -> int:
    """Returns the masked CRC-32C that TFRecord stores for ``data``."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + CRC_MASK_DELTA) & 0xFFFFFFFF


def _build_template() -> tuple[bytes, dict[str, int]]:
    """Returns a complete record of zeros and the offset of each feature's payload in it."""
    entries = [_feature(name, _TAG_FIELD_3, bytes([0x80] * (width - 1) + [0])) for name, width in _VARINT_BYTES.items()]
    entries.append(_feature('waveform', _TAG_FIELD_2, bytes(_WAVEFORM_BYTES)))
    widths = [*_VARINT_BYTES.values(), _WAVEFORM_BYTES]
    example = _field(_TAG_FIELD_1, b''.join(entries))
    end = _HEADER_BYTES + len(example) - sum(map(len, entries))
    offsets = {}
    for name, entry, width in zip([*_VARINT_BYTES, 'waveform'], entries, widths, strict=True):
        end += len(entry)
        offsets[name] = end - width
    length = struct.pack('<Q', len(example))
    header = length + struct.pack('<I', masked_crc(length))
    return header + example + bytes(_FOOTER_BYTES), offsets


_TEMPLATE, _OFFSETS = _build_template()
RECORD_BYTES = len(_TEMPLATE)
WAVEFORM_OFFSET = _OFFSETS['waveform']
_DATA_END = RECORD_BYTES - _FOOTER_BYTES
DATA_BYTES = _DATA_END - _HEADER_BYTES

_TEMPLATE_ROW = np.frombuffer(_TEMPLATE, np.uint8)

# The bytes that are the same in every record.
_CONSTANT = np.ones(RECORD_BYTES, bool)
_CONSTANT[WAVEFORM_OFFSET:] = False
for _name, _width in _VARINT_BYTES.items():
    _CONSTANT[_OFFSETS[_name] : _OFFSETS[_name] + _width] = False

# The high bits of a padded varint, from its last byte to its first: 0 ends it, 1 continues it.
_CONTINUES = np.array([0] + [1] * max(_VARINT_BYTES.values()), np.uint8)

# The first bytes of every record of this layout: the frame's length and its CRC.
HEADER = _TEMPLATE[:_HEADER_BYTES]

RECORD_DTYPE = np.dtype(
    {
        'names': ['header', *_OFFSETS, 'crc'],
        'formats': [
            ('u1', (_HEADER_BYTES,)),
            *(('u1', (width,)) for width in _VARINT_BYTES.values()),
            ('<f4', (domain.SPIKE_SAMPLES,)),
            '<u4',
        ],
        'offsets': [0, *_OFFSETS.values(), _DATA_END],
        'itemsize': RECORD_BYTES,
    }
)


def max_value(feature: str) -> int:
    """Returns the largest integer that fits the feature's padded varint."""
    return (1 << 7 * _VARINT_BYTES[feature]) - 1


def _encode_varints(name: str, values: np.ndarray, out: np.ndarray) -> None:
    values = np.asarray(values, np.int64)
    if values.size and (values.min() < 0 or values.max() > max_value(name)):
        raise ValueError(f'{name}: values must be in 0..{max_value(name)}, got {values.min()}..{values.max()}')
    for byte in range(out.shape[1]):
        out[:, byte] = values >> (7 * byte) & 0x7F
    out[:, :-1] |= 0x80


def encode_records(
    waveform: np.ndarray, label: np.ndarray, cell: np.ndarray, trigger: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Encodes spikes as whole TFRecord records, CRCs included.

    Parameters
    ----------
    waveform : (n, 160) float32, current in pA.
    label, cell, trigger, mask : (n,) integers, see ``docs/record_layout.md``.

    Returns
    -------
    (n, 756) uint8, C-contiguous; its bytes are the shard's bytes.

    Raises
    ------
    ValueError
        If an integer is negative or does not fit its field.
    """
    rows = np.empty((len(waveform), RECORD_BYTES), np.uint8)
    rows[:] = _TEMPLATE_ROW
    records = view_records(rows)
    records['waveform'] = waveform
    for name, values in {'label': label, 'cell': cell, 'trigger': trigger, 'mask': mask}.items():
        _encode_varints(name, values, rows[:, _OFFSETS[name] : _OFFSETS[name] + _VARINT_BYTES[name]])
    records['crc'] = data_crcs(rows)
    return rows


def data_crcs(rows: np.ndarray) -> np.ndarray:
    """Computes the masked CRC of each record's data: (n, 756) uint8 -> (n,) uint32."""
    # NumPy makes the bytes objects, which is faster than slicing them in Python.
    data = np.ascontiguousarray(rows[:, _HEADER_BYTES:_DATA_END]).view(f'V{DATA_BYTES}')[:, 0].tolist()
    crcs = np.fromiter(map(google_crc32c.value, data), np.uint32, len(rows))
    return (crcs >> np.uint32(15) | crcs << np.uint32(17)) + np.uint32(CRC_MASK_DELTA)


def unmask_crcs(crcs: np.ndarray) -> np.ndarray:
    """Returns the CRCs behind masked ones, such as those of ``data_crcs``: (n,) uint32 -> (n,) uint32."""
    rotated = crcs - np.uint32(CRC_MASK_DELTA)
    return rotated << np.uint32(15) | rotated >> np.uint32(17)


def view_records(rows: np.ndarray) -> np.ndarray:
    """Views shard bytes as a structured array of ``RECORD_DTYPE``, without copying.

    Raises
    ------
    ValueError
        If the bytes are not a whole number of records.
    """
    if rows.size % RECORD_BYTES:
        raise ValueError(f'{rows.size} bytes are not a whole number of records of {RECORD_BYTES} bytes')
    return rows.reshape(-1).view(RECORD_DTYPE)


def decode_varints(field: np.ndarray) -> np.ndarray:
    """Decodes a padded varint field of a record view: (n, width) uint8 -> (n,) int64."""
    values = np.zeros(len(field), np.int64)
    for byte in range(field.shape[1]):
        values |= (field[:, byte] & 0x7F).astype(np.int64) << (7 * byte)
    return values


def constant_bits() -> tuple[np.ndarray, np.ndarray]:
    """Returns the bits before the waveform that are the same in every record.

    Returns
    -------
    (112,) uint8, which bits these are, and (112,) uint8, their values, the others 0.
    """
    which = np.where(_CONSTANT, np.uint8(0xFF), np.uint8(0))[:WAVEFORM_OFFSET]
    for name, width in _VARINT_BYTES.items():
        which[_OFFSETS[name] : _OFFSETS[name] + width] = 0x80  # whether another byte follows
    return which, _TEMPLATE_ROW[:WAVEFORM_OFFSET] & which


def find_bad_records(rows: np.ndarray) -> list[tuple[int, str]]:
    """Finds the damaged records, and those that do not have this layout.

    Parameters
    ----------
    rows : (n, 756) uint8.

    Returns
    -------
    (index, the first problem) of each bad record, by ascending index.
    """
    records = view_records(rows)
    problems = {
        'frame length or its CRC': (rows[:, :_HEADER_BYTES] != _TEMPLATE_ROW[:_HEADER_BYTES]).any(axis=1),
        'CRC of the data': records['crc'] != data_crcs(rows),
        'bytes between the features': (rows[:, _CONSTANT] != _TEMPLATE_ROW[_CONSTANT]).any(axis=1),
        'the padding of an integer': np.any(
            [(records[name] >> 7 != _CONTINUES[:width][::-1]).any(axis=1) for name, width in _VARINT_BYTES.items()],
            axis=0,
        ),
        'a value that is not finite': ~np.isfinite(records['waveform']).all(axis=1),
    }
    bad = np.stack(list(problems.values()))
    return [(int(index), list(problems)[bad[:, index].argmax()]) for index in np.flatnonzero(bad.any(axis=0))]


def as_json() -> dict:
    """Returns the content of ``record_layout.json``: enough for any program to map a shard."""
    fields = {
        name: {'offset': _OFFSETS[name], 'bytes': width, 'encoding': 'varint padded with continuation bytes'}
        for name, width in _VARINT_BYTES.items()
    }
    fields['waveform'] = {
        'offset': WAVEFORM_OFFSET,
        'bytes': _WAVEFORM_BYTES,
        'dtype': '<f4',
        'shape': [domain.SPIKE_SAMPLES],
        'unit': 'pA',
    }
    return {
        'format': 'sero-spikes fixed-length TFRecord',
        'format_version': FORMAT_VERSION,
        'record_bytes': RECORD_BYTES,
        'header_hex': HEADER.hex(),
        'data_crc_offset': _DATA_END,
        'fields': fields,
    }


def check_json(layout: object, where: str) -> None:
    """Raises UserError if the ``record_layout.json`` at ``where`` is not the layout that this code reads."""
    if not isinstance(layout, dict):
        raise UserError('is no record layout; build the dataset anew', file=where)
    for key, expected in as_json().items():
        if layout.get(key) != expected:
            raise UserError(f'{key} is {layout.get(key)!r}, this version of sero-spikes reads {expected!r}', file=where)
