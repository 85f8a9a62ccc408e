"""A built dataset on disk: its splits, shards and metadata, checked against each other before anything is read."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import google_crc32c
import numpy as np

from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.checksums import find_changed_files
from beam_pipelines.datasets.configs import (
    CONFIGS,
    INFO_FILE,
    LAYOUT_FILE,
    METADATA_FILE,
    NAME,
    VERSION,
    shard_name,
)
from beam_pipelines.datasets.metadata import DatasetMetadata
from beam_pipelines.datasets.split_lengths import decode_split_lengths
from beam_pipelines.errors import UserError
from beam_pipelines.storage.typed_json import check_content, decode_json
from trainer.data.shards import Shard, exists, find_shard, read_file, read_rows

# A request to a bucket takes some hundredths of a second, as does a read from a network file system: few, in parallel.
_SAMPLES, _SAMPLE_ROWS = 4, 4
_READERS = 16

_BLOCK_ROWS = 16_384


@dataclasses.dataclass(frozen=True)
class StoredSplit:
    """One split of a built dataset.

    Attributes
    ----------
    name : ``CONFIG/SPLIT``.
    folder : of the dataset.
    shards : in the order of their numbers.
    cell_names : what the records' ``cell`` indexes.
    metadata : what the dataset was made from.
    """

    name: str
    folder: str
    shards: tuple[Shard, ...]
    cell_names: tuple[str, ...]
    metadata: DatasetMetadata

    @property
    def examples(self) -> int:
        return sum(shard.examples for shard in self.shards)

    @property
    def cells(self) -> set[str]:
        """The cells whose spikes are in this split."""
        split = self.name.partition('/')[2]
        return {cell.cell_id for cell in self.metadata.cells if cell.split in (split, None)}

    @property
    def is_drawn_by_spike(self) -> bool:
        """Whether it holds some spikes of each cell, drawn at random, and not all of them."""
        return any(cell.split is None for cell in self.metadata.cells)

    @property
    def train_cells(self) -> set[str]:
        """The cells whose spikes are in the training split of this dataset."""
        return {cell.cell_id for cell in self.metadata.cells if cell.split in ('train', None)}


def dataset_folder(data_dir: str, config: str) -> str:
    return os.path.join(data_dir, NAME, config, VERSION)


def is_built(data_dir: str, config: str) -> bool:
    """Tells whether a data directory holds anything of a dataset, complete or not."""
    return exists(dataset_folder(data_dir, config))


def open_split(data_dir: str, config: str, split: str, verify_records: bool = False) -> StoredSplit:
    """Opens one split and checks that its shards are what the metadata promise.

    Parameters
    ----------
    data_dir : the TFDS data directory.
    config, split : such as ``original``, ``validation``.
    verify_records : checks every byte of the shards, and not only their sizes and a sample of their records.

    Raises
    ------
    UserError
        If the dataset is missing, of another format version, or a shard is missing, differs in size from the
        metadata or holds a damaged record; names the file, the record or field and both values.
    """
    folder = dataset_folder(data_dir, config)
    if config not in CONFIGS:
        raise UserError(f'no dataset {config!r}; there are {", ".join(CONFIGS)}')
    lengths_of_split = decode_split_lengths(_read(folder, INFO_FILE), os.path.join(folder, INFO_FILE))
    layout_path = os.path.join(folder, LAYOUT_FILE)
    record_layout.check_json(decode_json(_read(folder, LAYOUT_FILE), layout_path), layout_path)
    metadata = read_metadata(folder)
    _check_files(folder, metadata)
    if split not in lengths_of_split:
        raise UserError(f'{folder}: no split {split!r}; there are {", ".join(sorted(lengths_of_split))}')
    lengths = lengths_of_split[split]
    names = [shard_name(split, number, len(lengths)) for number in range(len(lengths))]

    def find(name: str, length: int) -> Shard:
        return find_shard(os.path.join(folder, name), length, INFO_FILE, metadata.crc32c.get(name))

    with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
        shards = tuple(pool.map(find, names, lengths))
    cell_names = tuple(cell.cell_id for cell in metadata.cells)
    if verify_records:
        _check_all(shards, metadata.crc32c)
    else:
        _check_sample(shards)
    return StoredSplit(f'{config}/{split}', folder, shards, cell_names, metadata)


def read_metadata(folder: str) -> DatasetMetadata:
    """Returns the content of a dataset's ``metadata.json``; UserError if it is missing or damaged."""
    path = os.path.join(folder, METADATA_FILE)
    return check_content(decode_json(_read(folder, METADATA_FILE), path), DatasetMetadata, path)


@contextlib.contextmanager
def noticing_replacement(data_dir: str, config_names: Iterable[str], advice: str) -> Iterator[None]:
    """Raises UserError if a dataset is built, or replaced by another, while the block reads.

    ``sero-build --overwrite`` replaces it as a whole, and the files of the new one have the old ones' names. Errors of
    the block that come from this are replaced too, because each names a file that is as it was built.

    Parameters
    ----------
    data_dir : the TFDS data directory.
    config_names : of the datasets that the block looks for. One that is missing counts as well: it may be so only for
        the moment between two renames.
    advice : what the user may do, for the error.
    """
    folders = [dataset_folder(data_dir, name) for name in config_names]
    before = [_described(folder) for folder in folders]
    failure = None
    try:
        yield
    except UserError as error:
        failure = error
    for folder, was in zip(folders, before, strict=True):
        try:
            is_another = _described(folder) != was
        except UserError as error:  # The disk or the network is gone: what the block met has the better words for it.
            raise failure or error from None
        if is_another:
            raise UserError(f'the dataset was built or replaced while it was read; {advice}', file=folder)
    if failure:
        raise failure


def _described(folder: str) -> bytes | None:
    """Returns what tells a dataset from others; None if there is none. UserError if it cannot be read."""
    path = os.path.join(folder, METADATA_FILE)
    return read_file(path) if exists(path) else None


def _check_files(folder: str, metadata: DatasetMetadata) -> None:
    """Raises UserError if a file beside the shards is not as it was built."""
    problems = find_changed_files(
        folder,
        metadata,
        read=lambda name: _read(folder, name),
        exists=lambda name: exists(os.path.join(folder, name)),
    )
    for problem in problems:
        raise UserError(problem)


def _read(folder: str, name: str) -> bytes:
    return read_file(os.path.join(folder, name))


def _check_sample(shards: Sequence[Shard]) -> None:
    """Checks CRCs, layout and values of the first and last records of each shard and of some between.

    A shard in a bucket is not looked at here: all of it is checked when it comes.

    Raises
    ------
    UserError
        If one is damaged; names file, record and what is wrong.
    """
    with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
        for _ in pool.map(_check_shard_sample, filter(lambda shard: shard.examples and not shard.is_in_bucket, shards)):
            pass


def _check_all(shards: Sequence[Shard], crc32c: Mapping[str, str]) -> None:
    """Checks every byte of the shards.

    Parameters
    ----------
    shards : what to check.
    crc32c : CRC-32C of each whole shard, by file name, from the dataset's ``metadata.json``.

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
        found, promised = checksum.hexdigest().decode(), crc32c.get(os.path.basename(shard.path))
        if found != promised:
            # Only now look at each record.
            for first, count in blocks:
                _check(shard, first, count)
            raise UserError(f'{shard.path}: CRC-32C {found}, metadata.json promises {promised}')


def _check_shard_sample(shard: Shard) -> None:
    count = min(_SAMPLE_ROWS, shard.examples)
    for first in np.unique(np.linspace(0, shard.examples - count, _SAMPLES, dtype=np.int64)):
        _check(shard, int(first), count)


def _check(shard: Shard, first: int, count: int) -> None:
    for row, problem in record_layout.find_bad_records(read_rows(shard, first, count)):
        raise UserError(f'{shard.path}: record {first + row}: {problem} is wrong')
