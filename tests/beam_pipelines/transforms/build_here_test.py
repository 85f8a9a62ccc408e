"""The job as one step does what the steps of the whole job do."""

import collections
import shutil

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.transforms.build_datasets import build_pipeline
from beam_pipelines.transforms.build_here import build_pipeline_here
from beam_pipelines.transforms.job import Job
from tests.support.folders import files_of
from tests.support.recordings import NUM_MASKS


def _run(add, options: BuildOptions, *arguments) -> collections.Counter[str]:
    """Runs a job and returns each counter's sum over the steps that count it."""
    pipeline = beam.Pipeline(options=PipelineOptions(['--runner=FnApiRunner']))
    add(pipeline, options, *arguments)
    result = pipeline.run()
    result.wait_until_finish()
    counted = collections.Counter()
    for counter in result.metrics().query()['counters']:
        counted[f'{counter.key.metric.namespace}/{counter.key.metric.name}'] += counter.committed
    return counted


@pytest.mark.parametrize('damaged', [False, True])
def test_files_and_counts_are_those_of_the_job_in_steps(recordings_root, tmp_path, damaged):
    root = shutil.copytree(recordings_root, tmp_path / 'recordings')
    (root / 'original/SER/text.abf').write_text('not a recording')
    if damaged:
        shutil.rmtree(root / 'non_homogeneous/NSER')
    counted, made = [], []
    ways = {'steps': (build_pipeline, Job()), 'here': (build_pipeline_here, Job(), 2)}
    for name, (add, *arguments) in ways.items():
        configs = ('original', 'non_homogeneous', 'synthetic_small')
        options = BuildOptions(
            str(root), str(tmp_path / name), configs, num_masks=NUM_MASKS, max_shard_bytes=10_000_000
        )
        counted.append(_run(add, options, *arguments))
        made.append(files_of(tmp_path / name))
    assert counted[0] == counted[1]
    assert made[0] == made[1]
    assert any('synthetic_small/1.1.0/' in path for path in made[0]) != damaged
