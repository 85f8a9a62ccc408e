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
    """Reads every record of a dataset.

    Raises
    ------
    VerificationError
        If its metadata cannot be read or is of another format.
    """
    info = _read_json(folder, _INFO_FILE)
    metadata = _read_json(folder, 'metadata.json')
    try:
        layout = _read_json(folder, record_layout.FILE_NAME)
        record_layout.check_json(layout, os.path.join(folder, record_layout.FILE_NAME))
        cells, masks = len(metadata['cells']), _count_masks(metadata)
        lengths = {split['name']: [int(length) for length in split['shardLengths']] for split in info['splits']}
    except (KeyError, TypeError, ValueError) as error:
        raise VerificationError(f'{folder}: {error}') from None
    records, errors = 0, []
    for split, shard_lengths in lengths.items():
        for number, length in enumerate(shard_lengths):
            name = datasets.shard_name(split, number, len(shard_lengths))
            checked = _verify_shard(
                os.path.join(folder, name), length, cells, masks, metadata.get('crc32c', {}).get(name)
            )
            records += checked.records
            errors.extend(checked.errors)
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


def _verify_shard(path: str, examples: int, cells: int, masks: int, crc32c: str | None) -> Checked:
    errors, records = [], 0
    checksum = google_crc32c.Checksum()
    try:
        with open(path, 'rb') as file:
            while block := file.read(_BLOCK * record_layout.RECORD_BYTES):
                checksum.update(block)
                whole, rest = divmod(len(block), record_layout.RECORD_BYTES)
                rows = np.frombuffer(block, np.uint8, whole * record_layout.RECORD_BYTES)
                rows = rows.reshape(whole, record_layout.RECORD_BYTES)
                errors.extend(
                    f'{path} record {records + index}: {what}' for index, what in _problems(rows, cells, masks)
                )
                records += whole
                if rest:
                    errors.append(f'{path} record {records}: ends after {rest} of {record_layout.RECORD_BYTES} bytes')
    except OSError as error:
        return Checked(records, [f'{path}: {error.strerror}'])
    if records != examples:
        errors.append(f'{path}: {records} records, {_INFO_FILE} promises {examples}')
    if crc32c is not None and not errors and checksum.hexdigest().decode() != crc32c:
        errors.append(f'{path}: CRC-32C {checksum.hexdigest().decode()}, metadata.json promises {crc32c}')
    return Checked(records, errors)


def _problems(rows: np.ndarray, cells: int, masks: int) -> list[tuple[int, str]]:
    bad = record_layout.find_bad_records(rows)
    known = {index for index, _ in bad}
    records = record_layout.view_records(rows)
    for field, allowed in (('label', len(domain.LABEL_NAMES)), ('cell', cells), ('mask', masks + 1)):
        values = record_layout.decode_varints(records[field])
        for index in np.flatnonzero(values >= allowed):
            if index not in known:
                bad.append((int(index), f'{field} {values[index]}, must be 0..{allowed - 1}'))
    return sorted(bad)
