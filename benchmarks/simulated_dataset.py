"""A dataset to measure on, made from a few simulated recordings."""

from __future__ import annotations

import os
import sys

from beam_pipelines.simulation.recordings import Profile, simulate
from benchmarks.measuring import time_command

# How many recorded spikes there are makes no difference to the speed of reading synthetic ones.
_CELLS = {'SER': 4, 'NSER': 4}
_PROFILE = Profile('benchmark', {'original': _CELLS, 'non_homogeneous': _CELLS}, seconds=10.0)


def make_dataset(folder: str, examples: int) -> str:
    """Makes ``synthetic`` from simulated recordings.

    Parameters
    ----------
    folder : where to write the recordings and the dataset.
    examples : examples in ``synthetic``, half of each class.

    Returns
    -------
    The TFDS data directory.
    """
    data_dir = os.path.join(folder, 'data')
    print(f'making a dataset of {examples:,} examples', file=sys.stderr)
    counts = f'{examples - examples // 2},{examples // 2}'
    recordings = simulate(os.path.join(folder, 'recordings'), _PROFILE)
    command = [
        sys.executable, '-m', 'beam_pipelines.build', '--recordings', str(recordings), '--data_dir', data_dir,
        '--configs', 'synthetic', '--synthetic_examples', counts,
    ]  # fmt: skip
    time_command('the build', command)
    return data_dir
