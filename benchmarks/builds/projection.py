"""What 10^10 spikes on 100 workers would take, from the measurements of ``build_scale`` and named assumptions."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.datasets import record_layout
from benchmarks.builds.job_flows import Flow

SPIKES = 10**10
WORKERS = 100  # of one core each
SHARD_BYTES = 128 << 20

# Assumed, not measured: no object store was available.
STORE_MB_A_SECOND = 100  # sent by one worker to the store
COPY_SECONDS = 0.1  # to copy or delete one object within the store
COPIES_AT_A_TIME = 16  # of one worker, as beam_pipelines.storage.publishing copies


def table(by_spikes: Sequence[dict], by_recordings: Sequence[dict], by_shards: Sequence[dict]) -> str:
    """Returns the projection as a Markdown table.

    Parameters
    ----------
    by_spikes, by_recordings, by_shards : the measurements, each in ascending order.
    """
    thrown_away = [one for one in by_spikes if one['discarded']][-1]
    many = by_shards[-1]
    few_cells, many_cells = by_recordings[0], by_recordings[-1]
    rate = thrown_away['examples'] / thrown_away['stages']['write']
    num_bytes = SPIKES * record_layout.RECORD_BYTES
    shards = -(-num_bytes // SHARD_BYTES)
    more = shards / many['shards']
    written = next(flow for flow in (Flow(**flow) for flow in many['flows']) if flow.made_by.endswith('/WriteShard'))
    more_mb = many_cells['anonymous_mb'] - few_cells['anonymous_mb']
    more_cells = many_cells['recordings'] - few_cells['recordings']
    seconds = {
        'make': SPIKES / WORKERS / rate,
        'send': num_bytes / WORKERS / STORE_MB_A_SECOND / 1e6,
        'name': 2 * shards * COPY_SECONDS / WORKERS,
        'plan': many['stages']['plan'] * more,
        'finish': many['stages']['finish'] * more,
        'publish': 2 * shards * COPY_SECONDS / COPIES_AT_A_TIME / WORKERS,
    }

    at_many = f'measured at {many["shards"]:,} shards'
    rows = [
        ('shards', f'{num_bytes / 1e12:.2f} TB in {shards:,} files of 128 MiB', 'arithmetic'),
        ('making them', f'{seconds["make"]:,.0f} s', f'measured: {rate:,.0f} spikes/s a core'),
        (
            'sending them to the store',
            f'{seconds["send"]:,.0f} s',
            f'assumed: {STORE_MB_A_SECOND} MB/s a worker (a core makes {rate * record_layout.RECORD_BYTES / 1e6:,.0f})',
        ),
        (
            'giving whole shards their names in an object store',
            f'{seconds["name"]:,.0f} s',
            f'assumed: {COPY_SECONDS} s to copy and as much to delete an object, one after the other on each worker',
        ),
        ('Plan, on one worker', f'{seconds["plan"]:.1f} s', at_many),
        ('Finish, on one worker', f'{seconds["finish"]:.1f} s', f'{at_many}, on a local disk'),
        ('side input of Finish', f'{written.total_bytes * more / 1e6:.1f} MB', at_many),
        ('all that is shuffled or a side input', f'{many["moved_bytes"] * more / 1e6:.1f} MB', at_many),
        (
            'publishing in an object store, by all workers',
            f'{seconds["publish"]:,.0f} s',
            f'assumed: the same, {COPIES_AT_A_TIME} at a time on each worker',
        ),
        ('all of that, one after the other', f'{sum(seconds.values()) / 60:.1f} min', 'their sum'),
        (
            'memory of a worker, for each recording',
            f'{more_mb * 1024 / more_cells:,.1f} KiB',
            f'measured between {few_cells["recordings"]:,} and {many_cells["recordings"]:,} recordings, one process',
        ),
    ]
    lines = [('10^10 spikes, 100 workers', 'projected', 'from'), ('---',) * 3, *rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines) + '\n'
