r"""How fast synthetic spikes become TFRecords: our build against what a user might write instead.

    python -m benchmarks.build_throughput
    python -m benchmarks.build_throughput --full --figure=docs/images/build_throughput.png

Every way starts from the same spikes and noise masks and ends with TFRecord files on disk; the time is that of the job,
start-up included, without imports. Each measurement runs in its own process, the ways take turns, and the table gives
the median and the range of the repeats. Then ours and the bare write are measured at more examples, in turns. There the
other ways would take minutes, so ours is compared with their rates at fewer. The last line is one JSON object.

    sero            the Beam job of sero-build, in one process with all cores
    tfds_beam       a stock TFDS builder with Beam: (key, example) pairs through TFDS's own writer
    beam_tfrecord   Beam's WriteToTFRecord of serialized tf.train.Examples
    tf_writer       tf.io.TFRecordWriter in a loop, no Beam
    bare_write      the same number of bytes written from memory into as many files, each flushed to the disk as ours
                    are, with no work at all
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.datasets.configs import PUBLISHED_EXAMPLES
from benchmarks.measuring import draw_rates, run_in_process, take_turns

if TYPE_CHECKING:  # It imports Beam.
    from beam_pipelines.planning.example_source import ExampleSource

_WAYS = ('sero', 'tfds_beam', 'beam_tfrecord', 'tf_writer', 'bare_write')
_WITHOUT_PEERS = ('sero', 'bare_write')
_BLOCK = 2048
_PUBLISHED_EXAMPLES = sum(PUBLISHED_EXAMPLES)

_EXAMPLES = flags.DEFINE_integer('examples', 200_000, 'Examples to write.', lower_bound=1)
_LARGER = flags.DEFINE_integer('larger', 2_000_000, 'Examples that only ours and the bare write are measured at.')
_FULL = flags.DEFINE_bool('full', False, f'Five measurements of each way, and also {_PUBLISHED_EXAMPLES:,} examples.')
_REPEATS = flags.DEFINE_integer('repeats', 2, 'Measurements of each way.', lower_bound=1)
_FOLDER = flags.DEFINE_string('folder', None, 'Folder on the disk to write to; a temporary one by default.')
_FIGURE = flags.DEFINE_string('figure', None, 'PNG file to draw the rates into.')
_MEASURE = flags.DEFINE_enum('measure', None, _WAYS, 'Measures one way once, in this process.')


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    if _MEASURE.value:
        print(json.dumps(_measure(_MEASURE.value, _EXAMPLES.value)))
        return 0
    repeats = 5 if _FULL.value else _REPEATS.value
    medians, rates = _compare(_WAYS, _EXAMPLES.value, repeats, {})
    if _FIGURE.value:
        draw_rates(medians, rates, ('sero',), f'{_EXAMPLES.value:,} examples', _FIGURE.value)
    summary = _summary(_EXAMPLES.value, medians)
    peers = {way: rate for way, rate in medians.items() if way not in _WITHOUT_PEERS}
    for examples in [_LARGER.value] * bool(_LARGER.value) + [_PUBLISHED_EXAMPLES] * _FULL.value:
        at_larger = _summary(examples, _compare(_WITHOUT_PEERS, examples, repeats, peers)[0])
        for way, ratio in at_larger['ratios'].items():
            summary['ratios'][f'{way} at {examples:,}'] = ratio
        summary['rates'][f'sero at {examples:,}'] = at_larger['rates']['sero']
        summary['rates'][f'bare_write at {examples:,}'] = at_larger['rates']['bare_write']
    print(json.dumps(summary))
    return 0


def _compare(
    ways: Sequence[str], examples: int, repeats: int, peers: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Measures ways in turns and prints the table.

    Parameters
    ----------
    ways : to measure.
    examples, repeats : how many.
    peers : rates of further ways, measured at ``--examples``.

    Returns
    -------
    The median of each way's examples/s, further ways included, and all that were measured.
    """
    measurements = take_turns(
        ways, repeats, lambda way: _measure_in_process(way, examples), lambda one: examples / one['seconds']
    )
    rates = {way: [examples / one['seconds'] for one in of_way] for way, of_way in measurements.items()}
    medians = {way: statistics.median(of_way) for way, of_way in rates.items()} | dict(peers)
    print(f'{f"{examples:,} examples":<20}  {"examples/s":>12}  {"range":>25}  {"peak MB":>8}  {"sero is":>9}')
    for way, median in medians.items():
        spread, peak = f'at {_EXAMPLES.value:,} examples', ''
        if way in rates:
            spread = f'{min(rates[way]):,.0f} to {max(rates[way]):,.0f}'
            peak = f'{max(one["peak_mb"] for one in measurements[way]):,.0f}'
        print(f'{way:<20}  {median:>12,.0f}  {spread:>25}  {peak:>8}  {medians["sero"] / median:>8.2f}x')
    return medians, rates


def _summary(examples: int, medians: Mapping[str, float]) -> dict[str, Any]:
    ratios = {way: medians['sero'] / median for way, median in medians.items() if way != 'sero'}
    return {'examples': examples, 'rates': dict(medians), 'ratios': ratios}


def _measure_in_process(way: str, examples: int) -> dict:
    arguments = [f'--measure={way}', f'--examples={examples}']
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
    import apache_beam.runners.portability.fn_api_runner.fn_runner
    import joblib
    import llvmlite.binding  # noqa: F401 (their imports are not part of the time)
    from apache_beam.options.pipeline_options import PipelineOptions

    from beam_pipelines.storage import files
    from beam_pipelines.synthesis import numba_rows
    from beam_pipelines.transforms.paths import BuildPaths
    from beam_pipelines.transforms.staged_bank import stage_bank
    from beam_pipelines.transforms.write_shards import ShardTask, ShardWriter
    from benchmarks.builds.sample_dataset import prepare

    plan, paths = prepare(folder, examples), BuildPaths(folder)
    files.remove(paths.bank(plan.config, plan.fingerprint))  # A build makes it, too.
    tasks = [ShardTask('synthetic', plan.fingerprint, 'train', number) for number in range(plan.shards['train'])]
    # Compiled once per installation, which is no part of a build; loading the machine code is.
    subprocess.run([sys.executable, '-c', f'from {numba_rows.__name__} import is_available as a; a()'], check=True)

    def run() -> None:
        with beam.Pipeline(options=PipelineOptions(['--runner=FnApiRunner'])) as pipeline:
            writer, cores = ShardWriter(folder), joblib.cpu_count()

            def build(_: bytes) -> None:
                stage_bank(plan, paths)
                writer.write_all(tasks, cores)

            pipeline | beam.Impulse() | beam.Map(build)

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
    from beam_pipelines.planning.options import BuildOptions

    block = os.urandom(_BLOCK * record_layout.RECORD_BYTES)
    examples_of_file = BuildOptions.max_shard_bytes // record_layout.RECORD_BYTES

    def run() -> None:
        for start in range(0, examples, examples_of_file):
            stop = min(start + examples_of_file, examples)
            with open(os.path.join(folder, f'bytes-{start}'), 'wb') as file:
                for first in range(start, stop, _BLOCK):
                    file.write(block[: min(_BLOCK, stop - first) * record_layout.RECORD_BYTES])
                file.flush()
                os.fsync(file.fileno())

    return run


if __name__ == '__main__':
    run_command('build_throughput', __name__)
