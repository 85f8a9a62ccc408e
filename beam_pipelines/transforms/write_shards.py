"""The part of the Beam job that writes shards, in parallel on all workers or on the threads of one process."""

import concurrent.futures
import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Sequence

import apache_beam as beam
import google_crc32c
from apache_beam.io.filesystems import FileSystems
from apache_beam.utils import shared

from beam_pipelines.datasets.configs import shard_name
from beam_pipelines.errors import UserError
from beam_pipelines.planning.array_source import ArraySource
from beam_pipelines.planning.example_source import ExampleSource
from beam_pipelines.planning.plan import DatasetPlan
from beam_pipelines.recordings.rejection import RecordingRejected
from beam_pipelines.storage import files
from beam_pipelines.transforms.job import HERE, Job
from beam_pipelines.transforms.paths import BuildPaths
from beam_pipelines.transforms.staged_bank import open_bank

_RowSource = ExampleSource | ArraySource

# While one thread of a core waits for the disk, the other makes rows.
_THREADS_OF_A_CORE = 2


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """One shard to make."""

    config: str
    fingerprint: str
    split: str
    number: int


@dataclasses.dataclass(frozen=True)
class WrittenShard:
    """A complete shard.

    Attributes
    ----------
    split, number : which shard it is.
    examples : how many records it holds.
    crc32c : CRC-32C of the whole file, as eight hexadecimal digits.
    reused : True if an earlier, interrupted run had already made it.
    """

    split: str
    number: int
    examples: int
    crc32c: str
    reused: bool


@dataclasses.dataclass(frozen=True)
class FailedShard:
    """A shard that could not be written, and why."""

    error: str


class _Stopped(Exception):
    """A shard was given up because the build ends."""


@dataclasses.dataclass(frozen=True)
class _Turns:
    """What the threads of a process share.

    Attributes
    ----------
    cores : taken while rows are made.
    stop : set when the shards are to be given up.
    """

    cores: threading.Semaphore
    stop: threading.Event

    @contextlib.contextmanager
    def core(self) -> Iterator[None]:
        """Takes a core while the block runs; _Stopped if the shards are to be given up."""
        with self.cores:
            if self.stop.is_set():
                raise _Stopped
            yield


def _on_cores(cores: int) -> _Turns:
    return _Turns(threading.Semaphore(cores), threading.Event())


def write_shard(
    source: _RowSource, shard: tuple[str, int, range], path: str, turns: _Turns | None = None
) -> WrittenShard:
    """Writes a shard, unless it already exists.

    A shard gets its name only when it is complete, so an existing one need not be made again. The caller makes sure
    that it belongs to the same build.

    Parameters
    ----------
    source : makes the examples.
    shard : split and number, and the examples of the split that it holds.
    path : where to write it.
    turns : of the threads that write other shards; a core of it is taken only while there is something to compute.

    Raises
    ------
    OSError
        If it cannot be written.
    RecordingRejected
        If published arrays hold a value that is not finite.
    """
    turns = turns or _on_cores(1)
    split, number, examples = shard
    checksum = google_crc32c.Checksum()
    reused = files.exists(path)
    if reused:
        for block in files.read_blocks(path):
            with turns.core():
                checksum.update(block)
    else:
        blocks = source.blocks(split, examples.start, examples.stop)
        with files.create_atomically(path) as file:
            while True:
                with turns.core():
                    rows = next(blocks, None)
                    if rows is None:
                        break
                    checksum.update(rows)
                file.write(rows.data)
    return WrittenShard(split, number, len(examples), checksum.hexdigest().decode(), reused)


@dataclasses.dataclass
class WriteShards(beam.PTransform):
    """Writes the shards of planned datasets: ``ShardTask`` -> ``WrittenShard`` or ``FailedShard``.

    Attributes
    ----------
    data_dir : the TFDS data directory, in which the datasets' work folders hold their plans.
    job : how the job runs.
    """

    data_dir: str
    job: Job = HERE

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        writing = beam.ParDo(_WriteShard(ShardWriter(self.data_dir, self.job)))
        return tasks | 'SpreadShards' >> beam.Reshuffle() | 'WriteShard' >> writing


@dataclasses.dataclass(frozen=True)
class _Bank:
    """Everything that a worker needs to make any shard of a dataset."""

    plan: DatasetPlan
    source: _RowSource


class ShardWriter:
    """Writes shards of planned datasets.

    Parameters
    ----------
    data_dir : the TFDS data directory, in which the datasets' work folders hold their plans.
    job : how the job runs.
    """

    def __init__(self, data_dir: str, job: Job = HERE):
        self._paths = BuildPaths(data_dir)
        self._job = job
        self._loaded = beam.metrics.Metrics.counter('banks', 'loaded')
        self._written = beam.metrics.Metrics.counter('shards', 'written')
        self._reused = beam.metrics.Metrics.counter('shards', 'reused')

    def load(self, task: ShardTask) -> _Bank:
        """Opens a dataset's spikes and masks.

        Raises
        ------
        OSError, UserError
            If they cannot be read, or belong to another build.
        """
        plan = files.read_typed_json(self._paths.plan(task.config), DatasetPlan)
        if plan.fingerprint != task.fingerprint:
            raise OSError(f'another build has begun in {self._paths.root}')
        self._loaded.inc()
        return _Bank(plan, ArraySource(plan) if plan.arrays else ExampleSource(plan, open_bank(plan, self._paths)))

    def write_all(self, tasks: Sequence[ShardTask | FailedShard], cores: int) -> list[WrittenShard | FailedShard]:
        """Writes all shards of a dataset on threads that share its spikes and masks.

        If it is interrupted, the threads end after the block of rows that they are at.

        Parameters
        ----------
        tasks : of one dataset.
        cores : how many threads make rows at a time.
        """
        planned = [task for task in tasks if isinstance(task, ShardTask)]
        failed = [task for task in tasks if isinstance(task, FailedShard)]
        if not planned:
            return [*failed]
        try:
            bank = self.load(planned[0])
        except (OSError, UserError) as error:
            return [*failed, self.failed(error, planned[0])]
        turns = _on_cores(cores)
        with concurrent.futures.ThreadPoolExecutor(_THREADS_OF_A_CORE * cores) as pool:
            writing = [pool.submit(self._write, bank, task, turns) for task in planned]
            try:
                written = [shard.result() for shard in writing]
            except BaseException:
                turns.stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        for shard in written:
            self._count(shard)
        return [*failed, *written]

    def write(self, bank: _Bank, task: ShardTask) -> WrittenShard | FailedShard:
        """Writes a shard of the dataset that a bank was loaded for."""
        shard = self._write(bank, task)
        self._count(shard)
        return shard

    def _write(self, bank: _Bank, task: ShardTask, turns: _Turns | None = None) -> WrittenShard | FailedShard:
        plan = bank.plan
        name = shard_name(task.split, task.number, plan.shards[task.split])
        shard = (task.split, task.number, range(*plan.shard_range(task.split, task.number)))
        path = FileSystems.join(self._paths.staged(task.config, task.fingerprint), name)
        try:
            return write_shard(bank.source, shard, path, turns)
        except RecordingRejected as error:
            return FailedShard(f'{task.config}: {error}')
        except OSError as error:
            return FailedShard(self._job.reason(error, path))

    def failed(self, error: OSError | UserError, task: ShardTask) -> FailedShard:
        """Returns what becomes of a shard whose spikes could not be loaded; raises as ``Job.reason`` does."""
        return FailedShard(self._job.reason(error, task.config))

    def _count(self, shard: WrittenShard | FailedShard) -> None:
        # Here, because Beam counts nothing on threads that are not its own.
        if isinstance(shard, WrittenShard):
            (self._reused if shard.reused else self._written).inc()


class _WriteShard(beam.DoFn):
    """Writes shards; a worker loads a dataset's spikes and masks only once."""

    def __init__(self, writer: ShardWriter):
        self._writer = writer
        self._shared = shared.Shared()
        self._bank: _Bank | None = None

    def process(self, task: ShardTask | FailedShard) -> Iterator[WrittenShard | FailedShard]:
        if isinstance(task, FailedShard):
            yield task
            return
        try:
            bank: _Bank = self._shared.acquire(lambda: self._writer.load(task), tag=task.fingerprint)
        except (OSError, UserError) as error:
            yield self._writer.failed(error, task)
            return
        self._bank = bank  # Kept here because Beam keeps only the bank that a step acquired last.
        yield self._writer.write(bank, task)
