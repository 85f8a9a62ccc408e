"""Checks the records of shards before anything is trained on them: a sample of each shard, or all of them."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Mapping, Sequence

import google_crc32c
import numpy as np

from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.configs import METADATA_FILE
from beam_pipelines.errors import UserError
from trainer.data.shards import Shard, read_rows

# From a bucket each read takes some hundredths of a second, on a local disk next to nothing: so few reads, and side by
# side.
_SAMPLES, _SAMPLE_ROWS = 4, 4
_READERS = 16

_BLOCK_ROWS = 16_384


def check_sample(shards: Sequence[Shard]) -> None:
    """Checks CRCs, layout and values of the first and last records of each shard and of some between.

    Raises
    ------
    UserError
        If one is damaged; names file, record and what is wrong.
    """
    with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
        for _ in pool.map(_check_sample_of, filter(lambda shard: shard.examples, shards)):
            pass


def check_all(shards: Sequence[Shard], crc32c: Mapping[str, str]) -> None:
    """Checks every byte of the shards.

    Parameters
    ----------
    shards : what to check.
    crc32c : by the name of a shard's file the CRC-32C of all of it, as the dataset's ``metadata.json`` has it.

    Raises
    ------
    UserError
        If a shard is damaged; names file, record and what is wrong.
    """
    for shard in shards:
        blocks = [(first, min(_BLOCK_ROWS, shard.examples - first)) for first in range(0, shard.examples, _BLOCK_ROWS)]
        checksum = google_crc32c.Checksum()
        for first, count in blocks:
            checksum.update(read_rows(shard, first, count))
        found, promised = checksum.hexdigest().decode(), crc32c.get(shard.path.rpartition('/')[2])
        if found != promised:
            # Only now is it worth looking at each record.
            for first, count in blocks:
                _check(shard, first, count)
            raise UserError(f'{shard.path}: CRC-32C {found}, {METADATA_FILE} promises {promised}')


def _check_sample_of(shard: Shard) -> None:
    count = min(_SAMPLE_ROWS, shard.examples)
    for first in np.unique(np.linspace(0, shard.examples - count, _SAMPLES, dtype=np.int64)):
        _check(shard, int(first), count)


def _check(shard: Shard, first: int, count: int) -> None:
    for row, problem in record_layout.find_bad_records(read_rows(shard, first, count)):
        raise UserError(f'{shard.path}: record {first + row}: {problem} is wrong')
