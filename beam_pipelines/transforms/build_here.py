"""The whole job as one step, for one process: what the steps of ``build_datasets`` do, one after the other.

Beam's local runner takes some 20 ms for each step of a job, and half a second for those that carry recordings and
shards from worker to worker. Where there is only one worker, nothing needs to be carried: its threads make the shards.
"""

from collections.abc import Iterator

import apache_beam as beam

from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.storage import files
from beam_pipelines.transforms.build_datasets import Finish, clean_up, list_rejected, plan_shards
from beam_pipelines.transforms.job import Job
from beam_pipelines.transforms.paths import BuildPaths
from beam_pipelines.transforms.publish_dataset import publish_on_store
from beam_pipelines.transforms.read_recordings import find_and_ingest_here
from beam_pipelines.transforms.write_shards import ShardWriter


def build_pipeline_here(pipeline: beam.Pipeline, options: BuildOptions, job: Job, cores: int) -> None:
    """Adds the whole job to a pipeline that one process runs.

    Parameters
    ----------
    pipeline : the pipeline.
    options : the build's options.
    job : how it runs.
    cores : how many threads make rows at a time.
    """
    pipeline | beam.Impulse() | 'Build' >> beam.ParDo(_BuildHere(options, job, cores))


class _BuildHere(beam.DoFn):
    def __init__(self, options: BuildOptions, job: Job, cores: int):
        self._options = options
        self._job = job
        self._cores = cores

    def process(self, _: bytes) -> Iterator[str]:
        options, job, paths = self._options, self._job, BuildPaths(self._options.data_dir)
        writer, finish = ShardWriter(options.data_dir, job), Finish(options, job)
        ingested = find_and_ingest_here(options, job)
        list_rejected(paths.rejected, ingested, job)
        finished: list[str] = []
        for config in options.configs:
            tasks = list(plan_shards(config, ingested, options, job))
            finished += finish.process(config, ingested, writer.write_all(tasks, self._cores))
        if job.publish and not files.is_local(options.data_dir):
            finished = [config for config in finished if publish_on_store(config, options.data_dir, job)]
        clean_up(paths, job.publish, finished)
        yield from finished
