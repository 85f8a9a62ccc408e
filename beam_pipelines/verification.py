"""Checks every byte of a built dataset against its layout, its checksums and its metadata."""

from __future__ import annotations

import dataclasses
import json
import os

import google_crc32c
import numpy as np

from beam_pipelines import datasets, domain, record_layout

_BLOCK = 4096
_INFO_FILE = 'dataset_info.json'


class VerificationError(Exception):
    """There is nothing that can be verified; the message is one line for the user."""


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
class _Expected:
    """What the metadata promise: the label of each cell, how many noise masks there are, the CRC-32C of each shard."""

    cell_labels: np.ndarray
    masks: int
    crc32c: dict[str, str]


def find_datasets(folder: str) -> list[str]:
    """Returns the folders of all datasets at or below a folder.

    Raises
    ------
    VerificationError
        If there is none.
    """
    found = sorted(path for path, _, files in os.walk(folder) if _INFO_FILE in files)
    if not found:
        raise VerificationError(f'{folder}: no dataset there (no {_INFO_FILE} at or below it)')
    return found


def verify_dataset(folder: str) -> Checked:
    """Reads every record of a dataset; metadata that cannot be read is an error like any other."""
    try:
        info = _read_json(folder, _INFO_FILE)
        metadata = _read_json(folder, 'metadata.json')
        layout = _read_json(folder, record_layout.FILE_NAME)
        record_layout.check_json(layout, os.path.join(folder, record_layout.FILE_NAME))
        expected = _Expected(
            cell_labels=np.array([cell['label'] for cell in metadata['cells']]),
            masks=_count_masks(metadata),
            crc32c=metadata['crc32c'],
        )
        lengths = {split['name']: [int(length) for length in split['shardLengths']] for split in info['splits']}
        spikes = None if 'synthesis' in metadata else np.array([cell['spikes'] for cell in metadata['cells']])
    except VerificationError as error:
        return Checked(0, [str(error)])
    except (KeyError, TypeError, ValueError) as error:
        return Checked(0, [f'{folder}: the metadata lack or misstate {error}'])
    records, errors, found = 0, [], np.zeros(len(expected.cell_labels), np.int64)
    for split, shard_lengths in lengths.items():
        for number, length in enumerate(shard_lengths):
            name = datasets.shard_name(split, number, len(shard_lengths))
            checked = _verify_shard(folder, name, length, expected, found)
            records += checked.records
            errors.extend(checked.errors)
    if spikes is not None and not errors and (found != spikes).any():
        cell = metadata['cells'][int((found != spikes).argmax())]
        errors.append(
            f'{folder}: {found[found != spikes][0]} spikes of cell {cell["cell"]},'
            f' metadata.json promises {cell["spikes"]}'
        )
    return Checked(records, errors)


def _read_json(folder: str, name: str) -> dict:
    path = os.path.join(folder, name)
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except OSError as error:
        raise VerificationError(f'{path}: {error.strerror}') from None
    except ValueError as error:
        raise VerificationError(f'{path}: {error}') from None


def _count_masks(metadata: dict) -> int:
    synthesis = metadata.get('synthesis')
    return sum(synthesis['masks_from_cells'].values()) if synthesis else 0


def _verify_shard(folder: str, name: str, examples: int, expected: _Expected, found: np.ndarray) -> Checked:
    """Reads one shard; adds to ``found`` how many records each cell has."""
    path = os.path.join(folder, name)
    errors, records = [], 0
    checksum = google_crc32c.Checksum()
    try:
        with open(path, 'rb') as file:
            while block := file.read(_BLOCK * record_layout.RECORD_BYTES):
                checksum.update(block)
                whole, rest = divmod(len(block), record_layout.RECORD_BYTES)
                rows = np.frombuffer(block, np.uint8, whole * record_layout.RECORD_BYTES)
                rows = rows.reshape(whole, record_layout.RECORD_BYTES)
                problems = _problems(rows, expected, found)
                errors.extend(f'{path} record {records + index}: {what}' for index, what in problems)
                records += whole
                if rest:
                    errors.append(f'{path} record {records}: ends after {rest} of {record_layout.RECORD_BYTES} bytes')
    except OSError as error:
        return Checked(records, [f'{path}: {error.strerror}'])
    if records != examples:
        errors.append(f'{path}: {records} records, {_INFO_FILE} promises {examples}')
    crc32c = checksum.hexdigest().decode()
    if not errors and crc32c != expected.crc32c.get(name):
        errors.append(f'{path}: CRC-32C {crc32c}, metadata.json promises {expected.crc32c.get(name)}')
    return Checked(records, errors)


def _problems(rows: np.ndarray, expected: _Expected, found: np.ndarray) -> list[tuple[int, str]]:
    bad = dict(record_layout.find_bad_records(rows))
    records = record_layout.view_records(rows)
    values = {field: record_layout.decode_varints(records[field]) for field in ('label', 'cell', 'mask')}
    limits = {'label': len(domain.LABEL_NAMES), 'cell': len(expected.cell_labels), 'mask': expected.masks + 1}
    for field, limit in limits.items():
        for index in np.flatnonzero(values[field] >= limit):
            bad.setdefault(int(index), f'{field} {values[field][index]}, must be 0..{limit - 1}')
    known = np.flatnonzero(values['cell'] < limits['cell'])
    cell, label = values['cell'][known], values['label'][known]
    found += np.bincount(cell, minlength=len(found))
    for index in np.flatnonzero(label != expected.cell_labels[cell]):
        bad.setdefault(int(known[index]), f'label {label[index]}, its cell has {expected.cell_labels[cell[index]]}')
    return sorted(bad.items())
