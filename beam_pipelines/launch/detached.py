"""A build that runs without this process: staged as a template, or submitted and not waited for."""

from __future__ import annotations

import dataclasses
import datetime

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult

from beam_pipelines.launch.runners import is_dataflow
from beam_pipelines.storage import files
from beam_pipelines.transforms.paths import BuildPaths


@dataclasses.dataclass(frozen=True)
class DetachedBuild:
    """A build that has not ended when the command does; ``line`` tells the user how it goes on."""

    line: str


def staged_template(pipeline_options: PipelineOptions, data_dir: str) -> DetachedBuild:
    """Says where a template was staged and how Dataflow runs it.

    Parameters
    ----------
    pipeline_options : Beam's own options.
    data_dir : where the datasets will be.
    """
    template = pipeline_options.view_as(GoogleCloudOptions).template_location
    # Beam chooses names that were not given, and folders below those that were.
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


def note_submission(paths: BuildPaths, pipeline_options: PipelineOptions) -> None:
    """Writes down that a job is going to work in the data directory; its last step removes the note."""
    standard, cloud = pipeline_options.view_as(StandardOptions), pipeline_options.view_as(GoogleCloudOptions)
    job = f'{standard.runner} job {cloud.job_name}' if cloud.job_name else f'{standard.runner} job'
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds')
    files.write_json(paths.submitted, {'job': job, 'submitted': now})


def describe_submitted(paths: BuildPaths) -> str:
    """Says which job was submitted into the data directory and has not ended well, as far as its note tells."""
    note = files.read_json(paths.submitted)
    return (
        f'{paths.root}: {note["job"]}, submitted {note["submitted"]}, has not ended well; if it failed or was'
        f' cancelled, remove {paths.submitted} and build again'
    )


def submitted(pipeline_options: PipelineOptions, result: PipelineResult, data_dir: str) -> DetachedBuild:
    """Says which job was submitted and how its outcome is learnt.

    Parameters
    ----------
    pipeline_options : Beam's own options.
    result : what Beam's runner gave when the job was submitted.
    data_dir : where the datasets will be.
    """
    job = pipeline_options.view_as(StandardOptions).runner + ' job'
    if is_dataflow(pipeline_options):
        cloud = pipeline_options.view_as(GoogleCloudOptions)
        job += f' {result.job_id()} (project {cloud.project}, region {cloud.region})'
    return DetachedBuild(
        f'submitted {job}, not waited for: it builds the datasets in {data_dir};'
        ' the same command, given again when it has ended, says what came of them'
    )
