"""The Beam job: recordings -> staged spikes -> a plan for each dataset -> shards -> finished datasets.

Elements are small: the files of a cell, the number of a shard. Waveforms go from a worker to a file and never through a
shuffle. A fault in the data is a result like any other, not an exception.
"""

import contextlib
import dataclasses
import os
import uuid
from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from beam_pipelines.datasets.configs import CONFIGS, INFO_FILE, METADATA_FILE
from beam_pipelines.errors import UserError
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.planning.plan import DatasetPlan, plan_dataset
from beam_pipelines.storage import files
from beam_pipelines.transforms.find_recordings import are_simulated
from beam_pipelines.transforms.finish_dataset import check_shard_sizes, finish_dataset, rejected_lines
from beam_pipelines.transforms.paths import BuildPaths
from beam_pipelines.transforms.read_recordings import FindAndIngest, IngestResult
from beam_pipelines.transforms.shards import WrittenShard
from beam_pipelines.transforms.write_shards import FailedShard, ShardTask, WriteShards


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
            raise UserError(min(errors))
        plan = plan_dataset(config, [result.cell for result in ingested if result.cell], options)
        _check_splits(plan, options)
        planned = paths.plan(config)
        if keep and _is_there(plan, paths):
            files.remove(planned)
            return
        # A plan that is there stays as it is: its time tells whether the dataset was published after it.
        if not files.exists(planned) or files.read_json(planned)['fingerprint'] != plan.fingerprint:
            files.remove(paths.work(config))  # Left by a build of something else.
            files.write_json(planned, plan.to_json())
    except (OSError, UserError) as error:
        # The whole shards of an earlier run stay: a store may be back in a minute.
        where = paths.work(config)
        yield FailedShard(f'{where}: {error.strerror}' if isinstance(error, OSError) else str(error))
        return
    for split, shards in plan.shards.items():
        for number in range(shards):
            yield ShardTask(config, plan.fingerprint, split, number)


def _is_there(plan: DatasetPlan, paths: BuildPaths) -> bool:
    """Whether the dataset of a plan is there, as after a template has run twice; raises UserError if it is another."""
    published = _published_fingerprint(plan.config, paths)
    if published not in (None, plan.fingerprint):
        raise UserError(f'{paths.dataset(plan.config)}: exists and is kept; --overwrite replaces it')
    return published is not None


def _was_published(plan: DatasetPlan, paths: BuildPaths) -> bool:
    """Whether the dataset of a plan has been published since it was planned, by another attempt at the same work."""
    metadata = FileSystems.join(paths.dataset(plan.config), METADATA_FILE)
    return _published_fingerprint(plan.config, paths) == plan.fingerprint and (
        files.modification_time(metadata) >= files.modification_time(paths.plan(plan.config))
    )


def _published_fingerprint(config: str, paths: BuildPaths) -> str | None:
    """Returns the fingerprint of the dataset that is in its place, None if there is none."""
    place = paths.dataset(config)
    if not files.is_published(place, INFO_FILE):
        return None
    return files.read_json(FileSystems.join(place, METADATA_FILE))['fingerprint']


def _check_splits(plan: DatasetPlan, options: BuildOptions) -> None:
    """Raises UserError if a dataset of the same recordings that stays there has split the cells otherwise."""
    paths = BuildPaths(options.data_dir)
    recording_set = CONFIGS[plan.config].recording_set
    for config in CONFIGS.values():
        path = FileSystems.join(paths.dataset(config.name), METADATA_FILE)
        if config.recording_set != recording_set or config.name in options.configs or not files.exists(path):
            continue
        if files.read_json(path).get('splits_fingerprint') != plan.splits_fingerprint:
            raise UserError(
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
    failures = [shard.error for shard in written if isinstance(shard, FailedShard)]
    recording_set = CONFIGS[config].recording_set
    reports = [result.report for result in ingested if result.recording_set == recording_set]
    try:
        planned = paths.plan(config)
        plan = DatasetPlan.from_json(files.read_json(planned)) if files.exists(planned) else None
        # Work that is done twice, as runners may, even at the same time, finds its dataset published.
        if not (publish and plan and _was_published(plan, paths)):
            if failures:
                raise _CannotBeBuilt(min(failures))
            if plan:
                folder = paths.growing(config, plan.fingerprint)
                source = 'simulated' if are_simulated(options.recordings) else 'recorded'
                finish_dataset(plan, reports, written, folder, source)
                if publish:
                    publish_dataset(plan, paths)
        files.remove(paths.failure(config))
    except (OSError, _CannotBeBuilt) as error:
        reason = f'{paths.work(config)}: {error.strerror or error}' if isinstance(error, OSError) else str(error)
        if detached:
            raise RuntimeError(f'{reason}; rejected files are listed in {paths.rejected}') from error
        with contextlib.suppress(OSError):
            files.write_json(paths.failure(config), {'error': reason})
        return
    yield config


class _CannotBeBuilt(Exception):
    """A dataset cannot be built; the message says why."""


def publish_dataset(plan: DatasetPlan, paths: BuildPaths) -> None:
    """Moves a finished dataset to its place; on an object store it is copied, and stays until the job's last step."""
    folder, place = paths.growing(plan.config, plan.fingerprint), paths.dataset(plan.config)
    if files.is_local(folder):
        # Of two that publish at the same time one gets the shards, and only that one may replace what is there.
        own = f'{folder}-{uuid.uuid4().hex}'
        os.rename(folder, own)
        try:
            check_shard_sizes(plan, own)
        except RuntimeError:
            if not _was_published(plan, paths):
                raise
            return
        folder = own
    files.publish(folder, place, aside=paths.replaced(plan.config), last=INFO_FILE)


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
        | 'Remains' >> beam.Create([paths])
        | 'RemoveRemains' >> beam.Map(_remove_remains, publish, *map(beam.pvalue.AsList, [*finished, listed]))
    )


def _list_rejected(path: str, ingested: Sequence[IngestResult]) -> None:
    with contextlib.suppress(OSError):  # A full disk is reported with the dataset that does not fit.
        files.write_bytes(path, rejected_lines([result.report for result in ingested]))


def _remove_remains(paths: BuildPaths, publish: bool, *ended: Sequence[str | None]) -> None:
    """Runs when all that it is given has ended: the names of the datasets that are finished, and ``None`` for the list.

    What a dataset was made from stays until here, so that each step of the job can be done again.
    """
    for config in (config for configs in ended for config in configs if config and publish):
        files.remove(paths.plan(config))
        files.remove(paths.work(config))
    files.remove(paths.staging)
    files.remove(paths.submitted)
