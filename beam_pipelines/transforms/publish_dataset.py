"""Publishes finished datasets: a local one is moved in one step, one on an object store is copied by all workers."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Iterator, Sequence

import apache_beam as beam

from beam_pipelines.datasets.configs import INFO_FILE
from beam_pipelines.datasets.metadata import DatasetMetadata
from beam_pipelines.errors import UserError
from beam_pipelines.planning.plan import DatasetPlan
from beam_pipelines.storage import files, publishing
from beam_pipelines.transforms.failures import Failures
from beam_pipelines.transforms.finish_dataset import check_shard_sizes
from beam_pipelines.transforms.job import Job
from beam_pipelines.transforms.paths import BuildPaths

# A worker copies so many with a few requests at a time. Their names are to stay a small element.
_FILES_OF_A_TASK = 64


@dataclasses.dataclass(frozen=True)
class CopyTask:
    """Some files of a finished dataset on an object store, to be copied to where it is published."""

    config: str
    fingerprint: str
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class FailedCopy:
    """Files that could not be copied, and why."""

    error: str


@dataclasses.dataclass
class PublishOnStore(beam.PTransform):
    """Publishes finished datasets on an object store: names of finished configs -> names of published ones.

    First a dataset that is replaced becomes incomplete for its readers. Then all workers copy files, in any order.
    When all are there, ``dataset_info.json`` completes the dataset, and all workers remove what was staged.

    Attributes
    ----------
    data_dir : the TFDS data directory.
    job : how the job runs.
    """

    data_dir: str
    job: Job

    def expand(self, finished: beam.PCollection[str]) -> beam.PCollection[str]:
        paths = BuildPaths(self.data_dir)
        copied = (
            finished
            | 'ListFiles' >> beam.FlatMap(list_copies, paths, self.job)
            | 'SpreadFiles' >> beam.Reshuffle()
            | 'CopyFiles' >> beam.Map(copy_files, paths, self.job)
        )
        published = finished | 'Complete' >> beam.ParDo(Complete(self.data_dir, self.job), beam.pvalue.AsList(copied))
        removed = copied | 'RemoveStaged' >> beam.Map(remove_staged, paths, beam.pvalue.AsList(published))
        return published | 'Published' >> beam.Map(_when_ended, beam.pvalue.AsList(removed))


def list_copies(config: str, paths: BuildPaths, job: Job) -> Iterator[CopyTask | FailedCopy]:
    """Makes a dataset that is replaced incomplete, and yields the files to copy; none if that was done before."""
    try:
        plan = _unpublished_plan(config, paths)
        if plan is None:
            return
        publishing.withdraw(paths.dataset(config), INFO_FILE)
        names = [name for name in publishing.names_of(paths.staged(config, plan.fingerprint)) if name != INFO_FILE]
    except OSError as error:
        yield FailedCopy(job.reason(error, paths.dataset(config)))
        return
    for start in range(0, len(names), _FILES_OF_A_TASK):
        yield CopyTask(config, plan.fingerprint, tuple(names[start : start + _FILES_OF_A_TASK]))


def copy_files(task: CopyTask | FailedCopy, paths: BuildPaths, job: Job) -> CopyTask | FailedCopy:
    """Copies some files to where their dataset is published."""
    if isinstance(task, FailedCopy):
        return task
    target = paths.dataset(task.config)
    try:
        publishing.copy_files(paths.staged(task.config, task.fingerprint), target, task.names)
    except FileNotFoundError as error:
        # A runner may repeat work long after it was done, when the staged files have been removed.
        if _unpublished_plan(task.config, paths):
            return FailedCopy(job.reason(error, target))
    except OSError as error:
        return FailedCopy(job.reason(error, target))
    return task


class Complete(beam.DoFn):
    """Completes a dataset whose files were copied, or records why it cannot be."""

    def __init__(self, data_dir: str, job: Job):
        self._paths = BuildPaths(data_dir)
        self._failures = Failures(data_dir, job)

    def process(self, config: str, copied: Sequence[CopyTask | FailedCopy]) -> Iterator[str]:
        if self._failures.attempt(config, lambda: self._complete(config, copied)):
            yield config

    def _complete(self, config: str, copied: Sequence[CopyTask | FailedCopy]) -> None:
        plan = _unpublished_plan(config, self._paths)
        if plan is None:
            return
        failures = [copy.error for copy in copied if isinstance(copy, FailedCopy)]
        if failures:
            raise UserError(min(failures))
        staged = self._paths.staged(config, plan.fingerprint)
        check_shard_sizes(plan, staged)
        publishing.complete(staged, self._paths.dataset(config), last=INFO_FILE)


def remove_staged(task: CopyTask | FailedCopy, paths: BuildPaths, published: Sequence[str]) -> None:
    """Removes the staged files that were copied, if their dataset is published; the last step removes the others."""
    if isinstance(task, CopyTask) and task.config in published:
        publishing.remove_files(paths.staged(task.config, task.fingerprint), task.names)


def publish_on_store(config: str, data_dir: str, job: Job) -> bool:
    """Does as ``PublishOnStore`` with one dataset, in this process; returns whether it is published."""
    paths = BuildPaths(data_dir)
    copied = [copy_files(task, paths, job) for task in list_copies(config, paths, job)]
    return bool(list(Complete(data_dir, job).process(config, copied)))


def _when_ended(config: str, removed: Sequence[None]) -> str:
    del removed  # A step ends before those that read its output.
    return config


def publish_local(plan: DatasetPlan, paths: BuildPaths) -> None:
    """Moves a finished dataset to its folder on a local file system."""
    staged = paths.staged(plan.config, plan.fingerprint)
    # If two workers publish at the same time, only one gets the shards, and only that one may replace a dataset.
    own = f'{staged}-{uuid.uuid4().hex}'
    os.replace(staged, own)
    try:
        check_shard_sizes(plan, own)
    except RuntimeError:
        if not was_published_since_planned(plan, paths):
            raise
        return
    publishing.replace_folder(own, paths.dataset(plan.config), aside=paths.replaced(plan.config))


def is_published_as_planned(plan: DatasetPlan, paths: BuildPaths) -> bool:
    """Whether the planned dataset is already published, as when a template runs twice.

    Raises
    ------
    UserError
        If another dataset is published in its folder.
    """
    published = _published_fingerprint(plan.config, paths)
    if published not in (None, plan.fingerprint):
        raise UserError(f'{paths.dataset(plan.config)}: exists and is kept; --overwrite replaces it')
    return published is not None


def was_published_since_planned(plan: DatasetPlan, paths: BuildPaths) -> bool:
    """Whether another attempt at the same work has published the dataset since it was planned."""
    return _published_fingerprint(plan.config, paths) == plan.fingerprint and (
        files.modification_time(paths.metadata(plan.config)) >= files.modification_time(paths.plan(plan.config))
    )


def _unpublished_plan(config: str, paths: BuildPaths) -> DatasetPlan | None:
    """Returns the plan of a dataset that is still to be published; None if there is nothing to do."""
    planned = paths.plan(config)
    if not files.exists(planned):
        return None
    plan = files.read_typed_json(planned, DatasetPlan)
    return None if was_published_since_planned(plan, paths) else plan


def _published_fingerprint(config: str, paths: BuildPaths) -> str | None:
    """Returns the fingerprint of the published dataset; None if there is none."""
    if not publishing.is_published(paths.dataset(config), INFO_FILE):
        return None
    return files.read_typed_json(paths.metadata(config), DatasetMetadata).fingerprint
