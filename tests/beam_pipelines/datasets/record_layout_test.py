import importlib.util
import json
import struct
import subprocess
import sys

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from beam_pipelines.domain import SPIKE_SAMPLES
from beam_pipelines.errors import UserError

_INTEGERS = ('label', 'cell', 'trigger', 'mask')


def _extreme_values() -> dict[str, np.ndarray]:
    """Every integer field at the ends of its range and where a varint becomes a byte longer; currents likewise."""
    columns = {}
    for name in _INTEGERS:
        most = record_layout.max_value(name)
        columns[name] = [0, 1, most, *(value for value in (127, 128, 16_383, 16_384, 2**31, 2**32) if value <= most)]
    count = max(map(len, columns.values()))
    values = {name: np.resize(column, count).astype(np.int64) for name, column in columns.items()}
    waveform = np.random.default_rng(0).normal(0, 50, (count, SPIKE_SAMPLES)).astype(np.float32)
    waveform[0, :5] = -0.0, 1e-45, np.finfo(np.float32).max, np.finfo(np.float32).min, -50
    return {'waveform': waveform, **values}


@pytest.fixture(scope='module')
def values():
    return _extreme_values()


@pytest.fixture(scope='module')
def rows(values):
    return record_layout.encode_records(**values)


@pytest.fixture(scope='module')
def shard(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp('shard') / 'shard.tfrecord'
    path.write_bytes(rows.tobytes())
    return path


def _examples(rows) -> list[bytes]:
    """Takes the serialized examples out of their frames, as ``docs/record_layout.md`` describes the frame."""
    return [row[12:-4].tobytes() for row in rows]


def _assert_same(parsed, values):
    for name, expected in values.items():
        np.testing.assert_array_equal(np.asarray(parsed[name]), expected, err_msg=name)


_FEATURES = {
    'waveform': tf.io.FixedLenFeature([SPIKE_SAMPLES], tf.float32),
    **{name: tf.io.FixedLenFeature([], tf.int64) for name in _INTEGERS},
}


def _from_proto(example: tf.train.Example) -> dict:
    feature = example.features.feature
    assert set(feature) == set(_FEATURES)
    integers = {name: feature[name].int64_list.value for name in _INTEGERS}
    assert all(len(value) == 1 for value in integers.values())
    return {
        'waveform': np.array(feature['waveform'].float_list.value, np.float32),
        **{name: value[0] for name, value in integers.items()},
    }


def _stack(parsed: list[dict]) -> dict:
    return {name: np.stack([example[name] for example in parsed]) for name in _FEATURES}


def test_parse_example_gives_the_values(rows, values):
    _assert_same(tf.io.parse_example(_examples(rows), _FEATURES), values)


def test_parse_single_example_gives_the_values(rows, values):
    _assert_same(_stack([tf.io.parse_single_example(data, _FEATURES) for data in _examples(rows)]), values)


def test_example_from_string_gives_the_values(rows, values):
    _assert_same(_stack([_from_proto(tf.train.Example.FromString(data)) for data in _examples(rows)]), values)


def test_tfrecord_dataset_accepts_the_crcs_and_gives_the_values(shard, values):
    parsed = [tf.io.parse_single_example(data, _FEATURES) for data in tf.data.TFRecordDataset(str(shard))]
    _assert_same(_stack(parsed), values)


def test_tfrecord_dataset_refuses_a_record_with_a_wrong_crc(shard, tmp_path):
    harmed = bytearray(shard.read_bytes())
    harmed[400] ^= 1
    (tmp_path / 'harmed').write_bytes(harmed)
    with pytest.raises(tf.errors.DataLossError):
        next(iter(tf.data.TFRecordDataset(str(tmp_path / 'harmed'))))


def test_beam_reads_the_examples_from_the_shard(shard, rows):
    with beam.Pipeline('FnApiRunner') as pipeline:
        assert_that(pipeline | beam.io.ReadFromTFRecord(str(shard)), equal_to(_examples(rows)))


_READ_BY_TFRECORD = """
import sys
import numpy as np
from tfrecord.reader import tfrecord_loader
description = {'waveform': 'float', 'label': 'int', 'cell': 'int', 'trigger': 'int', 'mask': 'int'}
records = list(tfrecord_loader(sys.argv[1], None, description))
np.savez(sys.argv[2], **{name: np.stack([record[name] for record in records]) for name in description})
"""


def test_the_tfrecord_package_reads_the_same_records(shard, values, tmp_path):
    if importlib.util.find_spec('tfrecord') is None:
        pytest.skip('the tfrecord package is not here')
    # In a process of its own: its protobuf classes and TensorFlow's have the same names.
    subprocess.run([sys.executable, '-c', _READ_BY_TFRECORD, shard, tmp_path / 'read.npz'], check=True)
    with np.load(tmp_path / 'read.npz') as read:
        assert np.array_equal(read['waveform'], values['waveform'])
        for name in ('label', 'cell', 'trigger', 'mask'):
            assert np.array_equal(read[name].ravel(), values[name])


def test_view_and_decode_varints_give_the_values(rows, values):
    records = record_layout.view_records(rows)
    decoded = {name: record_layout.decode_varints(records[name]) for name in _INTEGERS}
    _assert_same(decoded | {'waveform': records['waveform']}, values)


def test_record_and_waveform_are_aligned_to_float32():
    assert record_layout.RECORD_BYTES % 4 == 0
    assert record_layout.WAVEFORM_OFFSET % 4 == 0


def test_a_block_of_rows_is_one_decode_raw_and_a_slice(rows, values):
    floats = tf.io.decode_raw(rows.tobytes(), tf.float32)
    start = record_layout.WAVEFORM_OFFSET // 4
    table = tf.reshape(floats, [-1, record_layout.RECORD_BYTES // 4])[:, start : start + SPIKE_SAMPLES]
    np.testing.assert_array_equal(table, values['waveform'])


def test_json_alone_is_enough_to_map_a_shard(shard, values):
    layout = json.loads(json.dumps(record_layout.as_json()))
    table = np.fromfile(shard, np.uint8).reshape(-1, layout['record_bytes'])
    waveform = layout['fields']['waveform']
    stop = waveform['offset'] + waveform['bytes']
    current_pa = np.ascontiguousarray(table[:, waveform['offset'] : stop]).view(waveform['dtype'])
    np.testing.assert_array_equal(current_pa.reshape(-1, *waveform['shape']), values['waveform'])
    for name in _INTEGERS:
        field = layout['fields'][name]
        column = table[:, field['offset'] : field['offset'] + field['bytes']].astype(np.int64) & 0x7F
        np.testing.assert_array_equal((column << 7 * np.arange(field['bytes'])).sum(axis=1), values[name])


def test_header_is_the_frame_of_the_length():
    length = struct.unpack('<Q', record_layout.HEADER[:8])[0]
    assert length == record_layout.RECORD_BYTES - 16


@pytest.mark.parametrize('name', _INTEGERS)
@pytest.mark.parametrize('beyond', ['above', 'below'])
def test_an_integer_that_does_not_fit_is_an_error_that_names_the_field(values, name, beyond):
    most = record_layout.max_value(name)
    wrong = values[name].copy()
    wrong[3] = most + 1 if beyond == 'above' else -1
    with pytest.raises(ValueError, match=rf'^{name}: values must be in 0\.\.{most}, got'):
        record_layout.encode_records(**{**values, name: wrong})


def test_unharmed_records_are_good(rows):
    assert record_layout.find_bad_records(rows) == []


def test_a_flipped_bit_anywhere_in_a_record_is_found(rows):
    for position in range(record_layout.RECORD_BYTES):
        for bit in range(8):
            harmed = rows[:1].copy()
            harmed[0, position] ^= 1 << bit
            assert [index for index, _ in record_layout.find_bad_records(harmed)] == [0], (position, bit)


@pytest.mark.parametrize(
    ('position', 'problem'), [(0, 'frame length'), (11, 'frame length'), (400, 'CRC'), (755, 'CRC'), (14, 'CRC')]
)
def test_bad_records_are_named_with_their_problem(rows, position, problem):
    harmed = rows.copy()
    harmed[[2, 4], position] ^= 0x10
    found = record_layout.find_bad_records(harmed)
    assert [index for index, _ in found] == [2, 4]
    assert all(problem in message for _, message in found)


def test_a_value_that_is_not_finite_is_found_though_its_crc_is_right(values):
    waveform = values['waveform'].copy()
    waveform[1, 80] = np.nan
    rows = record_layout.encode_records(**{**values, 'waveform': waveform})
    assert record_layout.find_bad_records(rows) == [(1, 'a value that is not finite')]


def test_bytes_of_another_layout_are_found_though_their_crc_is_right(rows):
    harmed = rows.copy()
    name = harmed[3].tobytes().index(b'label')
    harmed[3, name] = ord('L')
    record_layout.view_records(harmed)['crc'] = record_layout.data_crcs(harmed)
    assert record_layout.find_bad_records(harmed) == [(3, 'bytes between the features')]


def test_bytes_that_are_no_whole_records_are_an_error(rows):
    with pytest.raises(ValueError, match='755 bytes are not a whole number of records of 756 bytes'):
        record_layout.view_records(rows.reshape(-1)[:755])


def test_own_layout_passes_the_check():
    record_layout.check_json(json.loads(json.dumps(record_layout.as_json())), 'here')


def test_layout_of_another_format_version_is_an_error_with_field_and_both_values():
    layout = {**record_layout.as_json(), 'format_version': 7}
    with pytest.raises(UserError, match=r'^data/record_layout.json: format_version is 7, this version .* reads 1$'):
        record_layout.check_json(layout, 'data/record_layout.json')


@pytest.mark.parametrize('key', ['format', 'record_bytes', 'header_hex', 'fields'])
def test_layout_that_lacks_a_field_is_an_error_that_names_it(key):
    layout = record_layout.as_json()
    del layout[key]
    with pytest.raises(UserError, match=f'here: {key} is None'):
        record_layout.check_json(layout, 'here')


def test_the_largest_trigger_of_a_recording_fits_its_field():
    assert record_layout.max_value('trigger') == domain.MAX_TRIGGER
