import dataclasses

import google_crc32c

from beam_pipelines.datasets import record_layout
from beam_pipelines.transforms.write_shards import write_shard
from tests.support.small_dataset import make_source


def test_a_shard_holds_the_records_of_its_range(tmp_path):
    _, source = make_source('synthetic_small')
    written = write_shard(source, 'train', 3, range(1_000, 6_000), str(tmp_path / 'shard'))
    examples = source.make('train', 1_000, 6_000)
    rows = record_layout.encode_records(**dataclasses.asdict(examples))
    content = (tmp_path / 'shard').read_bytes()
    assert content == rows.tobytes()
    assert (written.split, written.number, written.examples, written.reused) == ('train', 3, 5_000, False)
    assert written.crc32c == f'{google_crc32c.value(content):08x}'


def test_a_whole_shard_of_an_interrupted_run_is_kept(tmp_path):
    _, source = make_source('synthetic_small')
    path = tmp_path / 'shard'
    first = write_shard(source, 'train', 0, range(100), str(path))
    written_at = path.stat().st_mtime_ns
    again = write_shard(source, 'train', 0, range(100), str(path))
    assert again.reused
    assert again.crc32c == first.crc32c
    assert path.stat().st_mtime_ns == written_at
