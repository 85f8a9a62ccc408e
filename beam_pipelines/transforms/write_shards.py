"""The part of the Beam job that writes shards, in parallel on all workers."""

import dataclasses
from collections.abc import Iterator

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
from beam_pipelines.transforms.paths import BuildPaths

_RowSource = ExampleSource | ArraySource


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


def write_shard(source: _RowSource, split: str, number: int, examples: range, path: str) -> WrittenShard:
    """Writes a shard, unless it already exists.

    A shard gets its name only when it is complete, so an existing one need not be made again. The caller makes sure
    that it belongs to the same build.

    Parameters
    ----------
    source : makes the examples.
    split, number : which shard it is.
    examples : the examples of the split that it holds.
    path : where to write it.

    Raises
    ------
    OSError
        If it cannot be written.
    RecordingRejected
        If published arrays hold a value that is not finite.
    """
    checksum = google_crc32c.Checksum()
    reused = files.exists(path)
    if reused:
        for block in files.read_blocks(path):
            checksum.update(block)
    else:
        with files.create_atomically(path) as file:
            for rows in source.blocks(split, examples.start, examples.stop):
                checksum.update(rows)
                file.write(rows.data)
    return WrittenShard(split, number, len(examples), checksum.hexdigest().decode(), reused)


@dataclasses.dataclass
class WriteShards(beam.PTransform):
    """Writes the shards of planned datasets: ``ShardTask`` -> ``WrittenShard`` or ``FailedShard``.

    Attributes
    ----------
    data_dir : the TFDS data directory, in which the datasets' work folders hold their plans.
    """

    data_dir: str

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        return tasks | 'SpreadShards' >> beam.Reshuffle() | 'WriteShard' >> beam.ParDo(_WriteShard(self.data_dir))


def words_of(error: OSError | UserError, place: str) -> str:
    """Returns an error in one line that names its file, or the given place if it names none."""
    return f'{error.filename or place}: {error.strerror or error}' if isinstance(error, OSError) else str(error)


@dataclasses.dataclass(frozen=True)
class _Bank:
    """Everything that a worker needs to make any shard of a dataset."""

    plan: DatasetPlan
    source: _RowSource


class _WriteShard(beam.DoFn):
    """Writes shards; a worker loads a dataset's spikes and masks only once."""

    def __init__(self, data_dir: str):
        self._paths = BuildPaths(data_dir)
        self._shared = shared.Shared()
        self._bank: _Bank | None = None
        self._loaded = beam.metrics.Metrics.counter('banks', 'loaded')
        self._written = beam.metrics.Metrics.counter('shards', 'written')
        self._reused = beam.metrics.Metrics.counter('shards', 'reused')

    def process(self, task: ShardTask | FailedShard) -> Iterator[WrittenShard | FailedShard]:
        if isinstance(task, FailedShard):
            yield task
            return
        try:
            bank: _Bank = self._shared.acquire(lambda: self._load(task), tag=task.fingerprint)
        except (OSError, UserError) as error:
            yield FailedShard(words_of(error, task.config))
            return
        self._bank = bank  # Kept here because Beam keeps only the bank that a step acquired last.
        plan = bank.plan
        name = shard_name(task.split, task.number, plan.shards[task.split])
        examples = range(*plan.shard_range(task.split, task.number))
        path = FileSystems.join(self._paths.staged(task.config, task.fingerprint), name)
        try:
            shard = write_shard(bank.source, task.split, task.number, examples, path)
        except RecordingRejected as error:
            yield FailedShard(f'{task.config}: {error}')
            return
        except OSError as error:
            yield FailedShard(words_of(error, path))
            return
        (self._reused if shard.reused else self._written).inc()
        yield shard

    def _load(self, task: ShardTask) -> _Bank:
        plan = files.read_typed_json(self._paths.plan(task.config), DatasetPlan)
        if plan.fingerprint != task.fingerprint:
            raise OSError(f'another build has begun in {self._paths.root}')
        self._loaded.inc()
        return _Bank(plan, ArraySource(plan) if plan.arrays else ExampleSource(plan, files.read_bytes))
