"""Shards in a bucket are read as local ones are, also by a cache that holds fewer of them."""

import dataclasses
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from beam_pipelines.datasets.checksums import checksum
from beam_pipelines.errors import UserError
from tests.support.places import ROOT
from trainer.buckets import store
from trainer.buckets.shard_cache import cached_in, current_shards
from trainer.data.batches import dataset_errors, evaluation_batches, tfds_batches, training_batches
from trainer.data.shards import Shard, read_records
from trainer.data.stored_dataset import StoredSplit

_LENGTHS = (300, 40, 0, 200, 160)


@pytest.fixture
def splits(make_split, s3_bucket) -> tuple[StoredSplit, StoredSplit]:
    """The same split in a local folder and in a bucket."""
    store._open_client.cache_clear()
    rng = np.random.default_rng(1)
    rows = sum(_LENGTHS)
    waveform = rng.normal(0, 30, (rows, 160)).astype(np.float32)
    local = make_split(_LENGTHS, waveform, rng.integers(0, 2, rows), rng.integers(0, 9, rows))
    shards = []
    for number, shard in enumerate(local.shards):
        with open(shard.path, 'rb') as file:
            content = file.read()
        url = f'{s3_bucket}/data/shard-{number}'
        store.write_object(url, content)
        shards.append(Shard(url, shard.examples, checksum(content)))
    return local, dataclasses.replace(local, folder=f'{s3_bucket}/data', shards=tuple(shards))


def _taken(batches, count: int) -> list[np.ndarray]:
    return [value.numpy() for batch in batches.take(count) for value in batch]


@pytest.mark.parametrize('megabytes', [10.0, 0.3], ids=['all of it', 'one shard at a time'])
def test_batches_are_those_of_local_shards(splits, tmp_path, megabytes, capsys):
    local, remote = splits
    with cached_in(str(tmp_path / 'cache'), megabytes / 1000):
        # Three passes, from the middle of the first.
        ours = _taken(training_batches(remote, 64, 5, 4, with_cell=True), 30)
        expected = _taken(training_batches(local, 64, 5, 4, with_cell=True), 30)
        assert all(np.array_equal(one, other) for one, other in zip(ours, expected, strict=True))
        for one, other in zip(evaluation_batches(remote, 64), evaluation_batches(local, 64), strict=True):
            assert all(np.array_equal(one[name], other[name]) for name in one)
        assert np.array_equal(read_records(remote.shards), read_records(local.shards))
    assert ('shards come again in each pass' in capsys.readouterr().err) == (megabytes < 1)


def test_what_is_wrong_with_an_object_is_one_line(splits, tmp_path):
    _, remote = splits
    url = remote.shards[3].path
    content = bytearray(store.read_object(url))
    content[500] ^= 1
    store.write_object(url, bytes(content))
    with (
        cached_in(str(tmp_path), 0.01),
        pytest.raises(UserError, match=f'^{url}: CRC-32C .{{8}}, promised is .{{8}}$'),
        dataset_errors(),
    ):
        _taken(training_batches(remote, 64, 5), 30)


_ENDS_WHILE_IT_READS = """
    import sys
    import tensorflow as tf
    from trainer.data.fetched_records import FetchedRecords
    from trainer.data.shards import Shard

    class Left:
        pass

    def read_ahead():
        records = FetchedRecords([Shard(sys.argv[1], 300, sys.argv[2])])
        rows = tf.data.Dataset.range(1_000_000).map(lambda number: records.gather(number * 0, [number % 300]))
        iterator = iter(rows.prefetch(1_000_000))
        next(iterator)
        return iterator

    def leave_in_a_cycle():
        left = Left()
        left.itself, left.iterator = left, read_ahead()

    def leave_in_the_frame_of_an_error():
        iterators = [read_ahead() for _ in range(4)]  # of one, a read may just have ended
        raise ValueError('of the user')
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ('ending', 'last_line'),
    [
        ("leave_in_a_cycle(); of_the_module = read_ahead(); print('the end', file=sys.stderr)", 'the end'),
        ('leave_in_the_frame_of_an_error()', 'ValueError: of the user'),
    ],
    ids=['normally', 'by an error'],
)
def test_a_program_ends_though_rows_are_read_ahead(splits, tmp_path, ending, last_line):
    shard = splits[1].shards[0]
    ended = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(_ENDS_WHILE_IT_READS) + ending, shard.path, shard.crc32c],
        cwd=ROOT, env=os.environ | {'XDG_CACHE_HOME': str(tmp_path)}, stderr=subprocess.PIPE, text=True, timeout=100,
    )  # fmt: skip
    assert ended.returncode == ('Error' in last_line)
    assert ended.stderr.splitlines()[-1] == last_line


def test_tfds_says_which_client_it_takes(splits):
    _, remote = splits
    with pytest.raises(UserError, match='input tfds: needs TensorFlow.s own client, pip install tensorflow-io'):
        tfds_batches(remote, 8, 1)


def test_the_cache_of_a_process_is_the_one_that_is_named(tmp_path):
    with cached_in(str(tmp_path), 0.5):
        assert current_shards().most_bytes == 500_000_000
    assert current_shards().most_bytes != 500_000_000
