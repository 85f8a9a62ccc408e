"""The spikes and masks of a dataset, staged by one worker for all that write its shards."""

from __future__ import annotations

from beam_pipelines.planning.plan import DatasetPlan
from beam_pipelines.planning.spike_bank import MappedBank, encode_bank
from beam_pipelines.storage import files
from beam_pipelines.transforms.paths import BuildPaths


def stage_bank(plan: DatasetPlan, paths: BuildPaths) -> None:
    """Makes the bank of a dataset from the staged cells, unless it exists.

    Raises
    ------
    OSError
        If it cannot be read or written.
    """
    path = paths.bank(plan.config, plan.fingerprint)
    if files.exists(path):
        return
    # Not flushed, as the cells.
    with files.create_atomically(path, flushed=False) as file:
        for piece in encode_bank(plan, files.read_bytes):
            file.write(piece)


def open_bank(plan: DatasetPlan, paths: BuildPaths) -> MappedBank:
    """Maps the bank of a dataset: the staged file, or a copy of it on this machine.

    Raises
    ------
    OSError
        If it cannot be read, or is not whole.
    """
    path = paths.bank(plan.config, plan.fingerprint)
    return MappedBank(plan, files.map_whole(path), path)
