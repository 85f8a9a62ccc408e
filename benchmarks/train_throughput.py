r"""How fast the whole ensemble trains: in one pass, against one network after the other as in the published code.

    python -m benchmarks.train_throughput
    python -m benchmarks.train_throughput --full
    python -m benchmarks.train_throughput --batches=8192,32768 --precisions=mixed_bfloat16 --backends=jax --seconds=60
    python -m benchmarks.train_throughput --data_dir=data --config=synthetic --figure=docs/images/train_throughput.png

Without --data_dir it simulates recordings and builds a dataset of --examples examples in a temporary folder. Each
measurement runs in its own process, the ways take turns, and the table gives the median and the range of the repeats:
examples per second through all members, after the first steps, which compile. The last line is one JSON
object; `ratios` are rate(way) / rate(separate); `ensemble` in `rates` is the ensemble's fastest way.

    separate                        the published networks (160, 2, 1), one `fit` after the other, batches of 64 from
                                    NumPy arrays in memory; the rate is that of all members together
    separate_cnn                    the same with our network, whose only input is the current
    BACKEND/PRECISION/BATCH_SIZE    the ensemble as sero-train trains it, fed by the block reader

The ensemble's ways also report the share of time spent waiting for input, and how long the published amount of
training, 222 million examples through each member, takes at this rate. It ends within five minutes on two cores; --full
adds JAX, bfloat16, smaller batches and `separate_cnn`, and measures longer and more often.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import platform
import statistics
import sys
import tempfile
from typing import Any

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.errors import UserError
from benchmarks.measuring import draw_rates, run_in_process, take_turns
from benchmarks.simulated_dataset import make_dataset
from trainer.backend import start_keras

_SEPARATE = {'separate': 'published', 'separate_cnn': 'cnn'}
_PUBLISHED_EXAMPLES = 200 * 25 * 44_415  # chunks, epochs, training examples per chunk

_BACKENDS = flags.DEFINE_list('backends', ['tensorflow'], 'Keras backends of the ensemble.')
_PRECISIONS = flags.DEFINE_list('precisions', ['float32'], 'Precisions of the ensemble.')
_BATCHES = flags.DEFINE_list('batches', ['512'], 'Batch sizes of the ensemble.')
_KERNEL_SIZES = flags.DEFINE_list('kernel_sizes', [str(size) for size in range(20, 31)], 'One member each.')
_DATA_DIR = flags.DEFINE_string('data_dir', None, 'TFDS data directory to train on, instead of making one.')
_CONFIG = flags.DEFINE_string('config', 'synthetic', 'Dataset in --data_dir; its train split is trained on.')
_EXAMPLES = flags.DEFINE_integer('examples', 127_006, 'Examples in the dataset that is made.', lower_bound=2)
_SECONDS = flags.DEFINE_float('seconds', 4, 'How long a measurement is.', lower_bound=0.1)
_REPEATS = flags.DEFINE_integer('repeats', 2, 'Measurements of each way.', lower_bound=1)
_FULL = flags.DEFINE_bool('full', False, 'Measures more ways, for longer and more often.')
_FIGURE = flags.DEFINE_string('figure', None, 'PNG file to draw the rates into.')
_MEASURE = flags.DEFINE_string('measure', None, 'Measures one way once, in this process.')


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    if _FULL.value:
        _measure_more()
    if _MEASURE.value:
        print(json.dumps(_measure(_MEASURE.value)))
    else:
        _compare(_chosen_ways())
    return 0


def _measure_more() -> None:
    """Sets the defaults of --full; flags that are given stay."""
    flags.set_default(_BACKENDS, ['tensorflow', 'jax'])
    flags.set_default(_PRECISIONS, ['float32', 'mixed_bfloat16'])
    flags.set_default(_BATCHES, ['64', '128', '512'])
    flags.set_default(_SECONDS, 10)
    flags.set_default(_REPEATS, 3)


def _chosen_ways() -> list[str]:
    precisions = ('float32', 'mixed_bfloat16', 'mixed_float16')
    for flag, values in ((_BACKENDS, ('tensorflow', 'jax')), (_PRECISIONS, precisions)):
        for value in flag.value:
            if value not in values:
                raise UserError(f'--{flag.name}: {value!r} is not one of {", ".join(values)}')
    for flag in (_BATCHES, _KERNEL_SIZES):
        for value in flag.value:
            if not value.isdecimal() or not int(value):
                raise UserError(f'--{flag.name}: {value!r} is not a positive number')
    backends = [name for name in _BACKENDS.value if importlib.util.find_spec(name)]
    for name in set(_BACKENDS.value) - set(backends):
        print(f"left out: {name} is not installed: pip install '.[{name}]'", file=sys.stderr)
    return [
        *(_SEPARATE if _FULL.value else ('separate',)),
        *(
            f'{backend}/{precision}/{batch_size}'
            for backend in backends
            for precision in _PRECISIONS.value
            for batch_size in _BATCHES.value
        ),
    ]


def _compare(ways: list[str]) -> None:
    with contextlib.ExitStack() as stack:
        data_dir = _DATA_DIR.value
        if data_dir is None:
            data_dir = make_dataset(stack.enter_context(tempfile.TemporaryDirectory()), _EXAMPLES.value)
        measurements = take_turns(
            ways, _REPEATS.value, lambda way: _measure_in_process(way, data_dir), lambda one: one['rate']
        )
    _report(measurements)


def _measure_in_process(way: str, data_dir: str) -> dict:
    backend = 'tensorflow' if way in _SEPARATE else way.split('/')[0]
    arguments = [
        f'--measure={way}',
        f'--data_dir={data_dir}',
        f'--config={_CONFIG.value}',
        f'--kernel_sizes={",".join(_KERNEL_SIZES.value)}',
        f'--seconds={_SECONDS.value}',
    ]
    return run_in_process('benchmarks.train_throughput', arguments, way, {'KERAS_BACKEND': backend})


def _measure(way: str) -> dict:
    start_keras()
    from benchmarks.train_measurement import measure_ensemble, measure_separate
    from trainer.backend import describe_device
    from trainer.data.stored_dataset import open_split

    kernel_sizes = [int(size) for size in _KERNEL_SIZES.value]
    split = open_split(_DATA_DIR.value, _CONFIG.value, 'train')
    if way in _SEPARATE:
        measured = measure_separate(split, _SEPARATE[way], kernel_sizes, _SECONDS.value)
    else:
        _, precision, batch_size = way.split('/')
        measured = measure_ensemble(split, kernel_sizes, precision, int(batch_size), _SECONDS.value)
    return measured | {'device': describe_device()}


def _report(measurements: dict[str, list[dict]]) -> None:
    rates = {way: [one['rate'] for one in of_way] for way, of_way in measurements.items()}
    medians = {way: statistics.median(of_way) for way, of_way in rates.items()}
    waits = {
        way: statistics.median(one['input_wait'] for one in measurements[way])
        for way in measurements
        if way not in _SEPARATE
    }
    fastest = max(waits, key=lambda way: medians[way], default=None)
    device = f'{measurements[fastest or "separate"][0]["device"]}, {platform.machine()}'
    what = f'{len(_KERNEL_SIZES.value)} members, {device}'
    print(what)
    print(f'{"":<30}  {"examples/s":>10}  {"range":>19}  {"to separate":>11}  {"input wait":>10}  {"published":>12}')
    for way in medians:
        spread = f'{min(rates[way]):,.0f} to {max(rates[way]):,.0f}'
        wait = f'{waits[way]:.2%}' if way in waits else ''
        print(
            f'{way:<30}  {medians[way]:>10,.0f}  {spread:>19}  {medians[way] / medians["separate"]:>10.2f}x  {wait:>10}'
            f'  {_PUBLISHED_EXAMPLES / medians[way] / 3600:>10,.1f} h'
        )
    if _FIGURE.value:
        draw_rates(medians, rates, tuple(waits), what, _FIGURE.value)
    summary: dict[str, Any] = {
        'device': device,
        'members': len(_KERNEL_SIZES.value),
        'rates': dict(medians),
        'ratios': {},
    }
    if fastest:
        summary |= {'fastest': fastest, 'input_wait': waits[fastest]}
        summary['rates']['ensemble'] = medians[fastest]
    summary['ratios'] = {way: rate / medians['separate'] for way, rate in summary['rates'].items()}
    print(json.dumps(summary))


if __name__ == '__main__':
    run_command('train_throughput', __name__)
