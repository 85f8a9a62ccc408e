"""The Beam job: recordings -> staged spikes -> a plan for each dataset -> shards -> finished datasets.

Elements are small: the files of a cell, the number of a shard. Waveforms go from a worker to a file and never through a
shuffle. A fault in the data is a result like any other, not an exception.
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.utils import shared

from beam_pipelines import datasets, storage
from beam_pipelines.examples import ExampleSource
from beam_pipelines.finish import METADATA_FILE, REJECTED_FILE, finish_dataset, rejected_lines
from beam_pipelines.ingest import IngestReport, ingest_cell, rejection_report
from beam_pipelines.plan import BuildOptions, DatasetPlan, IngestedCell, plan_dataset
from beam_pipelines.recordings import RecordingFiles, RejectedFile
from beam_pipelines.shards import WrittenShard, write_shard


@dataclasses.dataclass(frozen=True)
class BuildPaths:
    """Where a build puts what; nothing but whole datasets and ``rejected.jsonl`` is left when it ends well."""

    data_dir: str

    @property
    def root(self) -> str:
        return FileSystems.join(self.data_dir, datasets.NAME)

    @property
    def staging(self) -> str:
        """Spikes of each cell, between reading and writing."""
        return FileSystems.join(self.root, '.staging')

    @property
    def running(self) -> str:
        """The options of a build that has not ended, and which datasets were not there when it began."""
        return FileSystems.join(self.root, '.running.json')

    @property
    def lock(self) -> str:
        return FileSystems.join(self.root, '.lock')

    @property
    def rejected(self) -> str:
        return FileSystems.join(self.root, REJECTED_FILE)

    def dataset(self, config: str) -> str:
        return FileSystems.join(self.root, config, datasets.VERSION)

    def work(self, config: str) -> str:
        """The folder in which a dataset grows, beside its place."""
        return FileSystems.join(self.root, config, f'{datasets.VERSION}.building')

    def plan(self, config: str) -> str:
        """The dataset's plan, which tells a build that is started again whose the shards in the work folder are."""
        return f'{self.work(config)}.plan.json'

    def failure(self, config: str) -> str:
        """Why the dataset could not be built, for the process that started the build."""
        return f'{self.work(config)}.failure.json'

    def replaced(self, config: str) -> str:
        """Where a dataset is put while the one that replaces it is moved to its place."""
        return FileSystems.join(self.root, config, f'{datasets.VERSION}.replaced')


@dataclasses.dataclass(frozen=True)
class IngestResult:
    """What became of some files of one recording set.

    Attributes
    ----------
    recording_set : ``original`` or ``non_homogeneous``.
    report : what became of the files and their triggers.
    cell : the cell, None if every file was rejected.
    error : why the spikes could not be staged, a fault of the disk and not of the recording.
    """

    recording_set: str
    report: IngestReport
    cell: IngestedCell | None = None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """One shard to make."""

    config: str
    fingerprint: str
    split: str
    number: int


@dataclasses.dataclass(frozen=True)
class FailedShard:
    """A shard that could not be written, and why."""

    error: str


@dataclasses.dataclass
class IngestRecordings(beam.PTransform):
    """Reads recordings and stages the spikes of each cell: ``RecordingFiles`` -> ``IngestResult``.

    Attributes
    ----------
    options : the build's options.
    """

    options: BuildOptions

    def expand(self, recordings: beam.PCollection[RecordingFiles]) -> beam.PCollection[IngestResult]:
        return (
            recordings | 'SpreadRecordings' >> beam.Reshuffle() | 'ReadRecording' >> beam.ParDo(_Ingest(self.options))
        )


class _Ingest(beam.DoFn):
    def __init__(self, options: BuildOptions):
        self._options = options

    def process(self, recording: RecordingFiles) -> Iterator[IngestResult]:
        options = self._options
        spikes, report = ingest_cell(recording, options.seed, options.num_masks, options.resample, storage.local_copy)
        if spikes is None:
            yield IngestResult(recording.recording_set, report)
            return
        name = hashlib.sha256(recording.cell_id.encode()).hexdigest()[:32]
        staged = FileSystems.join(BuildPaths(options.data_dir).staging, f'{name}.npz')
        try:
            storage.write_bytes(staged, spikes.to_bytes())
        except OSError as error:
            yield IngestResult(recording.recording_set, report, error=f'{staged}: {error.strerror or error}')
            return
        cell = IngestedCell(
            recording.recording_set,
            recording.label,
            recording.cell_id,
            staged,
            spikes.fingerprint(),
            len(spikes.masks),
            report,
            spikes.spikes_fingerprint(),
        )
        yield IngestResult(recording.recording_set, report, cell)


@dataclasses.dataclass
class BuildDataset(beam.PTransform):
    """Makes one dataset from the ingested recordings: ``IngestResult`` -> the name of the finished config.

    Attributes
    ----------
    config : name of the config.
    options : the build's options.
    source : ``recorded`` or ``simulated``, for the metadata.
    publish : move the dataset to its place; without it, it stays in the work folder for the caller.
    """

    config: str
    options: BuildOptions
    source: str
    publish: bool = True

    def expand(self, ingested: beam.PCollection[IngestResult]) -> beam.PCollection[str]:
        start = ingested.pipeline | 'Start' >> beam.Create([self.config])
        written = (
            start
            | 'Plan' >> beam.FlatMap(_plan, beam.pvalue.AsList(ingested), self.options)
            | 'WriteShards' >> WriteShards(self.options.data_dir)
        )
        return start | 'Finish' >> beam.FlatMap(
            _finish,
            beam.pvalue.AsList(ingested),
            beam.pvalue.AsList(written),
            self.options,
            self.source,
            self.publish,
        )


def _plan(config: str, ingested: Sequence[IngestResult], options: BuildOptions) -> Iterator[ShardTask | FailedShard]:
    """Plans a dataset into its work folder and hands out its shards; a plan that fails is a failed shard."""
    paths = BuildPaths(options.data_dir)
    try:
        errors = [result.error for result in ingested if result.error]
        if errors:
            raise ValueError(min(errors))
        plan = plan_dataset(config, [result.cell for result in ingested if result.cell], options)
        _check_splits(plan, options)
        planned = paths.plan(config)
        if not storage.exists(planned) or storage.read_json(planned)['fingerprint'] != plan.fingerprint:
            storage.remove(paths.work(config))  # Left by a build of something else.
        storage.write_json(planned, plan.to_json())
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            storage.remove(paths.work(config))
            storage.remove(paths.plan(config))
        where = paths.work(config)
        yield FailedShard(f'{where}: {error.strerror}' if isinstance(error, OSError) else str(error))
        return
    for split, shards in plan.shards.items():
        for number in range(shards):
            yield ShardTask(config, plan.fingerprint, split, number)


def _check_splits(plan: DatasetPlan, options: BuildOptions) -> None:
    """Raises ValueError if a dataset of the same recordings that stays there has split the cells otherwise."""
    paths = BuildPaths(options.data_dir)
    recording_set = datasets.CONFIGS[plan.config].recording_set
    for config in datasets.CONFIGS.values():
        path = FileSystems.join(paths.dataset(config.name), METADATA_FILE)
        if config.recording_set != recording_set or config.name in options.configs or not storage.exists(path):
            continue
        if storage.read_json(path).get('splits_fingerprint') != plan.splits_fingerprint:
            raise ValueError(
                f'{options.data_dir}: holds {config.name} of other recordings or another seed, so test cells of the one'
                f' could train the other; build both again together with --overwrite, or use another --data_dir'
            )


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


class _WriteShard(beam.DoFn):
    """Writes shards; a worker loads a dataset's spikes and masks once, however many of its shards it writes."""

    def __init__(self, data_dir: str):
        self._data_dir = data_dir
        self._shared = shared.Shared()
        self._written = beam.metrics.Metrics.counter('shards', 'written')
        self._reused = beam.metrics.Metrics.counter('shards', 'reused')

    def process(self, task: ShardTask | FailedShard) -> Iterator[WrittenShard | FailedShard]:
        if isinstance(task, FailedShard):
            yield task
            return
        paths = BuildPaths(self._data_dir)
        plan = DatasetPlan.from_json(storage.read_json(paths.plan(task.config)))
        source = self._shared.acquire(lambda: ExampleSource(plan, storage.read_bytes), tag=task.fingerprint)
        name = datasets.shard_name(task.split, task.number, plan.shards[task.split])
        first, stop = plan.shard_range(task.split, task.number)
        try:
            shard = write_shard(
                source, task.split, task.number, first, stop, FileSystems.join(paths.work(task.config), name)
            )
            (self._reused if shard.reused else self._written).inc()
            yield shard
        except OSError as error:
            yield FailedShard(f'{error.strerror or error}: {name} ({(stop - first):,} records) could not be written')


def _finish(
    config: str,
    ingested: Sequence[IngestResult],
    written: Sequence[WrittenShard | FailedShard],
    options: BuildOptions,
    source: str,
    publish: bool,
) -> Iterator[str]:
    paths = BuildPaths(options.data_dir)
    work = paths.work(config)
    failures = [shard.error for shard in written if isinstance(shard, FailedShard)]
    recording_set = datasets.CONFIGS[config].recording_set
    reports = [result.report for result in ingested if result.recording_set == recording_set]
    try:
        if failures:
            storage.write_json(paths.failure(config), {'error': min(failures)})
            return
        # A bundle that is tried again after it has moved the dataset finds its work done.
        if storage.exists(work):
            plan = DatasetPlan.from_json(storage.read_json(paths.plan(config)))
            finish_dataset(plan, reports, written, work, source)
            if publish:
                _publish(config, paths)
    except OSError as error:
        with contextlib.suppress(OSError):
            storage.write_json(paths.failure(config), {'error': f'{work}: {error.strerror or error}'})
        return
    yield config


def _publish(config: str, paths: BuildPaths) -> None:
    """Moves a finished dataset to its place; one that is there is removed only when the new one stands there."""
    place, replaced = paths.dataset(config), paths.replaced(config)
    if storage.exists(place):
        storage.remove(replaced)
        storage.move_folder(place, replaced)
    storage.move_folder(paths.work(config), place)
    storage.remove(replaced)
    storage.remove(paths.plan(config))


def build_pipeline(
    pipeline: beam.Pipeline,
    recordings: Iterable[RecordingFiles],
    rejected: Iterable[tuple[str, RejectedFile]],
    options: BuildOptions,
    source: str,
    publish: bool = True,
) -> None:
    """Adds the whole job to a pipeline.

    Parameters
    ----------
    pipeline : the pipeline.
    recordings, rejected : as ``recordings.group_files`` gives them.
    options : the build's options.
    source : ``recorded`` or ``simulated``, for the metadata.
    publish : see ``BuildDataset``.
    """
    paths = BuildPaths(options.data_dir)
    unusable = [IngestResult(recording_set, rejection_report(file)) for recording_set, file in rejected]
    ingested = (
        pipeline | 'Recordings' >> beam.Create(list(recordings)) | 'Ingest' >> IngestRecordings(options),
        pipeline | 'UnusableFiles' >> beam.Create(unusable),
    ) | 'AllFiles' >> beam.Flatten()
    ingested = ingested | 'CountFiles' >> beam.ParDo(_CountFiles())
    listed = (
        pipeline
        | 'RejectedPath' >> beam.Create([paths.rejected])
        | 'ListRejected' >> beam.Map(_list_rejected, beam.pvalue.AsList(ingested))
    )
    finished = [
        ingested | f'Build_{config}' >> BuildDataset(config, options, source, publish) for config in options.configs
    ]
    (
        pipeline
        | 'Staging' >> beam.Create([paths.staging])
        | 'RemoveStaging' >> beam.Map(_remove_staging, *map(beam.pvalue.AsList, [*finished, listed]))
    )


def _list_rejected(path: str, ingested: Sequence[IngestResult]) -> None:
    with contextlib.suppress(OSError):  # A full disk is reported with the dataset that does not fit.
        storage.write_bytes(path, rejected_lines([result.report for result in ingested]))


class _CountFiles(beam.DoFn):
    """Counts what became of the files, among them those that no recording was made of."""

    def process(self, result: IngestResult) -> Iterator[IngestResult]:
        report = result.report
        beam.metrics.Metrics.counter('recordings', 'used').inc(result.cell is not None)
        beam.metrics.Metrics.counter('recordings', 'rejected').inc(len(report.rejected))
        for file in report.rejected:
            beam.metrics.Metrics.counter('rejected', file.reason).inc()
        beam.metrics.Metrics.counter('spikes', 'detected').inc(report.spikes)
        beam.metrics.Metrics.counter('spikes', 'dropped').inc(report.dropped)
        yield result


def _remove_staging(staging: str, *ended: Sequence) -> None:
    """Runs when all that it is given has ended."""
    del ended
    storage.remove(staging)
