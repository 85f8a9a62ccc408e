"""Builds that outlive this process: staged as a template, or running on a cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import sys
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from beam_pipelines.launch.runners import LOCAL_RUNNER, default_runner, is_dataflow
from beam_pipelines.storage import files
from beam_pipelines.transforms.paths import BuildPaths


@dataclasses.dataclass(frozen=True)
class DetachedBuild:
    """A build that continues after the command has ended; ``line`` tells the user how."""

    line: str


def staged_template(pipeline_options: PipelineOptions, data_dir: str) -> DetachedBuild:
    """Describes where a template was staged and how to run it on Dataflow.

    Parameters
    ----------
    pipeline_options : Beam's own options.
    data_dir : where the datasets will be.
    """
    template = pipeline_options.view_as(GoogleCloudOptions).template_location
    # Beam chooses names that were not given, and creates folders below those that were.
    job = files.read_json(template)['environment']['sdkPipelineOptions']['options']
    staged = (
        f'staged job {job["job_name"]} as template {template}, its files in {job["staging_location"]}; nothing has run'
    )
    if not template.startswith('gs://'):
        return DetachedBuild(f'{staged}, and Dataflow itself runs templates on gs:// only')
    return DetachedBuild(
        f'{staged}; gcloud dataflow jobs run {job["job_name"]} --gcs-location={template}'
        f' --project={job["project"]} --region={job["region"]} builds the datasets in {data_dir}'
    )


def _note_submission(paths: BuildPaths, pipeline_options: PipelineOptions) -> None:
    """Leaves a note that a job is working in the data directory; the job's last step removes it."""
    standard, cloud = pipeline_options.view_as(StandardOptions), pipeline_options.view_as(GoogleCloudOptions)
    job = f'{standard.runner} job {cloud.job_name}' if cloud.job_name else f'{standard.runner} job'
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds')
    files.write_json(paths.submitted, {'job': job, 'submitted': now})


def describe_submitted(paths: BuildPaths) -> str:
    """Describes the job that has a note in the data directory."""
    note = files.read_json(paths.submitted)
    return (
        f'{paths.root}: {note["job"]}, submitted {note["submitted"]}, has not ended well; if it failed or was'
        f' cancelled, remove {paths.submitted} and build again'
    )


def submitted(pipeline_options: PipelineOptions, result: PipelineResult, data_dir: str) -> DetachedBuild:
    """Describes which job was submitted and how to learn its outcome.

    Parameters
    ----------
    pipeline_options : Beam's own options.
    result : what Beam's runner returned when the job was submitted.
    data_dir : where the datasets will be.
    """
    job = pipeline_options.view_as(StandardOptions).runner + ' job'
    if is_dataflow(pipeline_options):
        cloud = pipeline_options.view_as(GoogleCloudOptions)
        job_id = result.job_id()  # type: ignore[attr-defined]  # Dataflow's results have it
        job += f' {job_id} (project {cloud.project}, region {cloud.region})'
    return DetachedBuild(
        f'submitted {job}, not waited for: it builds the datasets in {data_dir};'
        ' the same command, given again when it has ended, says what came of them'
    )


@contextlib.contextmanager
def noted(paths: BuildPaths, pipeline: beam.Pipeline, pipeline_options: PipelineOptions) -> Iterator[None]:
    """Keeps other builds out of the data directory while a cluster works there, even after this process ends.

    The note is removed when the job succeeds or fails. An interrupt here cancels the job; its note stays unless the
    runner confirms the cancellation. A build on this machine needs no note.
    """
    if default_runner(pipeline_options) == LOCAL_RUNNER:
        yield
        return
    _note_submission(paths, pipeline_options)
    try:
        yield
    except KeyboardInterrupt:
        if _is_cancelled(pipeline):
            files.remove(paths.submitted)
        else:
            print(f'the job may continue without this command; {describe_submitted(paths)}', file=sys.stderr)
        raise
    except BaseException:
        files.remove(paths.submitted)
        raise


def _is_cancelled(pipeline: beam.Pipeline) -> bool:
    """Cancels a job; returns whether its runner confirms it."""
    try:
        return pipeline.result is not None and pipeline.result.cancel() == PipelineState.CANCELLED
    except Exception:  # Any kind: Ctrl-C may have stopped the job server too. The caller tells the user.
        return False
