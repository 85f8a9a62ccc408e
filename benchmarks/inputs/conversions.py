"""The same examples in the peers' formats: ArrayRecord, tar shards for WebDataset, .npy shards.

A row is 640 bytes of waveform and one byte of label: nothing to parse, which favours these peers.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from beam_pipelines.datasets import record_layout

if TYPE_CHECKING:  # It imports TensorFlow.
    from trainer.data.stored_dataset import StoredSplit

_SHARD_ROWS = 16_384


def convert(format_name: str, split: StoredSplit, folder: str) -> None:
    """Writes a split in another format.

    Parameters
    ----------
    format_name : ``array_record``, ``tar`` or ``npy``.
    split : what to convert.
    folder : where the files go; they are named so that the formats can share it.
    """
    {'array_record': _write_array_records, 'tar': _write_tars, 'npy': _write_npy}[format_name](split, folder)


def _write_array_records(split: StoredSplit, folder: str) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    for number, shard in enumerate(split.shards):
        # The group size that Grain requires; uncompressed, because noise hardly compresses.
        writer = ArrayRecordWriter(os.path.join(folder, f'{number:05d}.array_record'), 'group_size:1,uncompressed')
        records = _map(shard.path)
        for first in range(0, len(records), _SHARD_ROWS):
            for row in _packed(records[first : first + _SHARD_ROWS]):
                writer.write(row.tobytes())
        writer.close()


def _write_tars(split: StoredSplit, folder: str) -> None:
    for number, records in enumerate(_parts(split)):
        with open(os.path.join(folder, f'{number:05d}.tar'), 'wb') as file:
            for row, content in enumerate(_packed(records)):
                member = tarfile.TarInfo(f'{number:05d}-{row:05d}.row')
                member.size = content.nbytes
                file.write(member.tobuf(tarfile.USTAR_FORMAT))
                file.write(content.tobytes() + bytes(-content.nbytes % tarfile.BLOCKSIZE))
            file.write(bytes(2 * tarfile.BLOCKSIZE))


def _write_npy(split: StoredSplit, folder: str) -> None:
    for number, records in enumerate(_parts(split)):
        stem = os.path.join(folder, f'{number:05d}')
        np.save(f'{stem}.waveform.npy', records['waveform'])
        np.save(f'{stem}.label.npy', record_layout.decode_varints(records['label']))


def _map(path: str) -> np.ndarray:
    return record_layout.view_records(np.memmap(path, np.uint8, 'r'))


def _parts(split: StoredSplit) -> Iterator[np.ndarray]:
    for shard in split.shards:
        records = _map(shard.path)
        for first in range(0, len(records), _SHARD_ROWS):
            yield records[first : first + _SHARD_ROWS]


def _packed(records: np.ndarray) -> np.ndarray:
    """Returns (n, 641) uint8: the waveform's bytes and the label."""
    waveform = np.ascontiguousarray(records['waveform']).view(np.uint8)
    return np.concatenate([waveform, records['label']], axis=1)
