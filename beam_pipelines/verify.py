r"""Reads every file of a built dataset and checks it: checksums, layout, counts, ranges, finite values.

    sero-verify data/sero_spikes/original/1.1.0
    sero-verify data/sero_spikes
    sero-verify gs://bucket/data/sero_spikes

A folder is searched for datasets at any depth. Each fault is one line on standard error, with shard and record. So is
each dataset that an interrupted build left aside as VERSION.replaced; it is not read. All cores are used.
The last line of standard output is one JSON object. The exit status is 1 if anything is wrong.
"""

from __future__ import annotations

import json
import os
import time

from absl import flags, logging

from beam_pipelines.cli.command import run_command, say
from beam_pipelines.errors import UsageError


def main(argv: list[str]) -> int:
    """Runs the command with parsed flags; returns its exit status."""
    if not flags.FLAGS['verbosity'].present:
        # Beam logs every optional package that it does not find.
        logging.set_verbosity(logging.ERROR)
    # Imported here because Beam takes a second to import, and --help should not wait for it.
    from beam_pipelines.datasets.verification import find_datasets, verify_dataset
    from beam_pipelines.storage.files import is_local

    if not argv[1:]:
        raise UsageError('give the folder of a dataset, such as data/sero_spikes/original/1.1.0')
    started = time.monotonic()
    records, errors = 0, 0
    found = [find_datasets(argument) for argument in argv[1:]]
    for note in dict.fromkeys(note for one in found for note in one.notes):
        say(note)
    folders = [folder for one in found for folder in one.folders]
    for folder in folders:
        checked = verify_dataset(folder)
        records += checked.records
        errors += len(checked.errors)
        for error in (*checked.errors, *checked.notes):
            say(error)
    seconds = time.monotonic() - started
    summary = {
        'datasets': [os.path.abspath(folder) if is_local(folder) else folder for folder in folders],
        'records': records,
        'errors': errors,
        'seconds': round(seconds, 3),
        'records_per_s': round(records / seconds),
    }
    print(json.dumps(summary))
    return 1 if errors else 0


def run() -> None:
    """Runs the command."""
    run_command('sero-verify', __name__)


if __name__ == '__main__':
    run()
