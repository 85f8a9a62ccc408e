r"""How fast batches of stored spikes reach training: our readers against what a user might write instead.

    python -m benchmarks.input_throughput
    python -m benchmarks.input_throughput --full --figure=docs/images/input_throughput.png
    python -m benchmarks.input_throughput --examples=4000000 --figure=docs/images/input_throughput.png
    python -m benchmarks.input_throughput --cold --order=stored
    python -m benchmarks.input_throughput --data_dir=data --config=synthetic --ways=block,best_practice,grain
    python -m benchmarks.input_throughput --with_model --model=dense

Without --data_dir it simulates recordings and builds a dataset of --examples examples in a temporary folder. Every way
gives (waveform float32 (b, 160), label) batches of the same data. Each measurement runs in its own process, the ways
take turns, and the table gives the median and the range of the repeats: examples per second after the first batch, over
one pass or --seconds; CPU seconds of the process and its workers in that time; and, separately, the time to the first
batch. One-time costs are excluded: imports, converting the data into a peer's format, loading into memory, filling a
cache. The last line is one JSON object; `ratios` are rate(block) / rate(way). It ends within five minutes on two cores;
--full measures all ways, also those whose files take minutes to write, and each for longer.

    block               our reader
    online              our online input: spikes are made within the step, which counts in the rate
    flrd                the prototype of our reader: FixedLengthRecordDataset with blocks of 1,024 rows
    naive               TFRecordDataset, parse_single_example, batch
    tfds                tfds.load, batch, prefetch
    best_practice       tf.data by its guide: interleave, batch then parse_example, AUTOTUNE, prefetch
    cache               tf.data with cache(), filled before: parsed rows; in stored order, whole batches
    memory              tf.data from memory: from_tensor_slices, shuffle, batch
    memory_gather       tf.data from memory: one gather per batch, as Keras does with arrays
    grain               ArrayRecord and Grain
    dataloader          PyTorch's DataLoader over a memory map of our shards, two workers
    dataloader_inline   the same without workers
    webdataset          WebDataset, two workers
    npy_shards          .npy shards and NumPy
    bare_read           the bare read() of the files, one thread, nothing decoded

In shuffled order tf.data's rows go through shuffle(16384), `flrd` shuffles within its blocks, `memory_gather`, `grain`
and the DataLoaders over all rows, `npy_shards` over shards and the rows of one. In stored order nothing is shuffled.

--cold drops the files from the page cache before each measurement and leaves out the in-memory ways.
--with_model trains a model instead and reports the share of time spent waiting for input: see inputs/wait.py.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import statistics
import sys
import tempfile
from typing import TYPE_CHECKING

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.errors import UserError
from benchmarks.inputs import measurement, wait
from benchmarks.inputs.conversions import convert
from benchmarks.inputs.task import Task
from benchmarks.inputs.ways import OURS, WAYS
from benchmarks.measuring import draw_rates, run_in_process, take_turns
from benchmarks.simulated_dataset import make_dataset
from trainer.backend import start_keras

if TYPE_CHECKING:  # It imports TensorFlow.
    from trainer.data.stored_dataset import StoredSplit

_BY_DEFAULT = (
    'block', 'flrd', 'tfds', 'best_practice', 'memory_gather', 'dataloader_inline', 'npy_shards', 'bare_read',
)  # fmt: skip

_EXAMPLES = flags.DEFINE_integer('examples', 409_600, 'Examples in the dataset that is made.', lower_bound=2)
_DATA_DIR = flags.DEFINE_string('data_dir', None, 'TFDS data directory to measure, instead of making one.')
_CONFIG = flags.DEFINE_string('config', 'synthetic', 'Dataset in --data_dir; its train split is measured.')
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 1024, 'Rows in a batch.', lower_bound=1)
_REPEATS = flags.DEFINE_integer('repeats', 3, 'Measurements of each way.', lower_bound=1)
_SECONDS = flags.DEFINE_float('seconds', 2, 'Longest measurement.', lower_bound=0.1)
_ORDER = flags.DEFINE_enum('order', 'shuffled', ('shuffled', 'stored'), 'Order of the examples.')
_COLD = flags.DEFINE_bool('cold', False, 'Read from the disk: drop the files from the page cache before.')
_WAYS = flags.DEFINE_list('ways', None, f'Ways to measure, of {", ".join(WAYS)}.')
_FULL = flags.DEFINE_bool('full', False, 'Measures all ways, for up to 10 s each.')
_WITH_MODEL = flags.DEFINE_bool('with_model', False, 'Train a model and report how long it waits for input.')
_MODEL = flags.DEFINE_enum('model', 'ensemble', tuple(wait.MODELS), 'Model of --with_model.')
_FOLDER = flags.DEFINE_string('folder', None, 'Folder on the disk to read from; a temporary one by default.')
_FIGURE = flags.DEFINE_string('figure', None, 'PNG file to draw the rates into.')
_MEASURE = flags.DEFINE_enum('measure', None, tuple(WAYS), 'Measures one way once, in this process.')
_CONVERTED = flags.DEFINE_string('converted', None, 'With --measure: the folder of the converted data.')


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    if _FULL.value:
        flags.set_default(_SECONDS, 10)
    if _MEASURE.value:
        print(json.dumps(_measure(_MEASURE.value)))
    else:
        _compare(*_chosen_ways())
    return 0


def _compare(ways: list[str], left_out: list[str]) -> None:
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=_FOLDER.value))
        except OSError as error:
            raise UserError(f'--folder {_FOLDER.value}: {error.strerror}') from None
        data_dir = _DATA_DIR.value or make_dataset(os.path.join(folder, 'made'), _EXAMPLES.value)
        split = _open_split(data_dir)
        if 'online' in ways and not (split.metadata.synthesis and split.metadata.synthesis.spike_bank):
            left_out.append(f'left out: online needs a synthetic dataset with a spike bank, {split.name} has none')
            ways.remove('online')
        if split.examples < 2 * _BATCH_SIZE.value:
            raise UserError(f'{split.name} has {split.examples} examples, fewer than two batches')
        for line in left_out:
            print(line, file=sys.stderr)
        for format_name in dict.fromkeys(WAYS[way].converted for way in ways):
            if format_name:
                print(f'converting {split.examples:,} examples to {format_name}', file=sys.stderr)
                convert(format_name, split, folder)
        os.sync()  # So that no pending writes disturb the measurements.
        measurements = take_turns(
            ways, _REPEATS.value, lambda way: _measure_in_process(way, data_dir, folder), lambda one: one['rate']
        )
    _report(split.examples, measurements)


def _open_split(data_dir: str) -> StoredSplit:
    start_keras()  # Opening a dataset imports TensorFlow too.
    from trainer.data.stored_dataset import open_split

    return open_split(data_dir, _CONFIG.value, 'train')


def _chosen_ways() -> tuple[list[str], list[str]]:
    """Returns the requested ways that can be measured, and a line for each that is left out."""
    default = wait.WAYS if _WITH_MODEL.value else WAYS if _FULL.value else _BY_DEFAULT
    asked = _WAYS.value or list(default)
    for way in asked:
        if way not in WAYS:
            raise UserError(f'--ways: no way {way!r}; there are {", ".join(WAYS)}')
        if _WITH_MODEL.value and way not in wait.WAYS:
            raise UserError(f'--with_model: {way!r} cannot feed a model here; {", ".join(wait.WAYS)} can')
    if _WITH_MODEL.value and _ORDER.value == 'stored':
        raise UserError('--with_model trains, and that needs --order=shuffled')
    ways, left_out = [], []
    for way in asked:
        missing = [library for library in WAYS[way].libraries if importlib.util.find_spec(library) is None]
        if missing:
            left_out.append(f"left out: {way} needs {', '.join(missing)}: pip install '.[bench]'")
        elif _COLD.value and WAYS[way].in_memory:
            left_out.append(f'left out: {way} does not read files while it is measured, so it is never cold')
        elif _ORDER.value not in WAYS[way].orders:
            left_out.append(f'left out: {way} has no {_ORDER.value} order')
        else:
            ways.append(way)
    if not ways:
        raise UserError(f'no way is left to measure: {"; ".join(left_out)}')
    return ways, left_out


def _measure_in_process(way: str, data_dir: str, converted: str) -> dict:
    chosen = (_CONFIG, _BATCH_SIZE, _SECONDS, _ORDER, _COLD, _WITH_MODEL, _MODEL)
    arguments = [
        f'--{flag.name}={str(flag.value).lower() if isinstance(flag.value, bool) else flag.value}' for flag in chosen
    ]
    arguments += [f'--measure={way}', f'--data_dir={data_dir}', f'--converted={converted}']
    return run_in_process('benchmarks.input_throughput', arguments, way)


def _measure(way: str) -> dict:
    split = _open_split(_DATA_DIR.value)
    task = Task(
        split, _DATA_DIR.value, _CONVERTED.value, _BATCH_SIZE.value, _ORDER.value == 'shuffled', _WITH_MODEL.value
    )
    if _WITH_MODEL.value:
        return wait.measure(way, task, _MODEL.value, _SECONDS.value)
    return measurement.measure(way, task, _SECONDS.value, _COLD.value)


def _report(examples: int, measurements: dict[str, list[dict]]) -> None:
    rates = {way: [one['rate'] for one in of_way] for way, of_way in measurements.items()}
    medians = {way: statistics.median(of_way) for way, of_way in rates.items()}
    summary = {'examples': examples, 'batch': _BATCH_SIZE.value, 'rates': medians}
    what = f'{examples:,} examples, batches of {_BATCH_SIZE.value}, {_ORDER.value} order'
    if _WITH_MODEL.value:
        what += f', training the model {_MODEL.value}'
        columns = wait.COLUMNS
        summary['input_wait'] = {way: _median(measurements[way], 'input_wait') for way in measurements}
    else:
        what += ', cold page cache' if _COLD.value else ', warm page cache'
        columns = measurement.COLUMNS
        summary['ratios'] = {
            way: medians['block'] / medians[way] for way in medians if 'block' in medians and way != 'block'
        }
    print(what)
    print(
        f'{"":<17}  {"examples/s":>12}  {"range":>25}' + ''.join(f'  {title:>14}' for title in columns.values()), end=''
    )
    print('' if _WITH_MODEL.value else f'  {"block is":>10}')
    for way in medians:
        spread = f'{min(rates[way]):,.0f} to {max(rates[way]):,.0f}'
        line = f'{way:<17}  {medians[way]:>12,.0f}  {spread:>25}'
        line += ''.join(f'  {_median(measurements[way], name):>14.3g}' for name in columns)
        if not _WITH_MODEL.value and 'block' in medians:
            line += f'  {medians["block"] / medians[way]:>9.2f}x'
        print(line)
    if _FIGURE.value:
        draw_rates(medians, rates, OURS, what, _FIGURE.value)
    print(json.dumps(summary))


def _median(measurements: list[dict], name: str) -> float:
    return statistics.median(one[name] for one in measurements)


if __name__ == '__main__':
    run_command('input_throughput', __name__)
