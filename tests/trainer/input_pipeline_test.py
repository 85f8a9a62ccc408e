import itertools

import numpy as np
import pytest
import tensorflow as tf

from beam_pipelines import record_layout
from tests.trainer.conftest import make_spikes
from trainer.input_pipeline import evaluation_batches, training_batches
from trainer.stored_dataset import Shard, StoredSplit, open_split

LENGTHS = (37, 20, 1)
COUNT = sum(LENGTHS)


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
    waveform, label = make_spikes(400)
    waveform[:, 0] = np.arange(400)
    return make_split((150, 250), waveform, np.sort(label), np.zeros(400, int))


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
    """Returns the positions in the split of the first ``count`` examples of a stream over ``sorted_split``."""
    waveforms = (waveform for waveform, _ in batches.as_numpy_iterator())
    rows = itertools.islice(itertools.chain.from_iterable(waveforms), count)
    return [int(row[0]) for row in rows]


@pytest.mark.parametrize('batch_size', [1, 7, 29, 58, 100])
def test_evaluation_gives_what_parse_example_gives_once_and_in_order(split, batch_size):
    batches = list(evaluation_batches(split, batch_size).as_numpy_iterator())
    expected = parse(split)
    for name in ('waveform', 'label', 'cell'):
        values = np.concatenate([batch[name] for batch in batches])
        assert values.dtype == expected[name].dtype
        np.testing.assert_array_equal(values, expected[name])


@pytest.mark.parametrize(('batch_size', 'lengths'), [(29, [29, 29]), (7, [7] * 8 + [2]), (58, [58]), (100, [58])])
def test_evaluation_batches_are_full_but_the_last(split, batch_size, lengths):
    assert [len(batch['label']) for batch in evaluation_batches(split, batch_size).as_numpy_iterator()] == lengths


@pytest.mark.parametrize(('config', 'name'), [('original', 'test'), ('non_homogeneous', 'test')])
def test_evaluation_reads_a_built_dataset_as_parse_example_does(data_dir, config, name):
    split = open_split(data_dir, config, name)
    [batch] = evaluation_batches(split, split.examples).as_numpy_iterator()
    expected = parse(split)
    for field, values in expected.items():
        np.testing.assert_array_equal(batch[field], values)


def test_evaluation_fails_where_a_shard_holds_less_than_promised(split):
    short = StoredSplit(split.name, (*split.shards[:-1], Shard(split.shards[-1].path, 10)), (), {})
    with pytest.raises(tf.errors.FailedPreconditionError):
        list(evaluation_batches(short, 5))


def test_training_batches_are_full(split):
    lengths = [len(label) for _, label in training_batches(split, 16, seed=0).take(12).as_numpy_iterator()]
    assert lengths == [16] * 12


def test_training_keeps_waveform_and_label_together(split):
    stored = parse(split)
    label_of = {row.tobytes(): label for row, label in zip(stored['waveform'], stored['label'], strict=True)}
    for waveform, label in training_batches(split, 29, seed=0).take(4).as_numpy_iterator():
        assert [label_of[row.tobytes()] for row in waveform] == label.tolist()


def test_training_mixes_classes_that_are_stored_apart(sorted_split):
    shares = [label.mean() for _, label in training_batches(sorted_split, 50, seed=0).take(16).as_numpy_iterator()]
    assert all(0.2 < share < 0.8 for share in shares)


def test_training_pass_holds_every_example_once(sorted_split):
    order = positions(training_batches(sorted_split, 50, seed=0), 800)
    assert sorted(order[:400]) == list(range(400))
    assert sorted(order[400:]) == list(range(400))


def test_training_passes_differ_in_order(sorted_split):
    order = positions(training_batches(sorted_split, 50, seed=0), 800)
    assert order[:400] != order[400:]


def test_same_seed_gives_the_same_stream(sorted_split):
    first, second = (positions(training_batches(sorted_split, 50, seed=5), 800) for _ in range(2))
    assert first == second


def test_another_seed_gives_another_stream(sorted_split):
    first, second = (positions(training_batches(sorted_split, 50, seed=seed), 400) for seed in (5, 6))
    assert first != second


def test_order_depends_on_no_other_seed_of_the_process(sorted_split):
    tf.random.set_seed(1)
    first = positions(training_batches(sorted_split, 50, seed=5), 400)
    tf.random.set_seed(2)
    assert positions(training_batches(sorted_split, 50, seed=5), 400) == first


@pytest.mark.parametrize('first_example', [1, 50, 390, 400, 777])
def test_stream_goes_on_exactly_behind_the_examples_consumed(sorted_split, first_example):
    whole = positions(training_batches(sorted_split, 50, seed=5), 1200)
    rest = positions(training_batches(sorted_split, 50, seed=5, first_example=first_example), 300)
    assert rest == whole[first_example : first_example + 300]
