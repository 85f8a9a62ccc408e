r"""How fast sero-build reads what it is given, in one process.

    sero-simulate --output_dir paper/recordings --profile paper
    python -m benchmarks.reading_throughput --recordings paper/recordings
    python -m benchmarks.reading_throughput --array_rows 4000000

The first builds the datasets of recorded spikes from recordings, and says how many seconds of recording one core reads
in a second. The second writes arrays as the authors published theirs (2560 bytes a row, into a temporary folder),
builds published_synthetic from them, and says how many spikes the job reads and writes in a second. "seconds" is the
time of the whole command with Python's start, "job_seconds" what the command prints. The last line is one JSON object.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from absl import flags

from beam_pipelines.cli.command import refuse_arguments, run_command
from beam_pipelines.errors import UsageError, UserError

_RECORDINGS = flags.DEFINE_string('recordings', None, 'Recordings root to read.')
_ARRAY_ROWS = flags.DEFINE_integer('array_rows', None, 'Rows of published arrays to make and read.', lower_bound=1000)
_REPEATS = flags.DEFINE_integer('repeats', 3, 'Measurements; the median is printed.', lower_bound=1)

_BLOCK = 10_000


def main(argv: list[str]) -> int:
    refuse_arguments(argv)
    if (_RECORDINGS.value is None) == (_ARRAY_ROWS.value is None):
        raise UsageError('give --recordings or --array_rows')
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        if _RECORDINGS.value:
            os.sched_setaffinity(0, {0})  # what it starts inherits the one core
            result = _measure(pathlib.Path(_RECORDINGS.value), folder, 'original,non_homogeneous')
            result['recorded_s'] = _recorded_seconds(pathlib.Path(_RECORDINGS.value))
            result['times_real_time'] = round(result['recorded_s'] / result['seconds'], 1)
        else:
            # In a process of its own, whose memory is not counted as that of the builds.
            writing = multiprocessing.get_context('spawn').Process(
                target=_write_arrays, args=(folder / 'recordings' / 'published_synthetic', _ARRAY_ROWS.value)
            )
            writing.start()
            writing.join()
            result = _measure(folder / 'recordings', folder, 'published_synthetic')
            result['spikes_per_s'] = round(_ARRAY_ROWS.value / result['job_seconds'])
    print(json.dumps(result))
    return 0


def _measure(recordings: pathlib.Path, folder: pathlib.Path, configs: str) -> dict:
    """Returns the median time of a build in one process, and the most memory that it took."""
    seconds, job_seconds, peak_mb = [], [], 0.0
    for repeat in range(_REPEATS.value):
        command = [sys.executable, '-m', 'beam_pipelines.build', '--recordings', str(recordings)]
        command += ['--data_dir', str(folder / str(repeat)), '--configs', configs]
        started = time.monotonic()
        with open(folder / 'errors', 'w+', encoding='utf-8') as errors, open(folder / 'output', 'w+') as output:
            building = subprocess.Popen(command, stdout=output, stderr=errors)
            _, status, usage = os.wait4(building.pid, 0)
            building.returncode = os.waitstatus_to_exitcode(status)
            if building.returncode:
                errors.seek(0)
                raise UserError(errors.read().strip().splitlines()[-1])
            output.seek(0)
            job_seconds.append(float(output.read().rpartition('done in ')[2].split()[0]))
        seconds.append(time.monotonic() - started)
        peak_mb = max(peak_mb, usage.ru_maxrss / 1024)
        print(f'repeat {repeat + 1}: {seconds[-1]:.1f} s, the job {job_seconds[-1]:.1f} s', file=sys.stderr)
    return {
        'seconds': round(statistics.median(seconds), 2),
        'job_seconds': statistics.median(job_seconds),
        'peak_mb': round(peak_mb),
    }


def _recorded_seconds(root: pathlib.Path) -> float:
    import pyabf

    total = 0.0
    for path in root.rglob('*.abf'):
        abf = pyabf.ABF(str(path), loadData=False)
        total += abf.dataLengthSec
    return round(total, 1)


def _write_arrays(folder: pathlib.Path, rows: int) -> None:
    """Writes one set of arrays for each class, sorted by cell, as the published ones may be."""
    import numpy as np

    for label, name in enumerate(('SER', 'NSER')):
        os.makedirs(folder / name)
        count = rows // 2
        observations = np.lib.format.open_memmap(
            folder / name / 'observations.npy', 'w+', np.float64, (count, 160, 2, 1)
        )
        current_pa = np.random.default_rng(label).normal(0, 20, (_BLOCK, 160))
        for first in range(0, count, _BLOCK):
            block = observations[first : first + _BLOCK]
            block[:, :, 0, 0] = np.arange(160) / 40_000
            block[:, :, 1, 0] = current_pa[: len(block)]
        del observations
        np.save(folder / name / 'labels.npy', np.full((count, 1), label))
        cells = [f'SIM{label}#{100 * row // count:03d}' for row in range(count)]
        np.save(folder / name / 'cells.npy', np.array(cells)[:, np.newaxis])


if __name__ == '__main__':
    run_command('reading_throughput', __name__)
