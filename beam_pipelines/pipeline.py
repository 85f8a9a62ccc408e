"""The Beam job: recordings -> staged spikes -> a plan for each dataset -> shards -> finished datasets.

Elements are small: the files of a cell, the number of a shard. Waveforms go from a worker to a file and never through a
shuffle. A fault in the data is a result like any other, not an exception.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from beam_pipelines import datasets, storage
from beam_pipelines.build_paths import BuildPaths
from beam_pipelines.find_recordings import are_simulated
from beam_pipelines.finish import METADATA_FILE, finish_dataset, rejected_lines
from beam_pipelines.ingest_recordings import FindAndIngest, IngestResult
from beam_pipelines.plan import BuildOptions, DatasetPlan, plan_dataset
from beam_pipelines.shards import WrittenShard
from beam_pipelines.write_shards import FailedShard, ShardTask, WriteShards


@dataclasses.dataclass
class BuildDataset(beam.PTransform):
    """Makes one dataset from the ingested recordings: ``IngestResult`` -> the name of the finished config.

    Attributes
    ----------
    config : name of the config.
    options : the build's options.
    publish : move the dataset to its place; without it, it stays in the work folder for the caller.
    overwrite : replace a dataset that is there when the job runs.
    detached : nobody waits for the job, so a dataset that cannot be built makes it fail.
    """

    config: str
    options: BuildOptions
    publish: bool = True
    overwrite: bool = False
    detached: bool = False

    def expand(self, ingested: beam.PCollection[IngestResult]) -> beam.PCollection[str]:
        start = ingested.pipeline | 'Start' >> beam.Create([self.config])
        written = (
            start
            | 'Plan'
            >> beam.FlatMap(_plan, beam.pvalue.AsList(ingested), self.options, self.publish and not self.overwrite)
            | 'WriteShards' >> WriteShards(self.options.data_dir)
        )
        return start | 'Finish' >> beam.FlatMap(
            _finish,
            beam.pvalue.AsList(ingested),
            beam.pvalue.AsList(written),
            self.options,
            self.publish,
            self.detached,
        )


def _plan(
    config: str, ingested: Sequence[IngestResult], options: BuildOptions, keep: bool
) -> Iterator[ShardTask | FailedShard]:
    """Plans a dataset into its work folder and hands out its shards; a plan that fails is a failed shard.

    If a dataset is there that is to be kept, and it is what would be built, there is nothing to do.
    """
    paths = BuildPaths(options.data_dir)
    try:
        errors = [result.error for result in ingested if result.error]
        if errors:
            raise ValueError(min(errors))
        plan = plan_dataset(config, [result.cell for result in ingested if result.cell], options)
        _check_splits(plan, options)
        if keep and _is_there(plan, paths):
            return
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


def _is_there(plan: DatasetPlan, paths: BuildPaths) -> bool:
    """Whether the dataset of a plan is there, as after a template has run twice; raises ValueError if it is another."""
    place = paths.dataset(plan.config)
    metadata = FileSystems.join(place, METADATA_FILE)
    if not storage.exists(metadata):
        return False
    if storage.read_json(metadata)['fingerprint'] != plan.fingerprint:
        raise ValueError(f'{place}: exists and is kept; --overwrite replaces it')
    return not storage.exists(paths.work(plan.config))


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


def _finish(
    config: str,
    ingested: Sequence[IngestResult],
    written: Sequence[WrittenShard | FailedShard],
    options: BuildOptions,
    publish: bool,
    detached: bool,
) -> Iterator[str]:
    paths = BuildPaths(options.data_dir)
    work = paths.work(config)
    failures = [shard.error for shard in written if isinstance(shard, FailedShard)]
    recording_set = datasets.CONFIGS[config].recording_set
    reports = [result.report for result in ingested if result.recording_set == recording_set]
    if failures and detached:
        raise RuntimeError(f'{min(failures)}; rejected files are listed in {paths.rejected}')
    try:
        if failures:
            storage.write_json(paths.failure(config), {'error': min(failures)})
            return
        # A bundle that is tried again after it has moved the dataset finds its work done.
        if storage.exists(work) and storage.exists(paths.plan(config)):
            plan = DatasetPlan.from_json(storage.read_json(paths.plan(config)))
            source = 'simulated' if are_simulated(options.recordings) else 'recorded'
            finish_dataset(plan, reports, written, work, source)
            if publish:
                _publish(config, paths)
        elif publish:
            storage.remove(work)
    except OSError as error:
        if detached:
            raise
        with contextlib.suppress(OSError):
            storage.write_json(paths.failure(config), {'error': f'{work}: {error.strerror or error}'})
        return
    yield config


def _publish(config: str, paths: BuildPaths) -> None:
    """Moves a finished dataset to its place.

    On an object store the work folder stays for a moment: without its plan, it is known for what is left of a move.
    """
    storage.put_in_place(
        paths.work(config), paths.dataset(config), aside=paths.replaced(config), last=datasets.INFO_FILE
    )
    storage.remove(paths.plan(config))
    storage.remove(paths.work(config))


def build_pipeline(
    pipeline: beam.Pipeline,
    options: BuildOptions,
    publish: bool = True,
    overwrite: bool = False,
    detached: bool = False,
) -> None:
    """Adds the whole job to a pipeline.

    Parameters
    ----------
    pipeline : the pipeline.
    options : the build's options.
    publish, overwrite, detached : see ``BuildDataset``.
    """
    paths = BuildPaths(options.data_dir)
    ingested = pipeline | 'RecordingsRoot' >> beam.Create([options.recordings]) | 'Ingest' >> FindAndIngest(options)
    listed = (
        pipeline
        | 'RejectedPath' >> beam.Create([paths.rejected])
        | 'ListRejected' >> beam.Map(_list_rejected, beam.pvalue.AsList(ingested))
    )
    finished = [
        ingested | f'Build_{config}' >> BuildDataset(config, options, publish, overwrite, detached)
        for config in options.configs
    ]
    (
        pipeline
        | 'Staging' >> beam.Create([paths.staging])
        | 'RemoveStaging' >> beam.Map(_remove_staging, paths.submitted, *map(beam.pvalue.AsList, [*finished, listed]))
    )


def _list_rejected(path: str, ingested: Sequence[IngestResult]) -> None:
    with contextlib.suppress(OSError):  # A full disk is reported with the dataset that does not fit.
        storage.write_bytes(path, rejected_lines([result.report for result in ingested]))


def _remove_staging(staging: str, submitted: str, *ended: Sequence) -> None:
    """Runs when all that it is given has ended."""
    del ended
    storage.remove(staging)
    storage.remove(submitted)
