r"""How the cost of the Beam job grows with the numbers of spikes, recordings and shards.

    python -m benchmarks.build_scale
    python -m benchmarks.build_scale --examples=127006,1270060 --recordings=10,100 --shards=1000

It prints Markdown tables, ready for docs/performance.md; the last line is one JSON object. Each measurement is one
build of ``synthetic`` in a process of its own, without imports and without ``sero-build``'s checks before the job.

- Spikes: made from the 40 recordings in ``original`` of the profile ``demo``. Datasets above --most_written are NOT
  written: they go to ``discard://`` (``discarding_store``), which keeps the shards' sizes and discards their bytes. The
  largest written dataset is measured both ways.
- Recordings: 10 s each, half SER and half NSER, ``original`` only; --same_examples spikes in each dataset.
- Shards: --same_examples spikes in more and more shards, to show the cost per shard.

Times of stages and bytes of PCollections are Beam's own (monitoring infos of the job's result). Beam samples both,
so a stage of a few milliseconds may count as none; with two workers a stage's time is the sum of both. With one worker,
the rest of the total is listed under Beam. Memory is that of the largest process; its own is without mapped files, the
pages of which the system takes back when it needs them.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.simulation.recordings import PROFILES, Profile, simulate
from benchmarks.builds import discarding_store, projection
from benchmarks.builds.job_flows import Flow
from benchmarks.measuring import run_in_process

_STAGES = ('find', 'read', 'plan', 'write', 'finish', 'publish')
_SECONDS_A_RECORDING = 10.0

_EXAMPLES = flags.DEFINE_list('examples', ['127006', '1270060', '12700600', '127006000'], 'Numbers of spikes, rising.')
_MOST_WRITTEN = flags.DEFINE_integer('most_written', 12_700_600, 'Larger datasets are made but not written.')
_RECORDINGS = flags.DEFINE_list('recordings', ['10', '100', '1000'], 'Numbers of recordings, rising.')
_SHARDS = flags.DEFINE_list('shards', ['8', '1000', '10000', '56327'], 'Numbers of shards, rising.')
_WORKERS = flags.DEFINE_list('workers', ['1', '2'], 'Numbers of Beam workers; 1 must be among them.')
_SAME_EXAMPLES = flags.DEFINE_integer('same_examples', 1_270_060, 'Spikes when recordings or shards vary.')
_FOLDER = flags.DEFINE_string('folder', None, 'Folder on the disk to write to; a temporary one by default.')
flags.register_validator('recordings', lambda counts: len(set(counts)) > 1, 'What grows needs two numbers.')
flags.register_validator('workers', lambda workers: '1' in workers, '1 must be among them.')
flags.register_multi_flags_validator(
    ['examples', 'most_written'],
    lambda values: min(map(int, values['examples'])) <= values['most_written'],
    'The fewest --examples must be written.',
)


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    with tempfile.TemporaryDirectory(dir=_FOLDER.value) as folder:
        demo = simulate(os.path.join(folder, 'demo'), PROFILES['demo'])
        by_spikes = _grow_spikes(folder, demo)
        by_recordings = _grow_recordings(folder)
        by_shards = [_measure(folder, demo, _SAME_EXAMPLES.value, shards=int(shards)) for shards in _SHARDS.value]
    # The run that moves most data: the largest that one process really wrote.
    shown = [one for one in by_spikes if one['workers'] == 1 and not one['discarded']][-1]
    print(_table_of_spikes(by_spikes))
    print(_table_of_recordings(by_recordings))
    print(_table_of_shards(by_shards))
    print(_table_of_flows(shown))
    print(projection.table(by_spikes, by_recordings, by_shards))
    print(json.dumps({'spikes': by_spikes, 'recordings': by_recordings, 'shards': by_shards}))
    return 0


def _grow_spikes(folder: str, recordings: str | os.PathLike) -> list[dict]:
    sizes = sorted(map(int, _EXAMPLES.value))
    most_written = max(size for size in sizes if size <= _MOST_WRITTEN.value)
    ways = [(size, size > most_written) for size in sizes]
    ways.insert(sizes.index(most_written) + 1, (most_written, True))
    return [
        _measure(folder, recordings, size, workers=workers, discard=discard)
        for size, discard in ways
        for workers in map(int, _WORKERS.value)
    ]


def _grow_recordings(folder: str) -> list[dict]:
    measurements = []
    for count in map(int, _RECORDINGS.value):
        none = {'SER': 0, 'NSER': 0}
        cells = {'original': {'SER': count - count // 2, 'NSER': count // 2}, 'non_homogeneous': none}
        root = simulate(os.path.join(folder, 'grown'), Profile('grown', cells, _SECONDS_A_RECORDING))
        one = _measure(folder, root, _SAME_EXAMPLES.value)
        measurements.append({'recordings': count} | one)
        shutil.rmtree(root)
    return measurements


def _measure(folder: str, recordings: str | os.PathLike, examples: int, **options: int) -> dict:
    # Beam's local runner does not pass its options to its workers; this file does.
    worker_options = os.path.join(folder, 'worker_options.json')
    with open(worker_options, 'w') as file:
        json.dump({'beam_plugins': [discarding_store.__name__]}, file)
    arguments = [f'--recordings={recordings}', f'--folder={folder}', f'--examples={examples}']
    arguments += [f'--{name}={int(value)}' for name, value in options.items()]
    environment = {'PIPELINE_OPTIONS_FILE': worker_options}
    return run_in_process('benchmarks.builds.measurement', arguments, f'{examples:,} spikes', environment)


def _table_of_spikes(measurements: list[dict]) -> str:
    rows = []
    for one in measurements:
        where = 'not written' if one['discarded'] else f'{one["shard_bytes"] / 1e9:.2f} GB'
        rate = one['examples'] / one['seconds']
        rows.append([f'{one["examples"]:,}', where, one['workers'], one['shards'], *_costs(one), f'{rate:,.0f}'])
    return _markdown(['spikes', 'shards', 'workers', 'files', *_COST_TITLES, 'spikes/s'], rows)


def _table_of_recordings(measurements: list[dict]) -> str:
    rows = [
        [
            f'{one["recordings"]:,}',
            f'{one["recorded_spikes"]:,}',
            *_costs(one),
            f'{one["anonymous_mb"]:,.0f}',
            *_moved(one),
            f'{one["job_bytes"]:,}',
        ]
        for one in measurements
    ]
    titles = ['recordings', 'their spikes', *_COST_TITLES, 'of it own MB', *_MOVED_TITLES, 'job description, bytes']
    return _markdown(titles, rows)


def _table_of_shards(measurements: list[dict]) -> str:
    rows = [[f'{one["shards"]:,}', *_costs(one), *_moved(one), f'{one["job_bytes"]:,}'] for one in measurements]
    return _markdown(['shards', *_COST_TITLES, *_MOVED_TITLES, 'job description, bytes'], rows)


_COST_TITLES = ('total, s', *_STAGES, 'Beam', 'peak MB')


def _costs(one: dict) -> list[str]:
    of_beam = f'{one["seconds"] - sum(one["stages"].values()):.2f}' if one['workers'] == 1 else ''
    stages = [f'{one["stages"][stage]:.2f}' for stage in _STAGES]
    return [f'{one["seconds"]:.1f}', *stages, of_beam, f'{max(one["peak_mb"], one["worker_peak_mb"]):,.0f}']


_MOVED_TITLES = ('shuffled, kB', 'side inputs, kB')


def _moved(one: dict) -> list[str]:
    flows = [Flow(**flow) for flow in one['flows']]
    shuffled = sum(flow.total_bytes for flow in flows if flow.shuffled)
    side_inputs = sum(flow.total_bytes * flow.side_inputs for flow in flows)
    return [f'{shuffled / 1e3:,.1f}', f'{side_inputs / 1e3:,.1f}']


def _table_of_flows(one: dict) -> str:
    flows = [Flow(**flow) for flow in one['flows']]
    rows = []
    for flow in flows:
        if flow.is_internal:
            continue
        ways = ['shuffled'] * flow.shuffled + [f'side input of {flow.side_inputs}'] * bool(flow.side_inputs)
        cells = (flow.made_by, f'{flow.elements:,}', f'{flow.largest_bytes:,}', f'{flow.total_bytes:,.0f}')
        rows.append([*cells, ', '.join(ways)])
    hidden = sum(flow.is_internal for flow in flows)
    sentences = (
        f'{one["examples"]:,} spikes. Not shown: {hidden} PCollections inside of `Create` and `Reshuffle`.',
        f'The largest element of all has {max(flow.largest_bytes for flow in flows):,} bytes.',
        f'{one["moved_bytes"]:,.0f} bytes are shuffled or read as side inputs; {one["shard_bytes"]:,} bytes are',
        f'written to shards, {one["shard_bytes"] / one["moved_bytes"]:,.0f} times as many.',
    )
    table = _markdown(['comes out of', 'elements', 'largest, bytes', 'all, bytes', 'leaves the worker'], rows)
    return f'{table}\n{" ".join(sentences)}\n'


def _markdown(titles: list[str], rows: list[list]) -> str:
    lines = [titles, ['---'] * len(titles), *rows]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines) + '\n'


if __name__ == '__main__':
    run_command('build_scale', __name__)
