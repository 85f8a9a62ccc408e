"""Writes one shard: blocks of rows, whole or not at all."""

from __future__ import annotations

import dataclasses

import google_crc32c

from beam_pipelines.planning.example_source import ExampleSource
from beam_pipelines.storage import files


@dataclasses.dataclass(frozen=True)
class WrittenShard:
    """A whole shard.

    Attributes
    ----------
    split, number : which shard it is.
    examples : how many records it holds.
    crc32c : CRC-32C of the whole file, as eight hexadecimal digits.
    reused : True if an earlier, interrupted run had already made it.
    """

    split: str
    number: int
    examples: int
    crc32c: str
    reused: bool


def write_shard(source: ExampleSource, split: str, number: int, first: int, stop: int, path: str) -> WrittenShard:
    """Writes examples ``first..stop-1`` of a split, unless the shard is already there.

    A shard appears under its name only when it is whole, so one that is there needs no second making; that it belongs
    to the same build is the caller's business.
    """
    checksum = google_crc32c.Checksum()
    reused = files.exists(path)
    if reused:
        for block in files.read_blocks(path):
            checksum.update(block)
    else:
        with files.create_atomically(path) as file:
            for rows in source.blocks(split, first, stop):
                checksum.update(rows)
                file.write(rows)
    return WrittenShard(split, number, stop - first, checksum.hexdigest().decode(), reused)
