"""A Beam job that writes shards while one of its workers dies: DATA_DIR MARKER [BEAM OPTIONS].

The worker is killed behind the step that writes, in the same bundle: its shard is on the disk, and nobody knows.
"""

import json
import os
import pathlib
import signal
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.transforms.job import Job
from beam_pipelines.transforms.write_shards import ShardTask, WriteShards
from benchmarks.builds.sample_dataset import prepare

_EXAMPLES = 500_000


class DieOnce(beam.DoFn):
    """Kills the process that it runs in, the first time."""

    def __init__(self, marker: str):
        self._marker = pathlib.Path(marker)

    def process(self, shard):
        try:
            self._marker.touch(exist_ok=False)
        except FileExistsError:
            yield shard
        else:
            os.kill(os.getpid(), signal.SIGKILL)


def main(data_dir: str, marker: str, *beam_options: str) -> None:
    plan = prepare(data_dir, _EXAMPLES)
    tasks = [ShardTask('synthetic', plan.fingerprint, 'train', number) for number in range(plan.shards['train'])]
    pipeline = beam.Pipeline(options=PipelineOptions(list(beam_options)))
    pipeline | beam.Create(tasks) | WriteShards(data_dir, Job(repeats_faults=True)) | beam.ParDo(DieOnce(marker))
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query()['counters']
    print(json.dumps({counter.key.metric.name: counter.committed for counter in counters}))


if __name__ == '__main__':
    main(*sys.argv[1:])
