"""A small dataset of each kind, built in this process, and what all commands together read of one."""

from __future__ import annotations

import pathlib
import random

import numpy as np

from beam_pipelines.datasets import record_layout
from beam_pipelines.datasets.configs import NAME, VERSION
from beam_pipelines.datasets.verification import verify_dataset
from beam_pipelines.errors import UserError
from beam_pipelines.transforms.finish_dataset import Sources, finish_dataset
from tests.fuzz.target import REFUSED, USED, check_line, files_in
from tests.support.small_dataset import make_bank, make_source, write_shards
from trainer.data.batches import dataset_errors, evaluation_batches
from trainer.data.online_batches import open_spike_bank, read_bank_cells
from trainer.data.shards import read_records
from trainer.data.stored_dataset import StoredSplit, open_split
from trainer.evaluation.evaluator import measure_training_range

_FEW_EXAMPLES = (40, 30)


def folder_of(data_dir: pathlib.Path, config: str) -> pathlib.Path:
    """Returns the folder of a dataset in a data directory."""
    return data_dir / NAME / config / VERSION


def build(data_dir: pathlib.Path, config: str) -> dict[str, bytes]:
    """Builds ``original`` or ``synthetic`` from a few cells, and returns its files by name."""
    folder = folder_of(data_dir, config)
    folder.mkdir(parents=True)
    plan, source = make_source(config, synthetic_examples=_FEW_EXAMPLES)
    bank = make_bank(plan) if plan.synthetic_examples else None
    finish_dataset(plan, Sources('recorded', [], bank), write_shards(plan, source, folder), str(folder))
    return files_in(folder)


def read(data_dir: pathlib.Path, config: str, chance: random.Random) -> str:
    """Verifies a dataset, and reads it as the trainer does.

    Returns
    -------
    ``used`` if nothing is wrong, ``refused`` if both say what is, ``verified alone`` if only the verification does (the
    trainer looks at a sample of the records), and ``trained alone`` if only the trainer does (it makes spikes).

    Raises
    ------
    AssertionError
        If an error is not one line that names a file of the folder.
    """
    folder = folder_of(data_dir, config)
    checked = verify_dataset(str(folder))
    for line in checked.errors:
        check_line(line, folder)
    try:
        split = open_split(str(data_dir), config, 'train', verify_records=chance.random() < 1 / 2)
        with np.errstate(over='ignore', invalid='ignore'):  # of currents that are as large as a number can be
            _use(split, not checked.errors)
            if not split.metadata.synthesis and chance.random() < 1 / 16:  # Both take longer than all else.
                _read_batches(split)
                measure_training_range(split)
    except UserError as error:
        check_line(str(error), folder)
        return REFUSED if checked.errors else 'trained alone'
    return 'verified alone' if checked.errors else USED


def _use(split: StoredSplit, is_verified: bool) -> None:
    records = read_records(split.shards)
    assert len(records) == split.examples and len(split.cells) <= len(split.cell_names)
    if is_verified:
        assert (record_layout.decode_varints(records['cell']) < len(split.cell_names)).all()
    if split.metadata.synthesis:
        bank = open_spike_bank(split)
        made = bank.make(bank.draw(np.arange(split.examples)))
        assert made.shape == records['waveform'].shape
        assert len(read_bank_cells(split)) == len(bank.smoothed)


def _read_batches(split: StoredSplit) -> None:
    with dataset_errors():
        rows = sum(int(batch['valid'].sum()) for batch in evaluation_batches(split, 64).as_numpy_iterator())
    assert rows == split.examples
