"""The Beam job: recordings -> staged spikes -> a plan for each dataset -> shards -> finished datasets.

Elements are small: the files of a cell, the number of a shard. Workers write waveforms to files and never
shuffle them. A fault in the data is a result like any other, not an exception.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import apache_beam as beam
import msgspec

from beam_pipelines.datasets.configs import ARRAYS, CONFIGS
from beam_pipelines.datasets.metadata import DatasetMetadata
from beam_pipelines.errors import UserError
from beam_pipelines.planning.array_plan import plan_arrays
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.planning.plan import DatasetPlan, plan_dataset
from beam_pipelines.storage import files
from beam_pipelines.transforms.failures import Failures
from beam_pipelines.transforms.finish_dataset import Sources, finish_dataset, write_rejected
from beam_pipelines.transforms.job import HERE, Job
from beam_pipelines.transforms.paths import BuildPaths
from beam_pipelines.transforms.publish_dataset import (
    PublishOnStore,
    is_published_as_planned,
    publish_local,
    was_published_since_planned,
)
from beam_pipelines.transforms.read_recordings import FindAndIngest, IngestResult, source_of_root
from beam_pipelines.transforms.staged_bank import open_bank, stage_bank
from beam_pipelines.transforms.write_shards import FailedShard, ShardTask, WriteShards, WrittenShard


@dataclasses.dataclass
class BuildDataset(beam.PTransform):
    """Makes one dataset from the ingested recordings: ``IngestResult`` -> the name of the finished config.

    Attributes
    ----------
    config : name of the config.
    options : the build's options.
    job : how the job runs.
    """

    config: str
    options: BuildOptions
    job: Job

    def expand(self, ingested: beam.PCollection[IngestResult]) -> beam.PCollection[str]:
        start = ingested.pipeline | 'Start' >> beam.Create([self.config])
        written = (
            start
            | 'Plan' >> beam.FlatMap(plan_shards, beam.pvalue.AsList(ingested), self.options, self.job)
            | 'WriteShards' >> WriteShards(self.options.data_dir, self.job)
        )
        finished = start | 'Finish' >> beam.ParDo(
            Finish(self.options, self.job),
            beam.pvalue.AsList(ingested),
            beam.pvalue.AsList(written),
        )
        if not self.job.publish or files.is_local(self.options.data_dir):
            return finished
        return finished | 'Publish' >> PublishOnStore(self.options.data_dir, self.job)


def plan_shards(
    config: str, ingested: Sequence[IngestResult], options: BuildOptions, job: Job
) -> Iterator[ShardTask | FailedShard]:
    """Writes a dataset's plan and yields the shards to make; a plan that fails is a failed shard.

    Nothing is yielded if the same dataset is already published and not to be replaced.
    """
    paths = BuildPaths(options.data_dir)
    try:
        errors = [result.error for result in ingested if result.error]
        if errors:
            raise UserError(min(errors))
        if config == ARRAYS:
            plan = plan_arrays([result.arrays for result in ingested if result.arrays], options)
        else:
            plan = plan_dataset(config, [result.cell for result in ingested if result.cell], options)
        _check_splits(plan, options)
        planned = paths.plan(config)
        if job.publish and not job.overwrite and is_published_as_planned(plan, paths):
            files.remove(planned)
            return
        # An identical plan is not rewritten: its time shows whether the dataset was published after it.
        content = msgspec.to_builtins(plan)
        earlier = files.read_json(planned) if files.exists(planned) else {}
        # The metadata say how spikes were cut, even where two ways give the same bytes.
        if any(earlier.get(field) != content[field] for field in ('fingerprint', 'cutting')):
            files.remove(paths.work(config))  # Leftovers of another build.
            files.write_json(planned, content)
        if not plan.arrays:
            stage_bank(plan, paths)
    except (OSError, UserError) as error:
        # Complete shards of an earlier run stay, because the store may be back in a minute.
        yield FailedShard(job.reason(error, paths.work(config)))
        return
    for split, shards in plan.shards.items():
        for number in range(shards):
            yield ShardTask(config, plan.fingerprint, split, number)


def _check_splits(plan: DatasetPlan, options: BuildOptions) -> None:
    """Raises UserError if a dataset that is kept splits the cells of the same recordings differently."""
    paths = BuildPaths(options.data_dir)
    recording_set = CONFIGS[plan.config].recording_set
    for config in CONFIGS.values():
        path = paths.metadata(config.name)
        if config.recording_set != recording_set or config.name in options.configs or not files.exists(path):
            continue
        if files.read_typed_json(path, DatasetMetadata).splits_fingerprint != plan.splits_fingerprint:
            raise UserError(
                f'{options.data_dir}: holds {config.name} of other recordings or another seed, so test cells of the one'
                f' could train the other; build both again together with --overwrite, or use another --data_dir'
            )


class Finish(beam.DoFn):
    """Finishes a dataset, and publishes it on a local file system; or records why it cannot be built."""

    def __init__(self, options: BuildOptions, job: Job):
        self._options = options
        self._paths = BuildPaths(options.data_dir)
        self._job = job
        self._failures = Failures(options.data_dir, job)

    def process(
        self, config: str, ingested: Sequence[IngestResult], written: Sequence[WrittenShard | FailedShard]
    ) -> Iterator[str]:
        if self._failures.attempt(config, lambda: self._finish(config, ingested, written)):
            yield config

    def _finish(
        self, config: str, ingested: Sequence[IngestResult], written: Sequence[WrittenShard | FailedShard]
    ) -> None:
        planned = self._paths.plan(config)
        plan = files.read_typed_json(planned, DatasetPlan) if files.exists(planned) else None
        # Runners may repeat work, even concurrently. The second time, the dataset is already published.
        if self._job.publish and plan and was_published_since_planned(plan, self._paths):
            return
        failures = [shard.error for shard in written if isinstance(shard, FailedShard)]
        if failures:
            raise UserError(min(failures))
        if plan:
            recording_set = CONFIGS[config].recording_set
            sources = Sources(
                source_of_root(self._options.recordings),
                [result.report for result in ingested if result.recording_set == recording_set],
                open_bank(plan, self._paths) if plan.synthetic_examples else None,
            )
            shards = [shard for shard in written if isinstance(shard, WrittenShard)]
            finish_dataset(plan, sources, shards, self._paths.staged(config, plan.fingerprint))
            if self._job.publish and files.is_local(self._paths.root):
                publish_local(plan, self._paths)


def build_pipeline(pipeline: beam.Pipeline, options: BuildOptions, job: Job = HERE) -> None:
    """Adds the whole job to a pipeline."""
    paths = BuildPaths(options.data_dir)
    root = pipeline | 'RecordingsRoot' >> beam.Create([options.recordings])
    ingested = root | 'Ingest' >> FindAndIngest(options, job)
    listed = (
        pipeline
        | 'RejectedPath' >> beam.Create([paths.rejected])
        | 'ListRejected' >> beam.Map(list_rejected, beam.pvalue.AsList(ingested), job)
    )
    finished = [ingested | f'Build_{config}' >> BuildDataset(config, options, job) for config in options.configs]
    (
        pipeline
        | 'Paths' >> beam.Create([paths])
        | 'CleanUp' >> beam.Map(clean_up, job.publish, *map(beam.pvalue.AsList, [*finished, listed]))
    )


def list_rejected(path: str, ingested: Sequence[IngestResult], job: Job) -> None:
    """Writes the list of all files that were not used."""
    # On this machine, a full disk is reported for the dataset that does not fit.
    with contextlib.nullcontext() if job.repeats_faults else contextlib.suppress(OSError):
        write_rejected(path, [result.report for result in ingested])


def clean_up(paths: BuildPaths, publish: bool, *ended: Sequence[str | None]) -> None:
    """Removes what the build no longer needs, once all steps that produce ``ended`` have finished.

    A dataset's inputs stay until then, so that each step of the job can be repeated.

    Parameters
    ----------
    paths : the build's paths.
    publish : whether the datasets were published; otherwise they are still in their work folders.
    ended : names of finished datasets, and ``None`` for the list of rejected files.
    """
    for config in (config for configs in ended for config in configs if config and publish):
        files.remove(paths.plan(config))
        files.remove(paths.work(config))
    files.remove(paths.staging)
    files.remove(paths.submitted)
