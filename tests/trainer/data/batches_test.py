import itertools
import os
import sys

import numpy as np
import pytest
import tensorflow as tf

from beam_pipelines.datasets import record_layout
from beam_pipelines.errors import UserError
from tests.support.spikes import make_spikes
from trainer.data.batches import dataset_errors, evaluation_batches, training_batches
from trainer.data.example_order import BLOCK_ROWS, CHUNK_ROWS
from trainer.data.stored_dataset import StoredSplit, open_split

LENGTHS = (37, 20, 0, 1)
COUNT = sum(LENGTHS)

# More than a block and more than a chunk, with a tail in every shard.
MANY_LENGTHS = (CHUNK_ROWS + 5, BLOCK_ROWS + 700, 3)
MANY = sum(MANY_LENGTHS)


@pytest.fixture
def split(make_split) -> StoredSplit:
    """58 spikes in three shards; the cell is the position, or near the largest number that a record can hold."""
    waveform, label = make_spikes(COUNT)
    cell = np.arange(COUNT)
    cell[-1] = record_layout.max_value('cell')
    return make_split(LENGTHS, waveform, label, cell)


@pytest.fixture
def sorted_split(make_split) -> StoredSplit:
    """400 spikes, all SER before all NSER; sample 0 of each is its position."""
    return make_sorted(make_split, (150, 250))


@pytest.fixture
def large_split(make_split) -> StoredSplit:
    """As ``sorted_split``, and 21,188 spikes: more than are read at once."""
    return make_sorted(make_split, MANY_LENGTHS)


def make_sorted(make_split, lengths) -> StoredSplit:
    count = sum(lengths)
    waveform = np.zeros((count, 160), np.float32)
    waveform[:, 0] = np.arange(count)
    return make_split(lengths, waveform, np.arange(count) * 2 // count, np.zeros(count, int))


def parse(split: StoredSplit) -> dict[str, np.ndarray]:
    """Reads a split the standard way."""
    serialized = list(tf.data.TFRecordDataset([shard.path for shard in split.shards]))
    features = {
        'waveform': tf.io.FixedLenFeature((160,), tf.float32),
        'label': tf.io.FixedLenFeature((), tf.int64),
        'cell': tf.io.FixedLenFeature((), tf.int64),
    }
    return {name: value.numpy() for name, value in tf.io.parse_example(serialized, features).items()}


def positions(batches: tf.data.Dataset, count: int) -> list[int]:
    """Returns the positions in the split of the first ``count`` examples of a stream over a sorted split."""
    waveforms = (waveform for waveform, _ in batches.as_numpy_iterator())
    rows = itertools.islice(itertools.chain.from_iterable(waveforms), count)
    return [int(row[0]) for row in rows]


@pytest.mark.parametrize('batch_size', [1, 7, 29, 58, 100])
def test_evaluation_gives_what_parse_example_gives_once_and_in_order(split, batch_size):
    batches = list(evaluation_batches(split, batch_size).as_numpy_iterator())
    expected = parse(split)
    for name in ('waveform', 'label', 'cell'):
        values = np.concatenate([batch[name][batch['valid']] for batch in batches])
        assert values.dtype == expected[name].dtype
        np.testing.assert_array_equal(values, expected[name])


@pytest.mark.parametrize(('batch_size', 'batches'), [(29, 2), (7, 9), (58, 1), (100, 1)])
def test_evaluation_fills_its_last_batch_with_zeros_that_are_not_valid(split, batch_size, batches):
    found = list(evaluation_batches(split, batch_size).as_numpy_iterator())
    assert [len(batch['label']) for batch in found] == [batch_size] * batches
    valid = np.concatenate([batch['valid'] for batch in found])
    np.testing.assert_array_equal(valid, np.arange(batch_size * batches) < COUNT)
    for name in ('waveform', 'label', 'cell'):
        assert not np.concatenate([batch[name] for batch in found])[~valid].any()


@pytest.mark.parametrize('batch_size', [1000, BLOCK_ROWS, MANY])
def test_evaluation_reads_over_the_ends_of_chunks_and_shards(large_split, batch_size):
    batches = list(evaluation_batches(large_split, batch_size).as_numpy_iterator())
    rows = np.concatenate([batch['waveform'][batch['valid'], 0] for batch in batches])
    np.testing.assert_array_equal(rows, np.arange(MANY))


@pytest.mark.parametrize(('config', 'name'), [('original', 'test'), ('non_homogeneous', 'test')])
def test_evaluation_reads_a_built_dataset_as_parse_example_does(data_dir, config, name):
    split = open_split(data_dir, config, name)
    [batch] = evaluation_batches(split, split.examples).as_numpy_iterator()
    expected = parse(split)
    for field, values in expected.items():
        np.testing.assert_array_equal(batch[field], values)


@pytest.mark.parametrize('batch_size', [16, 58, 100, 1000])
def test_training_batches_are_full_whatever_their_size(split, batch_size):
    lengths = [len(label) for _, label in training_batches(split, batch_size, seed=0).take(12).as_numpy_iterator()]
    assert lengths == [batch_size] * 12


def test_training_keeps_waveform_and_label_together(split):
    stored = parse(split)
    label_of = {row.tobytes(): label for row, label in zip(stored['waveform'], stored['label'], strict=True)}
    for waveform, label in training_batches(split, 29, seed=0).take(4).as_numpy_iterator():
        assert [label_of[row.tobytes()] for row in waveform] == label.tolist()


@pytest.mark.parametrize('config', ['original', 'synthetic_small'])
def test_training_batches_of_built_datasets_are_mixed(data_dir, config):
    split = open_split(data_dir, config, 'train')
    rows = [np.fromfile(shard.path, np.uint8) for shard in split.shards]
    records = record_layout.view_records(np.concatenate(rows))
    share = record_layout.decode_varints(records['label']).mean()
    for _, label in training_batches(split, 100, seed=0).take(50).as_numpy_iterator():
        assert abs(label.mean() - share) < 0.25


def test_training_mixes_within_a_block_what_is_stored_apart(make_split):
    split = make_sorted(make_split, (400,))
    shares = [label.mean() for _, label in training_batches(split, 50, seed=0).take(16).as_numpy_iterator()]
    assert all(0.2 < share < 0.8 for share in shares)


@pytest.mark.parametrize('batch_size', [50, 64])
def test_training_pass_holds_every_example_once(sorted_split, batch_size):
    order = positions(training_batches(sorted_split, batch_size, seed=0), 800)
    assert sorted(order[:400]) == list(range(400))
    assert sorted(order[400:]) == list(range(400))


def test_training_pass_over_several_blocks_holds_every_example_once(large_split):
    order = positions(training_batches(large_split, 1024, seed=0), 2 * MANY)
    assert sorted(order[:MANY]) == list(range(MANY))
    assert sorted(order[MANY:]) == list(range(MANY))


def test_training_passes_differ_in_order(sorted_split):
    order = positions(training_batches(sorted_split, 50, seed=0), 800)
    assert order[:400] != order[400:]


def test_same_seed_gives_the_same_stream(large_split):
    first, second = (positions(training_batches(large_split, 500, seed=5), 40_000) for _ in range(2))
    assert first == second


def test_another_seed_gives_another_stream(sorted_split):
    first, second = (positions(training_batches(sorted_split, 50, seed=seed), 400) for seed in (5, 6))
    assert first != second


def test_order_depends_on_no_other_seed_of_the_process(sorted_split):
    tf.random.set_seed(1)
    first = positions(training_batches(sorted_split, 50, seed=5), 400)
    tf.random.set_seed(2)
    assert positions(training_batches(sorted_split, 50, seed=5), 400) == first


@pytest.mark.parametrize('batch_size', [64, 1000])
def test_stream_with_three_restarts_is_that_of_none(large_split, batch_size):
    batches = 60_000 // batch_size
    whole = positions(training_batches(large_split, batch_size, 5), batches * batch_size)
    restarts = sorted(np.random.default_rng(batch_size + 1).choice(np.arange(1, batches), 3, replace=False))
    resumed = []
    for start, stop in itertools.pairwise([0, *restarts, batches]):
        stream = training_batches(large_split, batch_size, 5, first_batch=int(start))
        resumed += positions(stream, int(stop - start) * batch_size)
    assert resumed == whole


@pytest.mark.parametrize(
    ('argument', 'value', 'message'),
    [
        ('batch_size', 0, 'batch_size 0: must be at least 1'),
        ('first_batch', -1, 'first_batch -1: must be at least 0'),
        ('seed', -1, 'seed -1: must be 0..9223372036854775807'),
    ],
)
def test_argument_out_of_range_is_named(sorted_split, argument, value, message):
    with pytest.raises(ValueError, match=f'^{message}$'):
        training_batches(sorted_split, **({'batch_size': 5, 'seed': 0} | {argument: value}))


def test_stream_goes_on_after_a_billion_batches_at_once(sorted_split):
    assert len(positions(training_batches(sorted_split, 50, seed=0, first_batch=10**9), 400)) == 400


READERS = [lambda split: training_batches(split, 5, seed=0), lambda split: evaluation_batches(split, 5)]


@pytest.mark.parametrize('batches_of', READERS)
def test_record_that_is_none_is_named(split, batches_of):
    path = split.shards[1].path
    content = bytearray(open(path, 'rb').read())
    content[7 * record_layout.RECORD_BYTES : 8 * record_layout.RECORD_BYTES] = bytes(record_layout.RECORD_BYTES)
    with open(path, 'wb') as file:
        file.write(content)
    with pytest.raises(UserError, match=f'^{path}: record 7 starts with 0000'), dataset_errors():
        list(batches_of(split).take(20))


@pytest.mark.parametrize('batches_of', READERS)
def test_shard_that_is_too_short_is_named(split, batches_of):
    path = split.shards[0].path
    os.truncate(path, 30 * record_layout.RECORD_BYTES + 17)
    with pytest.raises(UserError, match=f'^{path}: '):
        batches_of(split)


@pytest.mark.parametrize('batches_of', READERS)
def test_shard_that_is_gone_is_named(split, batches_of):
    os.remove(split.shards[3].path)
    with pytest.raises(UserError, match=f'^{split.shards[3].path}: no such file'):
        batches_of(split)


# Small shards are copied by TensorFlow, so these are large.
READERS_OF_MANY = [
    lambda split: training_batches(split, 500, seed=0).take(60),
    lambda split: evaluation_batches(split, 500),
]


@pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere a file that is cut ends the process')
@pytest.mark.parametrize('batches_of', READERS_OF_MANY)
def test_shard_that_is_cut_while_it_is_mapped_is_named(large_split, batches_of):
    path = large_split.shards[1].path
    batches = batches_of(large_split)
    # Within the last sample of a record, between two pages, and to nothing.
    for size in (MANY_LENGTHS[1] * record_layout.RECORD_BYTES - 5, 4 << 20, 0):
        os.truncate(path, size)
        found = f'^{path}: ends within record {size // record_layout.RECORD_BYTES}$'
        with pytest.raises(UserError, match=found), dataset_errors():
            list(batches)


@pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere a file that is cut ends the process')
@pytest.mark.parametrize('batches_of', READERS_OF_MANY)
def test_shard_that_is_cut_and_filled_with_zeros_while_it_is_mapped_is_named(large_split, batches_of):
    path = large_split.shards[1].path
    batches = batches_of(large_split)
    size = os.path.getsize(path)
    os.truncate(path, 10_000 * record_layout.RECORD_BYTES + 300)
    os.truncate(path, size)
    with pytest.raises(UserError, match=rf'^{path}: record \d+ '), dataset_errors():
        list(batches)


def test_shard_that_is_replaced_while_it_is_read_is_read_to_its_end(sorted_split):
    batches = training_batches(sorted_split, 50, seed=5)
    expected = positions(batches, 800)
    for shard in sorted_split.shards:
        os.remove(shard.path)
    assert positions(batches, 800) == expected


def test_dataset_is_not_copied_into_memory(make_split):
    """Shards are mapped: what is read of them is the system's cache, and not memory of the process."""
    count = 200_000  # 151 MB
    split = make_split(
        (count // 8,) * 8, np.zeros((count, 160), np.float32), np.zeros(count, int), np.zeros(count, int)
    )
    for _ in training_batches(split, 1000, seed=1).take(1):
        pass  # what TensorFlow takes for itself

    def own_kilobytes() -> int:
        [line] = [line for line in open('/proc/self/status') if line.startswith('RssAnon')]
        return int(line.split()[1])

    before = own_kilobytes()
    for _ in training_batches(split, 1000, seed=0).take(250):
        pass
    assert own_kilobytes() - before < 75_000


@pytest.mark.parametrize('consumed', [0, 1, 5])
def test_reading_can_end_anywhere(large_split, consumed):
    """An iterator that goes while its threads work must not wait for them for ever."""
    for _ in range(10):
        for _ in zip(range(consumed), training_batches(large_split, 512, seed=0), strict=False):
            pass


def test_other_errors_of_tensorflow_stay_what_they_are():
    broken = tf.data.Dataset.range(3).map(lambda number: tf.ensure_shape(tf.zeros([number]), [0]))
    with pytest.raises(tf.errors.InvalidArgumentError), dataset_errors():
        list(broken)
