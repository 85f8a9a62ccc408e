r"""One measurement of ``build_scale``: what one build of ``synthetic`` took, in this process. Prints one JSON object.

python -m benchmarks.builds.measurement --recordings=recordings --folder=/tmp/scale --examples=127006
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from absl import flags
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.datasets.configs import NAME
from beam_pipelines.planning.options import BuildOptions
from beam_pipelines.storage import files as storage
from beam_pipelines.transforms.build_datasets import build_pipeline
from beam_pipelines.transforms.paths import BuildPaths
from benchmarks.builds import discarding_store
from benchmarks.builds.job_flows import flows_of, seconds_of_transforms

if TYPE_CHECKING:
    from typing_extensions import Self

_CONFIG = 'synthetic'
# How the names of a stage's steps begin. On a local disk, Finish publishes too.
_STAGES = {
    'find': 'Ingest/FindRecordings/ParDo(_Find)',
    'read': 'Ingest/Recordings/ReadRecording',
    'plan': f'Build_{_CONFIG}/Plan',
    'write': f'Build_{_CONFIG}/WriteShards/WriteShard',
    'finish': f'Build_{_CONFIG}/Finish',
    'publish': f'Build_{_CONFIG}/Publish/',
}
_SECONDS_BETWEEN_LOOKS = 0.01

_RECORDINGS = flags.DEFINE_string('recordings', None, 'Recordings root.', required=True)
_FOLDER = flags.DEFINE_string('folder', None, 'Folder to write below; the files are removed.', required=True)
_EXAMPLES = flags.DEFINE_integer('examples', None, 'Spikes to make.', required=True)
_NUM_MASKS = flags.DEFINE_integer('num_masks', 600, 'Noise masks.')
_SHARDS = flags.DEFINE_integer('shards', None, 'Fewest shards; as many as 128 MiB each need by default.')
_WORKERS = flags.DEFINE_integer('workers', 1, 'Beam workers; one is this process.', lower_bound=1)
_DISCARD = flags.DEFINE_bool('discard', False, 'Discard the content of the shards.')


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    with tempfile.TemporaryDirectory(dir=_FOLDER.value) as folder:
        data_dir = f'{discarding_store.SCHEME}://{folder}' if _DISCARD.value else folder
        print(json.dumps(_measure(_build_options(data_dir))))
    return 0


def _build_options(data_dir: str) -> BuildOptions:
    options = BuildOptions(
        recordings=_RECORDINGS.value,
        data_dir=data_dir,
        configs=(_CONFIG,),
        num_masks=_NUM_MASKS.value,
        synthetic_examples=(_EXAMPLES.value - _EXAMPLES.value // 2, _EXAMPLES.value // 2),
    )
    if _SHARDS.value:
        options = dataclasses.replace(options, max_shard_bytes=options.required_bytes(_CONFIG) // _SHARDS.value)
    return options


def _measure(options: BuildOptions) -> dict:
    arguments = ['--runner=FnApiRunner', f'--beam_plugin={discarding_store.__name__}']
    if _WORKERS.value > 1:
        arguments += ['--direct_running_mode=multi_processing', f'--direct_num_workers={_WORKERS.value}']
    pipeline = beam.Pipeline(options=PipelineOptions(arguments))
    build_pipeline(pipeline, options)
    job = pipeline.to_runner_api()
    started = time.perf_counter()
    with _AnonymousPeak() as anonymous:
        result: Any = pipeline.run()
        result.wait_until_finish()
    seconds = time.perf_counter() - started
    infos = list(result.monitoring_infos())
    of_transform = seconds_of_transforms(infos)
    flows = flows_of(job, infos)
    shards = _shard_sizes(BuildPaths(options.data_dir))
    return {
        'examples': _EXAMPLES.value,
        'workers': _WORKERS.value,
        'discarded': _DISCARD.value,
        'seconds': seconds,
        'stages': {
            stage: sum(spent for name, spent in of_transform.items() if name.startswith(start))
            for stage, start in _STAGES.items()
        },
        'peak_mb': _status_mb('VmHWM'),
        'anonymous_mb': anonymous.mb,
        'worker_peak_mb': resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        'recorded_spikes': _counter(result, 'spikes', 'detected'),
        'shards': len(shards),
        'shard_bytes': sum(shards),
        'job_bytes': job.ByteSize(),
        'flows': [dataclasses.asdict(flow) for flow in flows],
        'moved_bytes': sum(flow.moved_bytes for flow in flows),
    }


class _AnonymousPeak:
    """Within its context, looks again and again at this process's own memory, without the files that it has mapped.

    Attributes
    ----------
    mb : the most that was seen, in MiB.
    """

    def __init__(self) -> None:
        self.mb = 0.0
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            self.mb = max(self.mb, _status_mb('RssAnon'))


def _status_mb(field: str) -> float:
    """Returns memory of this process, in MiB; getrusage may report the peak of its parent."""
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) for line in status if line.startswith(f'{field}:')) / 1024


def _shard_sizes(paths: BuildPaths) -> list[int]:
    files = storage.list_files(paths.dataset(_CONFIG))
    return [size for path, size in files.items() if os.path.basename(path).startswith(f'{NAME}-')]


def _counter(result: PipelineResult, namespace: str, name: str) -> int:
    query = beam.metrics.MetricsFilter().with_namespace(namespace).with_name(name)
    return sum(counter.result for counter in result.metrics().query(query)['counters'])


if __name__ == '__main__':
    run_command('measurement', __name__)
