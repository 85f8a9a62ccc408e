"""Checks every byte of a built dataset against its layout, its checksums and its metadata."""

from __future__ import annotations

import dataclasses
import posixpath

import google_crc32c
import numpy as np

from beam_pipelines import domain
from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.configs import INFO_FILE, shard_name
from beam_pipelines.errors import UserError
from beam_pipelines.storage import files as storage
from beam_pipelines.storage.store_access import check_access

_BLOCK = 4096
_METADATA_FILE = 'metadata.json'


@dataclasses.dataclass(frozen=True)
class Checked:
    """What was found in a dataset.

    Attributes
    ----------
    records : how many records were read.
    errors : what is wrong, a line each, naming file, record, field and value.
    """

    records: int
    errors: list[str]


@dataclasses.dataclass(frozen=True)
class _File:
    """What the metadata promise of a file of records.

    Attributes
    ----------
    path : where it is.
    examples, examples_in : how many records it has, and which file says so.
    crc32c : CRC-32C of the whole file, None if the metadata lack it.
    masks : the largest ``mask`` that its records can have.
    """

    path: str
    examples: int
    examples_in: str
    crc32c: str | None
    masks: int


def find_datasets(folder: str) -> list[str]:
    """Returns the folders of all datasets at or below a folder.

    Raises
    ------
    UserError
        If there is none.
    """
    try:
        check_access(folder)
        files = storage.list_files(folder)
    except OSError as error:
        raise UserError(f'{error.filename or folder}: {error.strerror}') from error
    found = sorted(posixpath.dirname(path) for path in files if posixpath.basename(path) == INFO_FILE)
    if not found:
        raise UserError(f'{folder}: no dataset there (no {INFO_FILE} at or below it)')
    return found


def verify_dataset(folder: str) -> Checked:
    """Reads every record of a dataset; metadata that cannot be read is an error like any other."""
    try:
        info = _read_json(folder, INFO_FILE)
        metadata = _read_json(folder, _METADATA_FILE)
        layout = _read_json(folder, record_layout.FILE_NAME)
        record_layout.check_json(layout, posixpath.join(folder, record_layout.FILE_NAME))
        cell_labels = np.array([cell['label'] for cell in metadata['cells']])
        spikes = np.array([cell['spikes'] for cell in metadata['cells']])
        shards, bank = _list_shards(folder, info, metadata), _find_bank(folder, metadata)
        noise_mask_errors = _check_noise_masks(folder, metadata)
    except UserError as error:
        return Checked(0, [str(error)])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return Checked(0, [f'{folder}: the metadata lack or misstate {error}'])
    records, errors, recorded = 0, noise_mask_errors, np.zeros(len(cell_labels), np.int64)
    for file in [*shards, *bank]:
        found = np.zeros_like(recorded)
        checked = _verify_file(file, cell_labels, found)
        records += checked.records
        errors.extend(checked.errors)
        # A record without a mask is a recorded spike, and each stands once: in a shard, or else in the bank.
        if not file.masks:
            recorded += found
    if not errors and (recorded != spikes).any():
        cell = metadata['cells'][int((recorded != spikes).argmax())]
        errors.append(
            f'{folder}: {recorded[recorded != spikes][0]} spikes of cell {cell["cell"]},'
            f' {_METADATA_FILE} promises {cell["spikes"]}'
        )
    return Checked(records, errors)


def _list_shards(folder: str, info: dict, metadata: dict) -> list[_File]:
    synthesis = metadata.get('synthesis')
    masks = sum(synthesis['masks_from_cells'].values()) if synthesis else 0
    shards = []
    for split in info['splits']:
        for number, length in enumerate(split['shardLengths']):
            name = shard_name(split['name'], number, len(split['shardLengths']))
            crc32c = metadata['crc32c'].get(name)
            shards.append(_File(posixpath.join(folder, name), int(length), INFO_FILE, crc32c, masks))
    return shards


def _find_bank(folder: str, metadata: dict) -> list[_File]:
    """Returns the file of the recorded spikes that a synthetic dataset was made of; none for any other."""
    if 'synthesis' not in metadata:
        return []
    synthesis = metadata['synthesis']
    path = posixpath.join(folder, synthesis['spike_bank'])
    examples, crc32c = int(synthesis['spike_bank_examples']), synthesis['spike_bank_crc32c']
    return [_File(path, examples, _METADATA_FILE, crc32c, masks=0)]


def _check_noise_masks(folder: str, metadata: dict) -> list[str]:
    """Returns what is wrong with the file of the noise masks of a synthetic dataset."""
    if 'synthesis' not in metadata:
        return []
    path = posixpath.join(folder, metadata['synthesis']['noise_masks'])
    promised = metadata['synthesis']['noise_masks_crc32c']
    try:
        crc32c = f'{google_crc32c.value(storage.read_bytes(path)):08x}'
    except OSError as error:
        return [f'{path}: {error.strerror}']
    return [] if crc32c == promised else [f'{path}: CRC-32C {crc32c}, {_METADATA_FILE} promises {promised}']


def _read_json(folder: str, name: str) -> dict:
    path = posixpath.join(folder, name)
    try:
        return storage.read_json(path)
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}') from None
    except ValueError as error:
        raise UserError(f'{path}: {error}') from None


def _verify_file(file: _File, cell_labels: np.ndarray, found: np.ndarray) -> Checked:
    """Reads one file of records; adds to ``found`` how many records each cell has."""
    errors, records = [], 0
    checksum = google_crc32c.Checksum()
    try:
        with storage.local_copy(file.path) as path, open(path, 'rb') as content:
            while block := content.read(_BLOCK * record_layout.RECORD_BYTES):
                checksum.update(block)
                whole, rest = divmod(len(block), record_layout.RECORD_BYTES)
                rows = np.frombuffer(block, np.uint8, whole * record_layout.RECORD_BYTES)
                rows = rows.reshape(whole, record_layout.RECORD_BYTES)
                problems = _problems(rows, file.masks, cell_labels, found)
                errors.extend(f'{file.path} record {records + index}: {what}' for index, what in problems)
                records += whole
                if rest:
                    errors.append(
                        f'{file.path} record {records}: ends after {rest} of {record_layout.RECORD_BYTES} bytes'
                    )
    except OSError as error:
        return Checked(records, [f'{file.path}: {error.strerror}'])
    if records != file.examples:
        errors.append(f'{file.path}: {records} records, {file.examples_in} promises {file.examples}')
    crc32c = checksum.hexdigest().decode()
    if not errors and crc32c != file.crc32c:
        errors.append(f'{file.path}: CRC-32C {crc32c}, {_METADATA_FILE} promises {file.crc32c}')
    return Checked(records, errors)


def _problems(rows: np.ndarray, masks: int, cell_labels: np.ndarray, found: np.ndarray) -> list[tuple[int, str]]:
    bad = dict(record_layout.find_bad_records(rows))
    records = record_layout.view_records(rows)
    values = {field: record_layout.decode_varints(records[field]) for field in ('label', 'cell', 'mask')}
    limits = {'label': len(domain.LABEL_NAMES), 'cell': len(cell_labels), 'mask': masks + 1}
    for field, limit in limits.items():
        for index in np.flatnonzero(values[field] >= limit):
            bad.setdefault(int(index), f'{field} {values[field][index]}, must be 0..{limit - 1}')
    known = np.flatnonzero(values['cell'] < limits['cell'])
    cell, label = values['cell'][known], values['label'][known]
    found += np.bincount(cell, minlength=len(found))
    for index in np.flatnonzero(label != cell_labels[cell]):
        bad.setdefault(int(known[index]), f'label {label[index]}, its cell has {cell_labels[cell[index]]}')
    return sorted(bad.items())
