"""The files of a dataset, each changed as it is, or with checksums that cover the change, or as of an early version."""

from __future__ import annotations

import json
import os
import pathlib
import random
from collections.abc import Callable

import google_crc32c

from beam_pipelines.datasets.checksums import cover
from beam_pipelines.datasets.configs import (
    CELL_NAMES_FILE,
    CHECKSUMS_FILE,
    INFO_FILE,
    LABEL_NAMES_FILE,
    LAYOUT_FILE,
    METADATA_FILE,
    NOISE_MASKS_FILE,
    SPIKE_BANK_FILE,
)
from tests.fuzz import dataset_folder
from tests.fuzz.json_mutation import mutate_json
from tests.fuzz.mutation import mutate
from tests.fuzz.npy_mutation import mutate_npy
from tests.fuzz.record_mutation import mutate_records
from tests.fuzz.target import USED, Execute, Target

_SHARD = 'a shard'


def _cover(folder: pathlib.Path, name: str) -> None:
    """Makes the checksums those of a changed file."""
    metadata = json.loads((folder / METADATA_FILE).read_bytes()) if name != METADATA_FILE else {}
    crc32c = f'{google_crc32c.value((folder / name).read_bytes()):08x}'
    if name in metadata.get('crc32c', {}):
        metadata['crc32c'][name] = crc32c
    elif name == NOISE_MASKS_FILE:
        metadata['synthesis']['noise_masks_crc32c'] = crc32c
    elif name == SPIKE_BANK_FILE:
        metadata['synthesis']['spike_bank_crc32c'] = crc32c
    else:
        cover(str(folder), [name])
        return
    (folder / METADATA_FILE).write_text(json.dumps(metadata))
    cover(str(folder), [METADATA_FILE])


def _make_early(folder: pathlib.Path, name: str) -> None:
    """Makes the dataset one of an early version, which has no checksums of the files beside the shards."""
    (folder / CHECKSUMS_FILE).unlink()
    if name != METADATA_FILE:
        metadata = json.loads((folder / METADATA_FILE).read_bytes())
        (folder / METADATA_FILE).write_text(json.dumps(metadata | {'checksums': False}))


def _without_checksums(content: bytes) -> bytes:
    return json.dumps(json.loads(content) | {'checksums': False}).encode()


def _target(config: str, name: str, change: Callable[[bytes, random.Random], bytes]) -> Target:
    def prepare(folder: pathlib.Path) -> Execute:
        contents = dataset_folder.build(folder, config)
        of_dataset = dataset_folder.folder_of(folder, config)
        changing = next(file for file in sorted(contents) if file == name or '-train.' in file and name == _SHARD)
        os.mkfifo(of_dataset / 'a_pipe')
        ways = ('as it is',) if name == CHECKSUMS_FILE else ('as it is', 'covered', 'covered', 'early', 'early')

        def execute(chance: random.Random) -> str:
            for file in (changing, METADATA_FILE, CHECKSUMS_FILE):
                (of_dataset / file).write_bytes(contents[file])
            how = chance.choice(ways)
            original = contents[changing]
            if how == 'early' and name == METADATA_FILE:
                original = _without_checksums(original)
            changed = change(original, chance)
            (of_dataset / changing).write_bytes(changed)
            if how == 'covered':
                _cover(of_dataset, changing)
            elif how == 'early':
                _make_early(of_dataset, changing)
            outcome = dataset_folder.read(folder, config, chance)
            unnoticed = outcome == USED and how == 'as it is' and changed != original and name != CHECKSUMS_FILE
            assert not unnoticed, 'a changed file was not noticed'
            return outcome

        return execute

    return Target(name.replace(' ', '_'), prepare)


TARGETS = (
    _target('original', _SHARD, mutate_records),
    _target('synthetic', METADATA_FILE, mutate_json),
    _target('original', INFO_FILE, mutate_json),
    _target('original', LAYOUT_FILE, mutate_json),
    _target('original', CHECKSUMS_FILE, mutate_json),
    _target('original', CELL_NAMES_FILE, mutate),
    _target('original', LABEL_NAMES_FILE, mutate),
    _target('synthetic', NOISE_MASKS_FILE, mutate_npy),
    _target('synthetic', SPIKE_BANK_FILE, mutate_records),
)
