import contextlib
import dataclasses
import pathlib
import signal
import threading

import google_crc32c
import msgspec
import pytest

from beam_pipelines.datasets import record_layout
from beam_pipelines.planning import example_source
from beam_pipelines.storage import files
from beam_pipelines.transforms import write_shards
from beam_pipelines.transforms.job import HERE, Job
from beam_pipelines.transforms.paths import BuildPaths
from beam_pipelines.transforms.write_shards import FailedShard, ShardTask, ShardWriter, WrittenShard, write_shard
from tests.support.folders import files_of
from tests.support.small_dataset import make_source


@pytest.fixture
def tasks(tmp_path, monkeypatch) -> list[ShardTask]:
    """The shards of a planned dataset, whose spikes and masks are in memory."""
    plan, source = make_source('synthetic', synthetic_examples=(20_000, 20_000))
    files.write_json(BuildPaths(str(tmp_path)).plan('synthetic'), msgspec.to_builtins(plan))
    monkeypatch.setattr(write_shards, 'ExampleSource', lambda *_: source)
    monkeypatch.setattr(write_shards, 'open_bank', lambda *_: None)
    return [ShardTask('synthetic', plan.fingerprint, 'train', number) for number in range(plan.shards['train'])]


def _written(tasks, tmp_path) -> dict[str, bytes]:
    return files_of(pathlib.Path(BuildPaths(str(tmp_path)).staged('synthetic', tasks[0].fingerprint)))


def test_threads_write_the_same_shards_and_report_them_in_order(tasks, tmp_path):
    first = ShardWriter(str(tmp_path)).write_all(tasks, 1)
    content = _written(tasks, tmp_path)
    files.remove(BuildPaths(str(tmp_path)).work('synthetic'))
    assert ShardWriter(str(tmp_path)).write_all(tasks, 4) == first
    assert _written(tasks, tmp_path) == content
    assert [shard.number for shard in first] == list(range(len(tasks)))
    assert len(content) == len(tasks) > 100


def test_ctrl_c_ends_all_threads_and_leaves_whole_shards_only(tasks, tmp_path, monkeypatch):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip('signals reach the main thread only')
    make, made = example_source.numba_rows.RowMaker.make, []

    def interrupt(maker, first, rows):
        make(maker, first, rows)
        made.append(first)
        if len(made) == 20:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(example_source.numba_rows.RowMaker, 'make', interrupt)
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        ShardWriter(str(tmp_path)).write_all(tasks, 2)
    assert threading.active_count() == threads
    assert 0 < len(made) < len(tasks)
    assert not any(files.is_temporary(name) for name in _written(tasks, tmp_path))
    resumed = ShardWriter(str(tmp_path)).write_all(tasks, 2)
    assert 0 < sum(shard.reused for shard in resumed) < len(tasks)


def test_shards_that_the_disk_does_not_take_are_named_and_the_others_written(tasks, tmp_path, monkeypatch):
    create = files.create_atomically

    def full(path, *arguments):
        if '-00007-of' in path:
            raise OSError(28, 'No space left on device', path)
        return create(path, *arguments)

    monkeypatch.setattr(files, 'create_atomically', full)
    written = ShardWriter(str(tmp_path)).write_all(tasks, 2)
    (failed,) = (shard for shard in written if isinstance(shard, FailedShard))
    assert '-00007-of-' in failed.error and failed.error.endswith('No space left on device')
    assert len(_written(tasks, tmp_path)) == len(tasks) - 1


def test_on_a_cluster_a_shard_that_cannot_be_written_is_the_runner_s_to_repeat(tasks, tmp_path):
    work = pathlib.Path(BuildPaths(str(tmp_path)).work('synthetic'))
    work.touch()
    for job in (HERE, Job(repeats_faults=True)):
        writer = ShardWriter(str(tmp_path), job)
        bank = writer.load(tasks[0])
        with pytest.raises(OSError, match=str(work)) if job.repeats_faults else contextlib.nullcontext():
            assert str(work) in writer.write(bank, tasks[0]).error
    work.unlink()
    assert isinstance(writer.write(bank, tasks[0]), WrittenShard)


def test_a_shard_holds_the_records_of_its_range(tmp_path):
    _, source = make_source('synthetic_small')
    written = write_shard(source, ('train', 3, range(1_000, 6_000)), str(tmp_path / 'shard'))
    examples = source.make('train', 1_000, 6_000)
    rows = record_layout.encode_records(**dataclasses.asdict(examples))
    content = (tmp_path / 'shard').read_bytes()
    assert content == rows.tobytes()
    assert (written.split, written.number, written.examples, written.reused) == ('train', 3, 5_000, False)
    assert written.crc32c == f'{google_crc32c.value(content):08x}'


def test_a_whole_shard_of_an_interrupted_run_is_kept(tmp_path):
    _, source = make_source('synthetic_small')
    path = tmp_path / 'shard'
    first = write_shard(source, ('train', 0, range(100)), str(path))
    written_at = path.stat().st_mtime_ns
    again = write_shard(source, ('train', 0, range(100)), str(path))
    assert again.reused
    assert again.crc32c == first.crc32c
    assert path.stat().st_mtime_ns == written_at
