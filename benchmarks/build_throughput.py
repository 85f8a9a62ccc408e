r"""How fast synthetic spikes become TFRecords: our build against what a user might write instead.

    python -m benchmarks.build_throughput
    python -m benchmarks.build_throughput --examples=200000 --repeats=5 --figure=docs/images/build_throughput.png

Every way starts from the same spikes and noise masks and ends with TFRecord files on disk; the time is that of the job,
without imports. Each measurement runs in its own process, the ways take turns, and the table gives the median and the
range of the repeats. The last line is one JSON object.

    sero            the Beam job of sero-build, in one process
    tfds_beam       a stock TFDS builder with Beam: (key, example) pairs through TFDS's own writer
    beam_tfrecord   Beam's WriteToTFRecord of serialized tf.train.Examples
    tf_writer       tf.io.TFRecordWriter in a loop, no Beam
    bare_write      the same number of bytes written from memory, with no work at all
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command
from benchmarks.measuring import draw_rates, run_in_process, take_turns

if TYPE_CHECKING:  # It imports Beam.
    from beam_pipelines.planning.example_source import ExampleSource

_WAYS = ('sero', 'tfds_beam', 'beam_tfrecord', 'tf_writer', 'bare_write')
_BLOCK = 2048

_EXAMPLES = flags.DEFINE_integer('examples', 200_000, 'Examples to write.', lower_bound=1)
_REPEATS = flags.DEFINE_integer('repeats', 3, 'Measurements of each way.', lower_bound=1)
_FOLDER = flags.DEFINE_string('folder', None, 'Folder on the disk to write to; a temporary one by default.')
_FIGURE = flags.DEFINE_string('figure', None, 'PNG file to draw the rates into.')
_MEASURE = flags.DEFINE_enum('measure', None, _WAYS, 'Measures one way once, in this process.')


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    if _MEASURE.value:
        print(json.dumps(_measure(_MEASURE.value, _EXAMPLES.value)))
        return 0
    measurements = take_turns(_WAYS, _REPEATS.value, _measure_in_process, lambda one: _EXAMPLES.value / one['seconds'])
    rates = {way: [_EXAMPLES.value / one['seconds'] for one in of_way] for way, of_way in measurements.items()}
    medians = {way: statistics.median(of_way) for way, of_way in rates.items()}
    print(f'{"":<14}  {"examples/s":>12}  {"range":>25}  {"peak MB":>8}  {"sero is":>9}')
    for way in _WAYS:
        spread = f'{min(rates[way]):,.0f} to {max(rates[way]):,.0f}'
        peak = max(one['peak_mb'] for one in measurements[way])
        print(
            f'{way:<14}  {medians[way]:>12,.0f}  {spread:>25}  {peak:>8,.0f}  {medians["sero"] / medians[way]:>8.2f}x'
        )
    if _FIGURE.value:
        draw_rates(medians, rates, ('sero',), f'{_EXAMPLES.value:,} examples', _FIGURE.value)
    ratios = {way: medians['sero'] / medians[way] for way in _WAYS if way != 'sero'}
    print(json.dumps({'examples': _EXAMPLES.value, 'rates': medians, 'ratios': ratios}))
    return 0


def _measure_in_process(way: str) -> dict:
    arguments = [f'--measure={way}', f'--examples={_EXAMPLES.value}']
    if _FOLDER.value:
        arguments.append(f'--folder={_FOLDER.value}')
    return run_in_process('benchmarks.build_throughput', arguments, way)


def _measure(way: str, examples: int) -> dict:
    with tempfile.TemporaryDirectory(dir=_FOLDER.value) as folder:
        run = {
            'sero': _prepare_sero,
            'tfds_beam': _prepare_tfds_beam,
            'beam_tfrecord': _prepare_beam_tfrecord,
            'tf_writer': _prepare_tf_writer,
            'bare_write': _prepare_bare_write,
        }[way](folder, examples)
        started = time.perf_counter()
        run()
        seconds = time.perf_counter() - started
    return {'seconds': seconds, 'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _prepare_sero(folder: str, examples: int) -> Callable[[], None]:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from beam_pipelines.transforms.write_shards import ShardTask, WriteShards
    from benchmarks.builds.sample_dataset import prepare

    plan = prepare(folder, examples)
    tasks = [ShardTask('synthetic', plan.fingerprint, 'train', number) for number in range(plan.shards['train'])]

    def run() -> None:
        with beam.Pipeline(options=PipelineOptions(['--runner=FnApiRunner'])) as pipeline:
            pipeline | beam.Create(tasks) | WriteShards(folder)

    return run


def _example_dicts(source: ExampleSource, first: int, stop: int) -> Iterator[dict[str, Any]]:
    """Yields one dict per spike, from blocks made as fast as ours: only the writing differs."""
    made = source.make('train', first, stop)
    for row in range(stop - first):
        yield {
            'waveform': made.waveform[row],
            'label': int(made.label[row]),
            'cell': int(made.cell[row]),
            'trigger': int(made.trigger[row]),
            'mask': int(made.mask[row]),
        }


def _prepare_tfds_beam(folder: str, examples: int) -> Callable[[], None]:
    import apache_beam as beam
    import tensorflow_datasets as tfds
    from apache_beam.options.pipeline_options import PipelineOptions

    from beam_pipelines.datasets import tfds_metadata
    from benchmarks.builds.sample_dataset import open_source

    open_source(folder, examples)

    class StockSpikes(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version('1.0.0')

        def _info(self) -> tfds.core.DatasetInfo:
            features = tfds_metadata.features([f'BENCH#{number:03d}' for number in range(150)])
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {'train': self._generate_examples()}

        def _generate_examples(self) -> Any:
            def pairs(first: int) -> Iterator[tuple[int, dict[str, Any]]]:
                stop = min(first + _BLOCK, examples)
                for offset, example in enumerate(_example_dicts(open_source(folder, examples), first, stop)):
                    yield first + offset, example

            return beam.Create(range(0, examples, _BLOCK)) | beam.FlatMap(pairs)

    builder = StockSpikes(data_dir=os.path.join(folder, 'tfds'))
    options = PipelineOptions(['--runner=FnApiRunner'])
    return lambda: builder.download_and_prepare(download_config=tfds.download.DownloadConfig(beam_options=options))


def _serialized(source: ExampleSource, first: int, stop: int) -> Iterator[bytes]:
    import tensorflow as tf

    for example in _example_dicts(source, first, stop):
        feature = {'waveform': tf.train.Feature(float_list=tf.train.FloatList(value=example['waveform']))}
        for name in ('label', 'cell', 'trigger', 'mask'):
            feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=[example[name]]))
        yield tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _prepare_beam_tfrecord(folder: str, examples: int) -> Callable[[], None]:
    import apache_beam as beam
    import tensorflow  # noqa: F401 (its import is not part of the time)
    from apache_beam.options.pipeline_options import PipelineOptions

    from benchmarks.builds.sample_dataset import open_source

    open_source(folder, examples)

    def serialize(first: int) -> Iterator[bytes]:
        yield from _serialized(open_source(folder, examples), first, min(first + _BLOCK, examples))

    def run() -> None:
        with beam.Pipeline(options=PipelineOptions(['--runner=FnApiRunner'])) as pipeline:
            (
                pipeline
                | beam.Create(range(0, examples, _BLOCK))
                | beam.FlatMap(serialize)
                | beam.io.WriteToTFRecord(os.path.join(folder, 'train.tfrecord'), num_shards=2)
            )

    return run


def _prepare_tf_writer(folder: str, examples: int) -> Callable[[], None]:
    import tensorflow as tf

    from benchmarks.builds.sample_dataset import open_source

    source = open_source(folder, examples)

    def run() -> None:
        with tf.io.TFRecordWriter(os.path.join(folder, 'train.tfrecord')) as writer:
            for first in range(0, examples, _BLOCK):
                for record in _serialized(source, first, min(first + _BLOCK, examples)):
                    writer.write(record)

    return run


def _prepare_bare_write(folder: str, examples: int) -> Callable[[], None]:
    from beam_pipelines.datasets import record_layout

    block = os.urandom(_BLOCK * record_layout.RECORD_BYTES)

    def run() -> None:
        with open(os.path.join(folder, 'bytes'), 'wb') as file:
            for first in range(0, examples, _BLOCK):
                file.write(block[: min(_BLOCK, examples - first) * record_layout.RECORD_BYTES])

    return run


if __name__ == '__main__':
    run_command('build_throughput', __name__)
