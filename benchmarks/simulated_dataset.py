"""A dataset to measure on, made from simulated recordings like the demo's."""

from __future__ import annotations

import os
import subprocess
import sys

from beam_pipelines.errors import UserError


def make_dataset(folder: str, examples: int) -> str:
    """Makes ``original`` and ``synthetic`` from simulated recordings.

    Parameters
    ----------
    folder : where to write the recordings and the dataset.
    examples : examples in ``synthetic``, half of each class.

    Returns
    -------
    The TFDS data directory.
    """
    recordings, data_dir = os.path.join(folder, 'recordings'), os.path.join(folder, 'data')
    print(f'making a dataset of {examples:,} examples', file=sys.stderr)
    counts = f'{examples - examples // 2},{examples // 2}'
    for arguments in (
        ['beam_pipelines.simulate', '--output_dir', recordings, '--profile', 'demo'],
        ['beam_pipelines.build', '--recordings', recordings, '--data_dir', data_dir, '--configs', 'original,synthetic',
         '--synthetic_examples', counts],
    ):  # fmt: skip
        result = subprocess.run([sys.executable, '-m', *arguments], capture_output=True, text=True)
        if result.returncode:
            raise UserError(f'{arguments[0]} failed: {" ".join(result.stderr.split()[-60:])}')
    return data_dir
