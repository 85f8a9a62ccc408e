"""Checks every byte of a built dataset against its layout, its checksums and its metadata."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import google_crc32c
import numpy as np
from apache_beam.io.filesystems import FileSystems

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.block_checks import are_right, extend_crc
from beam_pipelines.datasets.checksums import checksum, find_changed_files, has_checksums
from beam_pipelines.datasets.configs import BUILDING, INFO_FILE, LAYOUT_FILE, METADATA_FILE, REPLACED, shard_name
from beam_pipelines.datasets.metadata import DatasetMetadata, SynthesisMetadata
from beam_pipelines.datasets.split_lengths import decode_split_lengths
from beam_pipelines.errors import UserError
from beam_pipelines.storage import files as storage
from beam_pipelines.storage.object_store import check_access
from beam_pipelines.storage.typed_json import decode_json
from beam_pipelines.storage.walk import open_regular

_BLOCK = 8192

_NOTE_ON_EARLY_VERSIONS = (
    '{}: built by an early version without checksums.json: of the files beside the shards, only the names of cells and'
    ' labels could be compared; sero-build --overwrite builds it anew'
)

_NOTE_ON_REPLACED = (
    '{}: the dataset that was here before; a build --overwrite set it aside and was killed, or is still at work. It is'
    ' not verified, and the next build that is complete removes it'
)


@dataclasses.dataclass(frozen=True)
class Checked:
    """The result of checking a dataset or a file.

    Attributes
    ----------
    records : how many records were read.
    errors : the faults, one line each, naming file, record, field and value.
    notes : what could not be checked, one line each.
    """

    records: int
    errors: list[str]
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _RecordFile:
    """What the metadata state about a file of records.

    Attributes
    ----------
    path : where it is.
    examples, examples_in : how many records it has, and which file states it.
    crc32c : CRC-32C of the whole file, None if the metadata lack it.
    masks : the largest ``mask`` that its records can have; 0 if it holds recorded spikes.
    """

    path: str
    examples: int
    examples_in: str
    crc32c: str | None
    masks: int


@dataclasses.dataclass(frozen=True)
class _Promises:
    """What the metadata state about a dataset.

    Attributes
    ----------
    record_files : its shards and, for a synthetic dataset, its spike bank.
    noise_masks : path and CRC-32C of the noise masks of a synthetic dataset.
    changed_files : what is wrong with its other files.
    notes : see ``Checked``.
    cell_names : names of the c cells.
    cell_labels, cell_spikes : (c,) int64; the label of each cell and how many recorded spikes it has.
    """

    record_files: list[_RecordFile]
    noise_masks: tuple[str, str] | None
    changed_files: list[str]
    notes: tuple[str, ...]
    cell_names: list[str]
    cell_labels: np.ndarray
    cell_spikes: np.ndarray


@dataclasses.dataclass(frozen=True)
class Found:
    """The datasets in a folder.

    Attributes
    ----------
    folders : of all datasets, but for those that a build is at work in.
    notes : datasets that were to be replaced and are still there, one line each.
    """

    folders: list[str]
    notes: list[str]


def find_datasets(folder: str) -> Found:
    """Finds the datasets at or below a folder, and beside it what was to be replaced by the dataset in it.

    Raises
    ------
    UserError
        If there is none.
    OSError
        If the folder cannot be read.
    """
    check_access(folder)
    described = [path for path in storage.list_files(folder) if os.path.basename(path) == INFO_FILE]
    below = {os.path.dirname(path): pathlib.PurePath(path[len(folder) :]).parent.parts for path in described}
    found = sorted(path for path, parts in below.items() if not any(map(_is_of_build, parts)))
    replaced = sorted(path for path, parts in below.items() if parts and parts[-1].endswith(REPLACED))
    beside = f'{folder.rstrip("/")}{REPLACED}'
    if storage.exists(FileSystems.join(beside, INFO_FILE)):
        replaced.append(beside)
    notes = [_NOTE_ON_REPLACED.format(path) for path in replaced]
    if not found:
        raise UserError('; '.join([f'no dataset there (no {INFO_FILE} at or below it)', *notes]), file=folder)
    return Found(found, notes)


def _is_of_build(name: str) -> bool:
    """Whether a folder is one of a build, or of TFDS's, that is not the place of a dataset."""
    return name.endswith((BUILDING, REPLACED)) or name.startswith('incomplete.')


def verify_dataset(folder: str) -> Checked:
    """Reads every record of a dataset; unreadable metadata is reported as an error."""
    opened = _identity(folder)
    checked = _verify(folder)
    if checked.errors and _identity(folder) != opened:
        # What was found wrong may be that files of two datasets do not fit together.
        replaced = f'{folder}: was replaced by another dataset while it was read; verify it again'
        return Checked(checked.records, [replaced])
    return checked


def _identity(folder: str) -> tuple[int, int] | None:
    """Returns what tells a local folder from another at the same path; None if it is missing, or on an object store."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _verify(folder: str) -> Checked:
    try:
        promises = _read_promises(folder)
    except UserError as error:
        return Checked(0, [str(error)])
    records, errors = 0, [*promises.changed_files, *_check_noise_masks(promises)]
    recorded = np.zeros(len(promises.cell_labels), np.int64)
    for file, (checked, found) in zip(promises.record_files, _verify_files(promises), strict=True):
        records += checked.records
        errors.extend(checked.errors)
        # Every recorded spike occurs exactly once: in a shard or, for a synthetic dataset, in the bank.
        if not file.masks:
            recorded += found
    if not errors:
        errors.extend(f'{folder}: {problem}' for problem in _check_spike_counts(promises, recorded))
    return Checked(records, errors, promises.notes)


def _read_promises(folder: str) -> _Promises:
    """Reads what the metadata state; UserError if they are missing, damaged or of another layout."""
    lengths = decode_split_lengths(_read(folder, INFO_FILE), FileSystems.join(folder, INFO_FILE))
    metadata = _read_metadata(FileSystems.join(folder, METADATA_FILE))
    layout_path = FileSystems.join(folder, LAYOUT_FILE)
    record_layout.check_json(decode_json(_read(folder, LAYOUT_FILE), layout_path), layout_path)
    synthesis = metadata.synthesis

    def exists(name: str) -> bool:
        return storage.exists(FileSystems.join(folder, name))

    return _Promises(
        [*_list_shards(folder, lengths, metadata), *([_bank(folder, synthesis)] if synthesis else [])],
        _noise_masks(folder, synthesis) if synthesis else None,
        list(find_changed_files(folder, metadata, lambda name: _read(folder, name), exists)),
        () if has_checksums(metadata, exists) else (_NOTE_ON_EARLY_VERSIONS.format(folder),),
        [cell.cell_id for cell in metadata.cells],
        np.array([cell.label for cell in metadata.cells], np.int64),
        np.array([cell.spikes for cell in metadata.cells], np.int64),
    )


def _read_metadata(path: str) -> DatasetMetadata:
    try:
        return storage.read_typed_json(path, DatasetMetadata)
    except OSError as error:
        raise UserError(error.strerror or str(error), file=path) from None


def _read(folder: str, name: str) -> bytes:
    path = FileSystems.join(folder, name)
    try:
        return storage.read_small(path)
    except OSError as error:
        raise UserError(error.strerror or str(error), file=path) from None


def _list_shards(
    folder: str, lengths_of_split: Mapping[str, Sequence[int]], metadata: DatasetMetadata
) -> Iterator[_RecordFile]:
    masks = sum(metadata.synthesis.masks_from_cells.values()) if metadata.synthesis else 0
    for split, lengths in lengths_of_split.items():
        for number, length in enumerate(lengths):
            name = shard_name(split, number, len(lengths))
            crc32c = metadata.crc32c.get(name)
            yield _RecordFile(FileSystems.join(folder, name), length, INFO_FILE, crc32c, masks)


def _bank(folder: str, synthesis: SynthesisMetadata) -> _RecordFile:
    """Returns the file of the recorded spikes that a synthetic dataset was made from."""
    if synthesis.spike_bank is None or synthesis.spike_bank_examples is None:
        raise UserError(
            'synthesis has no spike_bank; build the dataset anew', file=FileSystems.join(folder, METADATA_FILE)
        )
    path = FileSystems.join(folder, synthesis.spike_bank)
    return _RecordFile(path, synthesis.spike_bank_examples, METADATA_FILE, synthesis.spike_bank_crc32c, masks=0)


def _noise_masks(folder: str, synthesis: SynthesisMetadata) -> tuple[str, str]:
    return FileSystems.join(folder, synthesis.noise_masks), synthesis.noise_masks_crc32c


def _check_noise_masks(promises: _Promises) -> list[str]:
    if promises.noise_masks is None:
        return []
    path, promised = promises.noise_masks
    try:
        crc32c = checksum(storage.read_small(path))
    except OSError as error:
        return [f'{path}: {error.strerror}']
    except UserError as error:
        return [str(error)]
    return [] if crc32c == promised else [f'{path}: CRC-32C {crc32c}, {METADATA_FILE} promises {promised}']


def _check_spike_counts(promises: _Promises, recorded: np.ndarray) -> list[str]:
    """Compares each cell's number of recorded spikes with the metadata; reports only the first difference."""
    wrong = np.flatnonzero(recorded != promises.cell_spikes)
    return [
        f'{recorded[cell]} spikes of cell {promises.cell_names[cell]},'
        f' {METADATA_FILE} promises {promises.cell_spikes[cell]}'
        for cell in wrong[:1]
    ]


def _verify_files(promises: _Promises) -> Iterator[tuple[Checked, np.ndarray]]:
    """Yields what ``_verify_file`` returns for each file, in their order; reads one for each core at a time."""
    import joblib  # Imported here because it is slow to import.

    # Threads are enough: NumPy does most of the work and releases the interpreter lock.
    with concurrent.futures.ThreadPoolExecutor(joblib.cpu_count()) as pool:
        try:
            yield from pool.map(lambda file: _verify_file(file, promises.cell_labels), promises.record_files)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _verify_file(file: _RecordFile, cell_labels: np.ndarray) -> tuple[Checked, np.ndarray]:
    """Reads one file of records; returns the result, and how many records each cell has."""
    errors: list[str] = []
    records = crc = 0
    found = np.zeros(len(cell_labels), np.int64)
    try:
        with storage.local_copy(file.path) as path, open_regular(path) as content:
            while block := content.read(_BLOCK * record_layout.RECORD_BYTES):
                whole, rest = divmod(len(block), record_layout.RECORD_BYTES)
                rows = np.frombuffer(block, np.uint8, whole * record_layout.RECORD_BYTES)
                rows = rows.reshape(whole, record_layout.RECORD_BYTES)
                crc_before, crc = crc, google_crc32c.extend(crc, rows)
                problems, by_cell = _find_problems(rows, (crc_before, crc), file.masks, cell_labels)
                errors.extend(f'{file.path} record {records + index}: {what}' for index, what in problems)
                found += by_cell
                records += whole
                if rest:
                    crc = google_crc32c.extend(crc, block[-rest:])
                    errors.append(
                        f'{file.path} record {records}: ends after {rest} of {record_layout.RECORD_BYTES} bytes'
                    )
    except OSError as error:
        return Checked(records, [f'{file.path}: {error.strerror}']), found
    if records != file.examples:
        errors.append(f'{file.path}: {records} records, {file.examples_in} promises {file.examples}')
    crc32c = f'{crc:08x}'
    if not errors and crc32c != file.crc32c:
        errors.append(f'{file.path}: CRC-32C {crc32c}, {METADATA_FILE} promises {file.crc32c}')
    return Checked(records, errors), found


def _find_problems(
    rows: np.ndarray, crcs: tuple[int, int], masks: int, cell_labels: np.ndarray
) -> tuple[list[tuple[int, str]], np.ndarray]:
    """Checks records.

    Parameters
    ----------
    rows : (n, 756) uint8.
    crcs : CRC-32C of the file before and after these records.
    masks : the largest ``mask`` that they can have.
    cell_labels : (c,) int64.

    Returns
    -------
    (index, the first problem) of each bad record, in ascending order; and (c,) how many records each cell has, those
    of cells that the metadata do not list not counted.
    """
    records = record_layout.view_records(rows)
    is_right = extend_crc(crcs[0], records['crc']) == crcs[1] and are_right(rows)
    bad = {} if is_right else dict(record_layout.find_bad_records(rows))
    label, cell, mask = (record_layout.decode_varints(records[field]) for field in ('label', 'cell', 'mask'))
    limits = {'label': (label, len(domain.LABEL_NAMES)), 'cell': (cell, len(cell_labels)), 'mask': (mask, masks + 1)}
    for field, (values, limit) in limits.items():
        for index in np.flatnonzero(values >= limit):
            bad.setdefault(int(index), f'{field} {values[index]}, must be 0..{limit - 1}')
    known = np.flatnonzero(cell < len(cell_labels))
    for index in known[label[known] != cell_labels[cell[known]]]:
        bad.setdefault(int(index), f'label {label[index]}, its cell has {cell_labels[cell[index]]}')
    return sorted(bad.items()), np.bincount(cell[known], minlength=len(cell_labels))
